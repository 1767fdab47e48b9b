"""What a job on GitHub Actions shows beside its log: annotations of findings, and the step's summary.

"Workflow commands for GitHub Actions": `::error title=…::…` and `::warning …`, each a line of its own; a job's summary
is Markdown that is appended to the file which GITHUB_STEP_SUMMARY names, at most 1 MiB a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.printable import REPLACED, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgeprof.records.result import Finding

MOST_ANNOTATIONS = 10
"""GitHub shows ten errors and ten warnings of a step; the summary has them all."""
MOST_SUMMARY_BYTES = 1 << 20
CUT = "\n\n(cut: a step's summary holds 1 MiB)\n\n"
COMMANDS = {"FAIL": "error", "WARN": "warning", "INCONCLUSIVE": "warning"}


def workflow_commands(subject: str, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a workflow command for each finding that is not good, at most ten a kind."""
    left = dict.fromkeys(COMMANDS.values(), MOST_ANNOTATIONS)
    for finding in findings:
        command = COMMANDS.get(finding.verdict)
        if command is None or not left[command]:
            continue
        left[command] -= 1
        title = _property(f"{finding.verdict} {finding.limit}: {subject}")
        yield f"::{command} title={title}::{_text(finding.reason)}"


def summary_path(environment: Mapping[str, str]) -> str | None:
    """Return the file that the step's summary is appended to; None where this is no such job."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return None
    return environment.get("GITHUB_STEP_SUMMARY") or None


def summary(markdown: str, already_bytes: int = 0) -> str:
    """Return what is appended: the Markdown, cut where the step's summary would be refused whole.

    `already_bytes` are in the file from before: the limit is of all that a step appends.
    """
    room = MOST_SUMMARY_BYTES - already_bytes
    whole = f"{markdown}\n\n"
    if len(whole.encode()) <= room:
        return whole
    cut = markdown.encode()[: max(0, room - len(CUT.encode()))].decode("utf-8", "ignore")
    said = f"{cut.rpartition(chr(10))[0]}{CUT}"
    return said if len(said.encode()) <= room else ""


def _text(text: str) -> str:
    """Escape what would end the command or start another one."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped).replace("##[", f"#{REPLACED}[")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
