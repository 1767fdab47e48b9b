"""What can be reached from here, and what is missing or noisy on it."""
