"""JUnit XML, which CI systems display: one test case a limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # writes only

from edgeprof.report.overhead import overhead_line, overhead_rows
from edgeprof.report.rows import heading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeprof.records.bundle import CheckReport
    from edgeprof.records.result import Finding, Result, Warned

# XML 1.0 has no way to write these, escaped or not.
_unwritable = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(results: Sequence[Result]) -> str:
    """Return the findings of several results, a suite each; its properties say what the agent's own work took."""
    suites = []
    for result in results:
        suite = _suite(heading(result), result.findings)
        suite.insert(0, _properties(result))
        if result.status != "complete":
            _add_broken_off(suite, result)
        _add_warnings(suite, result.warnings)
        suites.append(suite)
    return _document(suites)


def render_check(report: CheckReport) -> str:
    """Return the findings of one check as one suite."""
    return render_suites([(report.path, report.findings)])


def render_suites(suites: Iterable[tuple[str, Sequence[Finding]]], warnings: Iterable[Sequence[Warned]] = ()) -> str:
    """Return findings as one document: a suite a name, a case a finding; `warnings` are those of each suite."""
    made = [_suite(name, findings) for name, findings in suites]
    for suite, told in zip(made, warnings, strict=False):
        _add_warnings(suite, told)
    return _document(made)


def _document(suites: Iterable[ET.Element]) -> str:
    root = ET.Element("testsuites", name="edgeprof")
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        root.append(suite)
        total = {key: count + int(suite.get(key, "0")) for key, count in total.items()}
    # The schema of Jenkins' xUnit plugin gives `skipped` to a suite and not to their whole.
    root.attrib |= {key: str(count) for key, count in total.items() if key != "skipped"}
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}'


def _properties(result: Result) -> ET.Element:
    properties = ET.Element("properties")
    known = {name: f"{value:.9g}" for name, value in overhead_rows(result).items() if value is not None}
    for name, value in {"sensors": overhead_line(result), **known}.items():
        ET.SubElement(properties, "property", name=name, value=_text(value))
    return properties


def _add_broken_off(suite: ET.Element, result: Result) -> None:
    """Add an error: limits that were kept by half a run must not make a job green."""
    case = ET.SubElement(suite, "testcase", classname=_place(heading(result)), name="the run is complete", time="0")
    told = "; ".join(warned.text for warned in result.warnings)
    ET.SubElement(case, "error", message=f"the run is {result.status}", type=result.status).text = _text(told)
    for name in ("tests", "errors"):
        suite.set(name, str(int(suite.get(name, "0")) + 1))


def _add_warnings(suite: ET.Element, warnings: Sequence[Warned]) -> None:
    """Say below the cases what makes the figures less certain."""
    if warnings:
        lines = (f"! {warned.text}{f' → {warned.advice}' if warned.advice else ''}" for warned in warnings)
        ET.SubElement(suite, "system-out").text = _text("\n".join(lines))


def _suite(name: str, findings: Sequence[Finding]) -> ET.Element:
    failed = sum(finding.verdict == "FAIL" for finding in findings)
    skipped = sum(finding.verdict in {"SKIP", "INCONCLUSIVE"} for finding in findings)
    suite = ET.Element("testsuite", name=_text(name), tests=str(len(findings)))
    suite.attrib |= {"failures": str(failed), "errors": "0", "skipped": str(skipped), "time": "0"}
    for finding in findings:
        suite.append(_case(name, finding))
    return suite


def _case(suite: str, finding: Finding) -> ET.Element:
    """Return a case: FAIL is a failure, SKIP and INCONCLUSIVE are skipped, WARN passes and says so."""
    case = ET.Element("testcase", classname=_place(suite), name=_text(finding.limit), time="0")
    said = _text(f"{finding.verdict} ({finding.tier}): {finding.reason}")
    more = _text(f"{finding.metric}, basis {finding.basis or 'none'}. Source: {finding.source or 'none'}")
    match finding.verdict:
        case "FAIL":
            ET.SubElement(case, "failure", message=said, type=finding.tier).text = f"{said}\n{more}"
        case "SKIP" | "INCONCLUSIVE":
            ET.SubElement(case, "skipped", message=said).text = more
        case "PASS" | "WARN":
            ET.SubElement(case, "system-out").text = f"{said}\n{more}"
    return case


def _place(suite: str) -> str:
    """Return a suite as a class: CI systems take dots for packages and tell cases apart by class and name."""
    return f"edgeprof.{_text(suite).replace('.', '_').replace('/', '_')}"


def _text(text: str) -> str:
    return _unwritable.sub("�", text)
