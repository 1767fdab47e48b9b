"""What a model's outputs ought to be, and whether a board computes that."""
