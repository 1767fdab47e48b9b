"""Tells GitHub Actions what a command found, where it runs there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.records.result import Finding


def tell_github(subject: str, findings: Sequence[Finding], markdown: Callable[[], str]) -> None:
    """Write annotations to standard error and append the Markdown to the step's summary; elsewhere do nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    from edgeprof.cli.guarded import say, write_command
    from edgeprof.report.github import summary, summary_path, workflow_commands

    for line in workflow_commands(subject, findings):
        write_command(line)
    path = summary_path(os.environ)
    if path is None:
        return
    try:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123  GitHub's own file, appended to
            file.write(summary(markdown(), os.fstat(file.fileno()).st_size))
    except OSError as error:
        say(f"edgeprof: the step's summary {path} cannot be written: {error.strerror}")
