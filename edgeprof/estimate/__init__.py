"""Costs and times without the board; every figure from here says so.

`features` reads what a model asks of a core, `estimate_latency` answers with seconds and an interval or why they are
not known, `rescale` makes one measured model sharpen the others, `estimate_energy` multiplies with a
board's power while inferring.
"""
