"""The library of cells."""

from __future__ import annotations

import pytest

from edgeprof.battery.cells import cell_file, list_cells, load_cell, stated_figures
from edgeprof.battery.spec import parse_self_discharge
from edgeprof.errors import UnknownName, UsageError

NAMES = sorted(cell_file().cells)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_a_cell_has_a_source_that_is_listed(name: str) -> None:
    stated = stated_figures(cell_file().cells[name])
    assert {"nominal_voltage", "capacity", "self_discharge"} <= stated.keys()
    assert {one.source for one in stated.values()} <= cell_file().sources.keys()
    assert load_cell(name).sources.keys() == stated.keys()


def test_every_source_has_an_address_and_is_used_or_cited() -> None:
    used = {one.source for cell in cell_file().cells.values() for one in stated_figures(cell).values()}
    notes = " ".join(one.note for cell in cell_file().cells.values() for one in stated_figures(cell).values())
    for key, source in cell_file().sources.items():
        assert source.url.startswith(("http://", "https://"))
        assert key in used or key in notes or key == "battery-university"


@pytest.mark.parametrize("cell", list_cells(), ids=lambda cell: cell.name)
def test_the_figures_of_a_cell_go_together(cell: object) -> None:
    known = load_cell(getattr(cell, "name"))  # noqa: B009  parametrised as an object
    assert known.voltage_v is not None
    assert 1.0 < known.voltage_v < 4.0
    assert 0.05 * 3600 < known.capacity_c < 6 * 3600
    assert (known.capacity_minimum_c or 0) <= known.capacity_c
    assert (known.cutoff_v or 0) < known.voltage_v
    ratings = [one for one in (known.rated_a, known.max_continuous_a, known.max_pulse_a) if one is not None]
    assert ratings == sorted(ratings)
    assert (known.resistance_low_ohm or 0) <= (known.resistance_high_ohm or 1e9)
    assert known.self_discharge_ratio is not None
    assert known.self_discharge_ratio <= (known.self_discharge_high_ratio or 1)
    assert (known.self_discharge_ratio < 0.005) is not known.rechargeable


def test_a_cell_is_found_whatever_its_capitals_and_an_unknown_one_names_others() -> None:
    assert load_cell("cr2032").name == "CR2032"
    with pytest.raises(UnknownName, match="unknown cell 'CR2033'") as caught:
        load_cell("CR2033")
    assert "CR2032" in caught.value.hint
    with pytest.raises(UnknownName) as caught:
        load_cell("potato")
    assert "--capacity" in caught.value.hint


def test_a_self_discharge_is_read_by_the_month_or_the_year() -> None:
    assert parse_self_discharge("2%/month") == 0.02
    assert parse_self_discharge("1 % / year") == pytest.approx(0.000837, rel=1e-3)
    for text in ("2%", "2/month", "100%/month", "-1%/year", "nan%/month"):
        with pytest.raises(UsageError, match="is not a self-discharge"):
            parse_self_discharge(text)
