"""What makes the energy of a trace less certain, and what to do about it: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeprof.power.energy import ROUNDING_RATIO
from edgeprof.records.result import Warned
from edgeprof.units import format_value

if TYPE_CHECKING:
    from edgeprof.power.energy import Measured
    from edgeprof.power.trace import PowerTrace

ACCURACY_ADVICE = "its data sheet says how accurate it is: allow for it beside the bounds"
NEGATIVE_RATIO = 0.001
"""Of all energy: what samples below 0 may take away without a word, as noise around nothing does."""
NEGATIVE_PEAK_RATIO = 0.5
"""Of the highest sample: how far below 0 one may be without a word."""


def findings_of(trace: PowerTrace, measured: Measured) -> tuple[Warned, ...]:
    """Return what was noticed of a trace and of the windows over it."""
    return (
        *(Warned(code="trace", text=note, advice="") for note in trace.notes),
        *_negative(trace),
        *_of_windows(measured),
        *_of_the_instrument(trace, measured),
    )


def _of_windows(measured: Measured) -> list[Warned]:
    found = []
    for number, window in enumerate(measured.windows, 1):
        if window.reason:
            found.append(Warned(code="window-refused", text=f"window {number}: {window.reason}", advice=""))
        elif window.gap_ratio > ROUNDING_RATIO:
            text = f"window {number}: {window.gap_ratio:.2%} of it is missing in the trace, and so is its energy"
            found.append(Warned(code="window-gap", text=text, advice=""))
    mixed = [(number, w.idle_note) for number, w in enumerate(measured.windows, 1) if w.idle_note]
    if mixed:
        where = ", ".join(str(number) for number, _ in mixed)
        text = f"around window{'s' if len(mixed) > 1 else ''} {where}: {mixed[0][1]}"
        advice = "a warm-up or a transfer beside a window does this; gross energy is not touched"
        found.append(Warned(code="idle-mixed", text=text, advice=advice))
    if measured.windows and not any(window.reason is None for window in measured.windows):
        found.append(
            Warned(code="no-energy", text="no window gives an energy", advice="the reasons stand above, one a window")
        )
    return found


def _of_the_instrument(trace: PowerTrace, measured: Measured) -> list[Warned]:
    found = []
    if trace.accuracy is None or trace.accuracy.gain_ratio is None:
        text = "how accurate the instrument is, is not known: the bounds hold repetition and alignment alone"
        found.append(Warned(code="accuracy-unknown", text=text, advice=ACCURACY_ADVICE))
    if measured.alignment.quality == "paired":
        text = f"only its date and its windows tell that {trace.source} was recorded during this run"
        advice = (
            "an instrument that edgeprof reads itself leaves no doubt, such as --power ppk2:///dev/ttyACM0?voltage=3V"
        )
        found.append(Warned(code="recording-paired", text=text, advice=advice))
    if measured.alignment.quality == "weak":
        text = "the windows were laid over the trace by correlation, the weakest way"
        found.append(Warned(code="weak-alignment", text=text, advice="a marker pin makes it exact"))
    return found


def _negative(trace: PowerTrace) -> list[Warned]:
    """Return a warning where samples are clearly below 0: they are integrated, as a charger really gives such."""
    known = trace.power_w[np.isfinite(trace.power_w)]
    below = known[known < 0]
    if not len(below):
        return []
    lowest_w, highest_w = float(below.min()), float(known.max())
    taken_ratio = float(-below.sum() / np.abs(known).sum())
    if taken_ratio <= NEGATIVE_RATIO and -lowest_w <= NEGATIVE_PEAK_RATIO * highest_w:
        return []
    lowest, highest = format_value("power_w", lowest_w), format_value("power_w", highest_w)
    text = (
        f"{len(below):,} of {len(known):,} samples {'is' if len(below) == 1 else 'are'} negative, down to {lowest}"
        f" where the highest is {highest}: they are {taken_ratio:.2%} of all that was integrated, and taken off it"
    )
    advice = "right where something feeds the supply, a charger for one; else a fault, or swapped leads"
    return [Warned(code="negative-power", text=text, advice=advice)]
