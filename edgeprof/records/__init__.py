"""The frozen records that the rooms hand each other."""
