"""Bench instruments on the host: one file each, behind one small Protocol."""
