"""What runs on a Linux board: one file, standard library only, Python 3.6 and later."""
