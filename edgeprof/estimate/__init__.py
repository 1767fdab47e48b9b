"""Costs and times without the board; every figure from here says so."""
