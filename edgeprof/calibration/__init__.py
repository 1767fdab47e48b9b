"""Calibrating a Linux board: generated micro models are run on it, and their times make those of other models known.

Launches of one process differ by 12 to 18 % in everything they run, so each micro model runs in one process with a
reference kernel, in turns, and all that is fitted, kept and predicted is a ratio to that kernel's time.
"""
