"""Progress on standard error, one line a target, when a person is looking."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgeprof.printable import printable
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
    import click

    for bars in _drawn:
        bars.stop()
    try:
        return click.confirm(printable(question), default=False, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    finally:
        for bars in _drawn:
            bars.start()


def somebody_is_there() -> bool:
    """Tell whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


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
        sys.stderr.write(f"{printable(f'{target}: {event.text}')}\n")


def _say(target: str, plan: Plan, event: Event) -> None:
    _say_waits(target, plan, event)
    match event:
        case PassStarted():
            said = f"{target}: {event.kind} pass with {event.runtime}"
        case PassEnded(complete=True):
            said = f"{target}: {plan.passes[event.index].kind} pass done"
        case PassEnded():
            said = f"{target}: {plan.passes[event.index].kind} pass: {event.failure}: {event.text}"
        case _:
            return
    sys.stderr.write(f"{printable(said)}\n")


@contextmanager
def _bars(targets: Sequence[str]) -> Iterator[OnEvent]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    named, doing = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[doing]}"))
    columns = (named, BarColumn(), doing, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        _drawn.append(bars)
        tasks = {name: bars.add_task(printable(name), total=None, doing="reaching it") for name in targets}

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
