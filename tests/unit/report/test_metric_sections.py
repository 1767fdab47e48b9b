"""Every metric of the registry has its place in a report."""

from __future__ import annotations

import pytest

from edgeprof.metrics import REGISTRY
from edgeprof.report.rows import SECTIONS


@pytest.mark.parametrize("name", REGISTRY)
def test_every_metric_is_in_exactly_one_section(name: str) -> None:
    assert len([title for title, prefixes in SECTIONS if name.startswith(prefixes)]) == 1
