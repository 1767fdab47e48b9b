from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import platformdirs
import pytest

from edgeprof.boards import (
    RULES,
    board_json_schema,
    flash_bytes,
    largest_contiguous_sram_bytes,
    list_boards,
    load_board,
    read_board_file,
    recognise,
    shipped,
    sources_of,
    validate_board,
    validate_file,
)
from edgeprof.errors import EdgeprofError, FileUnreadable, UnknownName, UsageError
from edgeprof.records.board import Accelerator, Board, Core, MemoryRegion, Power, PowerMode, Source

TABLE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "boards.csv"
SHIPPED = sorted(shipped("device_configs").glob("*.toml"))
SCHEMA = board_json_schema()

GOOD = Board(
    id="good-board",
    name="Good Board",
    vendor="Good",
    kind="mcu",
    cores=(Core(name="cpu", model="cortex-m4", count=1, max_clock_hz=64_000_000),),
    memory=(
        MemoryRegion(name="flash", kind="flash", bytes=1024, base=0),
        MemoryRegion(name="low", kind="sram", bytes=512, base=0x2000, contiguous_group="main"),
        MemoryRegion(name="high", kind="sram", bytes=256, base=0x2200, contiguous_group="main"),
    ),
    sources=(
        Source(field="cores.cpu", value="Cortex-M4 at 64 MHz", source="data sheet", grade="A"),
        Source(field="memory.flash", value="1 KiB", source="data sheet", grade="A"),
        Source(field="memory.low", value="512 bytes", source="data sheet", grade="A"),
        Source(field="memory.high", value="256 bytes", source="data sheet", grade="A"),
    ),
)


def broken(**changes: Any) -> Board:  # noqa: ANN401 - each test changes fields of different types
    return msgspec.structs.replace(GOOD, **changes)


def sourced(field: str) -> tuple[Source, ...]:
    return (*GOOD.sources, Source(field=field, value="", source="data sheet", grade="A"))


MINIMAL = 'id = "my-board"\nname = "My Board"\nvendor = "Me"\nkind = "linux"'


def written(path: Path, *, id: str = "my-board", name: str = "My Board", extra: str = "") -> Path:  # noqa: A002 - the key
    path.parent.mkdir(parents=True, exist_ok=True)
    text = MINIMAL.replace("my-board", id).replace("My Board", name)
    path.write_text(f"{text}\n{extra}\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def user_boards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return platformdirs.user_config_path("edgeprof") / "boards"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_board_decodes_and_passes_every_rule(path: Path) -> None:
    assert validate_file(path) == ()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_board_satisfies_the_published_schema(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), SCHEMA)


def test_at_least_forty_boards_ship() -> None:
    assert len(list_boards()) >= 40
    assert list_boards() == tuple(sorted(path.stem for path in SHIPPED))


def test_no_two_boards_claim_the_same_device_tree_string() -> None:
    claims = [text for path in SHIPPED for text in read_board_file(path).device_tree]
    assert len(claims) == len(set(claims))


def test_the_raspberry_pi_5_has_the_figures_of_its_documentation() -> None:
    board = load_board("raspberry-pi-5")
    assert board.cores == (Core(name="cpu", model="cortex-a76", count=4, max_clock_hz=2_400_000_000),)
    assert board.ram_options_bytes == (4 * 2**30, 8 * 2**30)
    assert board.memory_bandwidth_bytes_per_s == 17e9
    assert (board.power.active_a, board.power.psu_a, board.power.idle_a) == (0.8, 5.0, None)
    assert board.throttle_celsius == 80


def test_the_jetson_orin_nano_has_dense_and_sparse_peaks_and_two_power_modes() -> None:
    board = load_board("jetson-orin-nano")
    gpu = board.accelerators[0]
    assert (gpu.clock_hz, gpu.peak_int8_dense_ops_per_s, gpu.peak_int8_sparse_ops_per_s) == (625_000_000, 20e12, 40e12)
    assert gpu.peak_fp32_dense_flop_per_s == 1280e9
    assert board.memory[0].bytes == 8_589_934_592
    assert board.memory_bandwidth_bytes_per_s == 68e9
    assert board.power_modes == (
        PowerMode(id=0, name="15W", power_w=15, default=True),
        PowerMode(id=1, name="7W", power_w=7),
    )
    assert board.price_usd == 249


def test_the_nucleo_l4r5zi_keeps_headline_and_inference_apart() -> None:
    board = load_board("nucleo-l4r5zi")
    assert board.cores[0].max_clock_hz == 120_000_000
    assert flash_bytes(board) == 2_097_152
    assert largest_contiguous_sram_bytes(board) == (655_360, "sram")
    assert board.power.inference_w == pytest.approx(0.04194)
    assert board.power.headline_a_per_hz == pytest.approx(100e-6 / 1e6)
    assert board.power.sleep_a == pytest.approx(0.13e-6)


def test_the_nucleo_h743zi_has_a_megabyte_of_sram_but_no_block_above_half_of_it() -> None:
    board = load_board("nucleo-h743zi")
    assert sum(region.bytes for region in board.memory if region.kind in ("sram", "tcm")) == 1_081_344
    assert largest_contiguous_sram_bytes(board) == (524_288, "axi")
    assert board.power.supply_range_v == (1.62, 3.6)
    assert any("512 KiB" in text for text in board.disagreements)


def test_the_esp32_has_a_range_where_its_source_has_one() -> None:
    board = load_board("esp32-devkitc")
    assert board.power.active_a is None
    assert board.power.active_range_a == (0.030, 0.068)
    assert flash_bytes(board) == 4_194_304
    assert largest_contiguous_sram_bytes(board) == (327_680, "dram")


def test_the_emulated_cortex_m4_is_the_mps2_an386_of_qemu() -> None:
    emulated, machine = load_board("cortex-m4"), load_board("mps2-an386")
    assert emulated.kind == "emulated"
    assert emulated.memory == machine.memory
    assert (flash_bytes(emulated), largest_contiguous_sram_bytes(emulated)) == (4 * 2**20, (4 * 2**20, "ssram23"))


def test_every_board_with_a_disagreement_shows_the_sources_that_disagree() -> None:
    expected = {"nucleo-h743zi", "nucleo-h7a3zi-q", "stm32f746g-disco", "ek-ra8d1", "frdm-mcxn947", "nrf54l15-dk"}
    expected |= {"kit-pse84-eval", "arduino-nano-33-ble-sense"}
    assert expected <= {path.stem for path in SHIPPED if read_board_file(path).disagreements}


def test_a_source_names_a_figure_or_the_entry_that_it_is_a_part_of() -> None:
    board = load_board("jetson-orin-nano")
    assert [source.field for source in sources_of(board, "accelerators.gpu.clock_hz")] == ["accelerators.gpu"]
    assert [source.grade for source in sources_of(board, "memory_bandwidth_bytes_per_s")] == ["Aq"]
    assert sources_of(broken(sources=sourced("memory")), "memory.none.bytes") == ()


# What a column of the table has become, in the column's own unit; a column that is not here holds text.
def figures_of(board: Board) -> dict[str, list[float | None]]:
    power, internal = board.power, [region for region in board.memory if region.kind in ("sram", "tcm")]
    block = largest_contiguous_sram_bytes(board)
    int8 = [part.peak_int8_dense_ops_per_s for part in board.accelerators]
    int8 += [core.peak_int8_dense_ops_per_s for core in board.cores]
    return {
        "core_count": [sum(core.count or 0 for core in board.cores), board.cores[0].count],
        "max_mhz": [board.cores[0].max_clock_hz and board.cores[0].max_clock_hz / 1e6],
        "flash_bytes": [flash_bytes(board), sum(region.bytes for region in board.memory if region.kind == "flash")],
        "sram_bytes": [sum(region.bytes for region in internal)],
        "sram_contiguous_bytes": [block and block[0]],
        "ram_bytes": [region.bytes for region in board.memory if region.kind == "ram"],
        "mem_bw_gbs": [scaled(board.memory_bandwidth_bytes_per_s, 1e-9)],
        "accel_peak_tops": [scaled(peak, 1e-12) for peak in int8],
        "peak_int8_gops": [scaled(peak, 1e-9) for peak in int8],
        "peak_fp16_gflops": [scaled(part.peak_fp16_dense_flop_per_s, 1e-9) for part in board.accelerators],
        "peak_fp32_gflops": [scaled(part.peak_fp32_dense_flop_per_s, 1e-9) for part in board.accelerators],
        "supply_v": [power.supply_v],
        "psu_a": [power.psu_a],
        "idle_ma": [scaled(power.idle_a, 1e3)],
        "stress_ma": [scaled(power.stress_a, 1e3)],
        "active_ma": [scaled(power.active_a, 1e3)],
        "run_ua_per_mhz": [scaled(power.headline_a_per_hz, 1e12)],
        "infer_mw": [scaled(power.inference_w, 1e3)],
        "sleep_ua": [scaled(power.sleep_a, 1e6)],
        "price_usd": [board.price_usd],
        "baud": [board.uart_baud],
    }


def scaled(figure: float | None, factor: float) -> float | None:
    return None if figure is None else figure * factor


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


RENAMED = {
    "rpi_zero_2w": "raspberry-pi-zero-2w",
    "rpi_3b_plus": "raspberry-pi-3b-plus",
    "rpi_4b": "raspberry-pi-4b",
    "rpi_cm4": "raspberry-pi-cm4",
    "rpi_5": "raspberry-pi-5",
    "rpi_pico": "raspberry-pi-pico",
    "rpi_pico2": "raspberry-pi-pico-2",
    "jetson_orin_nano_8gb": "jetson-orin-nano",
    "jetson_agx_orin_64gb": "jetson-agx-orin",
    "beaglebone_ai64": "beaglebone-ai-64",
    "orange_pi_5_rk3588": "orange-pi-5",
    "nrf52840dk": "nrf52840-dk",
    "nrf5340dk": "nrf5340-dk",
    "nrf54l15dk": "nrf54l15-dk",
    "esp32s3_devkitc": "esp32-s3-devkitc",
    "esp32c3_devkitm": "esp32-c3-devkitm",
    "esp32p4_function_ev": "esp32-p4-function-ev",
}
NO_FACTS = {"alif_ensemble_e7"}
# A vendor's total that no sum of regions gives: it stands among the disagreements and the sources.
ONLY_AMONG_SOURCES = {("stm32n6570_dk", "sram_bytes")}


@pytest.mark.skipif(not TABLE.is_file(), reason=f"the table that the boards were taken from is not at {TABLE}")
def test_every_number_of_the_table_is_in_its_board() -> None:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] not in NO_FACTS]
    checked = 0
    for row in rows:
        name = RENAMED.get(row["id"], row["id"].removeprefix("qemu_").replace("_", "-"))
        figures = figures_of(load_board(name))
        for column, seen in figures.items():
            if is_number(row[column]) and (row["id"], column) not in ONLY_AMONG_SOURCES:
                # The table rounds some clocks to whole megahertz.
                assert pytest.approx(float(row[column]), rel=2e-4) in seen, (row["id"], column)
                checked += 1
    assert checked > 300


def test_the_declared_total_of_the_stm32n6570_is_among_its_sources() -> None:
    board = load_board("stm32n6570-dk")
    assert any("4,200,000" in source.value for source in board.sources)
    assert any("4.2 MB" in text for text in board.disagreements)


@pytest.mark.parametrize(
    ("rule", "board"),
    [
        ("ids_are_kebab_case", broken(id="Good_Board")),
        ("names_are_unique", broken(cores=(*GOOD.cores, *GOOD.cores))),
        ("names_are_unique", broken(power_modes=(PowerMode(id=1, name="a"), PowerMode(id=1, name="b")))),
        ("every_figure_has_a_source", broken(price_usd=1.0)),
        ("every_figure_has_a_source", broken(sources=sourced("power"), power=Power(idle_a=0.1))),
        ("sources_name_known_fields", broken(sources=sourced("power.idle_ma"))),
        ("disagreements_show_both_sources", broken(disagreements=("Flash: one says 1 KiB, another 2 KiB.",))),
        ("sizes_are_positive", broken(price_usd=0.0, sources=sourced("price_usd"))),
        ("sizes_are_positive", broken(price_usd=float("inf"), sources=sourced("price_usd"))),
        ("ranges_are_in_order", broken(power=Power(range_w=(20, 10)), sources=sourced("power.range_w"))),
        ("clocks_are_plausible", broken(cores=(Core(name="cpu", model="cortex-m4", count=1, max_clock_hz=64),))),
        (
            "clocks_are_plausible",
            broken(accelerators=(Accelerator(name="npu", clock_hz=7 * 10**9),), sources=sourced("accelerators.npu")),
        ),
        (
            "regions_do_not_overlap",
            broken(
                memory=(*GOOD.memory, MemoryRegion(name="more", kind="psram", bytes=8, base=0x2210)),
                sources=sourced("memory.more"),
            ),
        ),
        (
            "contiguous_groups_are_internal",
            broken(
                memory=(*GOOD.memory, MemoryRegion(name="more", kind="psram", bytes=8, contiguous_group="main")),
                sources=sourced("memory.more"),
            ),
        ),
        (
            "contiguous_groups_are_adjacent",
            broken(
                memory=(
                    *GOOD.memory,
                    MemoryRegion(name="more", kind="sram", bytes=8, base=0x4000, contiguous_group="main"),
                ),
                sources=sourced("memory.more"),
            ),
        ),
        ("microcontrollers_have_flash_and_sram", broken(memory=GOOD.memory[:1], sources=GOOD.sources[:2])),
        (
            "microcontrollers_have_flash_and_sram",
            broken(memory=GOOD.memory[1:], sources=(GOOD.sources[0], *GOOD.sources[2:])),
        ),
        (
            "one_default_power_mode",
            broken(power_modes=(PowerMode(id=0, name="a", default=True), PowerMode(id=1, name="b", default=True))),
        ),
        ("included_accelerators_exist", broken(accelerators=(Accelerator(name="all", includes=("npu",)),))),
    ],
)
def test_each_rule_finds_the_fault_that_it_is_named_after(rule: str, board: Board) -> None:
    assert {message.partition(":")[0] for message in validate_board(board)} == {rule}


def test_a_good_board_breaks_no_rule_and_every_rule_has_been_seen_to_fail() -> None:
    assert validate_board(GOOD) == ()
    marks = test_each_rule_finds_the_fault_that_it_is_named_after.pytestmark  # type: ignore[attr-defined]  # pytest's own
    assert {rule.__name__ for rule in RULES} == {case[0] for case in marks[0].args[1]}


def test_the_id_must_be_the_name_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "another.toml")
    assert validate_file(path)[0].startswith("id_matches_the_file: ")
    with pytest.raises(UsageError, match="the file says id 'my-board'"):
        load_board("another", (tmp_path,))


def test_a_board_is_found_by_its_id_even_where_another_id_starts_like_it() -> None:
    assert load_board("jetson-orin-nano").id == "jetson-orin-nano"


def test_a_board_is_found_by_the_start_of_its_id_when_only_one_starts_so() -> None:
    assert load_board("nucleo-l4").id == "nucleo-l4r5zi"


def test_an_ambiguous_start_names_the_boards_that_it_could_be() -> None:
    with pytest.raises(UnknownName, match="board 'nucleo-h7' could be nucleo-h743zi, nucleo-h7a3zi-q"):
        load_board("nucleo-h7")


def test_an_unknown_board_comes_with_the_nearest_names_and_the_next_command() -> None:
    with pytest.raises(UnknownName) as caught:
        load_board("rasberry-pi-5")
    assert caught.value.message == "unknown board 'rasberry-pi-5'"
    assert caught.value.hint.startswith("did you mean raspberry-pi-5")
    assert "edgeprof boards list" in caught.value.hint


@pytest.mark.parametrize("name", ["", "zzzzzz", "../pyproject"])
def test_a_name_like_no_board_gets_no_guess(name: str) -> None:
    with pytest.raises(UnknownName) as caught:
        load_board(name)
    assert caught.value.hint == "edgeprof boards list shows every board"


def test_the_users_board_goes_before_the_shipped_one_and_a_given_folder_before_both(
    user_boards: Path, tmp_path: Path
) -> None:
    assert load_board("cortex-m4").name != "Mine"
    written(user_boards / "cortex-m4.toml", id="cortex-m4", name="Mine")
    assert load_board("cortex-m4").name == "Mine"
    written(tmp_path / "given" / "cortex-m4.toml", id="cortex-m4", name="Given")
    assert load_board("cortex-m4", (tmp_path / "given",)).name == "Given"
    assert list_boards().count("cortex-m4") == 1


def test_a_users_new_board_is_listed_among_the_others(user_boards: Path) -> None:
    written(user_boards / "my-board.toml")
    assert "my-board" in list_boards()
    assert load_board("my-b").name == "My Board"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = ", "Invalid value"),
        ('id = "x"', "missing required field `name`"),
        ("MINIMAL\nwatts = 3", "unknown field `watts`"),
        ("MINIMAL\npower.idle_ma = 3", r"unknown field `idle_ma` - at `\$\.power`"),
        (
            'MINIMAL\nmemory = [{ name = "sram", kind = "sram", bytes = "1 MB" }]',
            r"Expected `int`, got `str` - at `\$\.memory\[0\]\.bytes`",
        ),
        ('MINIMAL\nschema = "edgeprof.board/2"', r"edgeprof\.board/2"),
        ('MINIMAL\nnotes = ["\xff"]', "utf-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_path_and_the_place_of_the_fault(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.replace("MINIMAL", MINIMAL).encode("latin-1"))
    with pytest.raises(UsageError, match=message) as caught:
        read_board_file(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_refused_as_such(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(FileUnreadable, match="cannot read the board file"):
            read_board_file(path)


def test_flash_is_internal_where_there_is_any_and_external_where_there_is_none() -> None:
    assert flash_bytes(load_board("arduino-portenta-h7")) == 2 * 2**20
    assert flash_bytes(load_board("stm32n6570-dk")) == 128 * 2**20
    assert flash_bytes(load_board("beaglebone-ai-64")) is None
    assert flash_bytes(broken(memory=())) is None


def test_the_largest_block_is_unknown_where_a_larger_region_may_be_scattered() -> None:
    scattered = MemoryRegion(name="rest", kind="sram", bytes=769, contiguous=False)
    assert largest_contiguous_sram_bytes(GOOD) == (768, "main")
    assert largest_contiguous_sram_bytes(broken(memory=(*GOOD.memory, scattered))) is None
    assert largest_contiguous_sram_bytes(broken(memory=(scattered,))) is None
    assert largest_contiguous_sram_bytes(load_board("mimxrt1060-evk")) == (512 * 2**10, "ocram")
    assert largest_contiguous_sram_bytes(load_board("raspberry-pi-5")) is None


@pytest.mark.parametrize(
    ("strings", "cpu_info", "board"),
    [
        (["raspberrypi,5-model-b\0brcm,bcm2712\0"], "", "raspberry-pi-5"),
        (["Raspberry Pi 4 Model B Rev 1.4\0"], "", "raspberry-pi-4b"),
        ([], "processor\t: 0\nModel\t\t: Raspberry Pi 3 Model B Plus Rev 1.3\n", "raspberry-pi-3b-plus"),
        (["nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0"], "", "jetson-orin-nano"),
        (["nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0"], "", "jetson-orin-nano-super"),
        (["nvidia,p3737-0000+p3701-0005", "nvidia,tegra234"], "", "jetson-agx-orin"),
        (["raspberrypi,3-model-b\0brcm,bcm2837\0"], "", None),
        (["", "\0"], "model name\t: x86\n", None),
        ([], "", None),
    ],
)
def test_a_board_is_recognised_by_what_its_kernel_calls_it(
    strings: list[str], cpu_info: str, board: str | None
) -> None:
    assert recognise(strings, cpu_info) == board


def test_a_users_board_is_recognised_too(user_boards: Path) -> None:
    written(user_boards / "my-board.toml", extra='device_tree = ["me,my-board"]')
    assert recognise(["me,my-board\0brcm,bcm2711\0"]) == "my-board"


def test_data_that_should_ship_and_does_not_is_our_fault() -> None:
    with pytest.raises(EdgeprofError, match="no_such_folder is missing") as caught:
        shipped("no_such_folder")
    assert caught.value.exit_code == 70
