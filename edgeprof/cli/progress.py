"""Progress on standard error, one line a target, when a person is looking."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgeprof.records.events import Noted, PassEnded, PassStarted, SamplesReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.progress import Progress

    from edgeprof.records.events import Event
    from edgeprof.records.result import Plan

    OnEvent = Callable[[str, Plan, Event], None]


WAITS = "turn-wait"
"""The note of a pass that waits for another run."""

_drawn: list[Progress] = []
"""The bars on the terminal, which must stand still while something is asked."""


def confirm(question: str) -> bool:
    """Ask a person on the terminal; no is the default."""
    import click  # noqa: PLC0415  only when something is asked

    for bars in _drawn:
        bars.stop()
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    finally:
        for bars in _drawn:
            bars.start()


@contextmanager
def progress(targets: Sequence[str], *, quiet: bool, verbose: bool) -> Iterator[OnEvent]:
    """Give the function that gets every event as it comes; it may be called from several threads."""
    if quiet:
        yield lambda _target, _plan, _event: None
    elif verbose or not sys.stderr.isatty():
        yield _say if verbose else _say_waits
    else:
        with _bars(targets) as on_event:
            yield on_event


def _say_waits(target: str, _plan: Plan, event: Event) -> None:
    """Tell that nothing goes on, and why: whoever looks at a log must not take that for a hang."""
    if isinstance(event, Noted) and event.code == WAITS:
        sys.stderr.write(f"{target}: {event.text}\n")


def _say(target: str, plan: Plan, event: Event) -> None:
    _say_waits(target, plan, event)
    match event:
        case PassStarted():
            sys.stderr.write(f"{target}: {event.kind} pass with {event.runtime}\n")
        case PassEnded(complete=True):
            sys.stderr.write(f"{target}: {plan.passes[event.index].kind} pass done\n")
        case PassEnded():
            sys.stderr.write(f"{target}: {plan.passes[event.index].kind} pass: {event.failure}: {event.text}\n")
        case _:
            return


@contextmanager
def _bars(targets: Sequence[str]) -> Iterator[OnEvent]:
    from rich.console import Console  # noqa: PLC0415  only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  the same

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[doing]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        _drawn.append(bars)
        tasks = {name: bars.add_task(name, total=None, doing="reaching it") for name in targets}

        def on_event(target: str, plan: Plan, event: Event) -> None:
            task = tasks[target]
            match event:
                case PassStarted():
                    total = plan.passes[event.index].runs or None
                    bars.update(task, doing=f"{event.kind} pass", total=total, completed=0)
                case SamplesReceived():
                    bars.update(task, completed=event.first + len(event.duration_ticks))
                case PassEnded():
                    bars.update(task, doing=f"{plan.passes[event.index].kind} pass done")
                case Noted() if event.code == WAITS:
                    bars.update(task, doing="waits for its turn")
                    bars.console.print(f"{target}: {event.text}", markup=False, highlight=False)
                case _:
                    return

        try:
            yield on_event
        finally:
            _drawn.remove(bars)
