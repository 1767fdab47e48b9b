from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgeprof.bundle import scan
from edgeprof.errors import EdgeprofError
from scripts.pace import SLOW_REFERENCES
from tests.conftest import REPOSITORY
from tests.unit.bundle.bundle_builder import KWS, app, gzip_bomb, noise, overlapping, patched_directory, tarred, zipped

MIB = 300
# Prints the CPU time of one scan in references, and the peak MiB.
PROBE = """
import sys, time
from pathlib import Path
from edgeprof.bundle import scan
from edgeprof.errors import EdgeprofError
from scripts.pace import reference_s
began = time.process_time()
try:
    scan(Path(sys.argv[1])); code = 0
except EdgeprofError as error:
    code = error.exit_code; print(error.message, file=sys.stderr)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))  # ru_maxrss holds the parent's
print(code, (time.process_time() - began) / reference_s(), int(peak.split()[1]) / 1024)
"""


def refused(folder: Path, content: bytes, name: str = "bundle.zip") -> EdgeprofError:
    (folder / name).write_bytes(content)
    with pytest.raises(EdgeprofError) as error:
        scan(folder / name)
    return error.value


def cost(path: Path) -> tuple[int, float, float]:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, str(path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    code, references, mib = ran.stdout.split()
    return int(code), float(references), float(mib)


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, overlapping(1000, 10_000_000))
    assert (error.exit_code, "overlap" in error.message) == (4, True)


@pytest.mark.slow
def test_a_zip_bomb_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(6):
            archive.writestr(f"{number}.tflite", bytes(100_000_000))
    with pytest.raises(EdgeprofError, match="decompression bomb") as error:
        scan(tmp_path / "bomb.zip")
    assert error.value.exit_code == 4


def test_a_bomb_inside_an_archive_inside_a_bundle_is_refused(tmp_path: Path) -> None:
    inner = overlapping(100, 10_000_000)
    assert refused(tmp_path, zipped([("a.aar", zipped([("b.zip", inner)]))])).exit_code == 4


@pytest.mark.slow
def test_a_gzip_bomb_is_refused_in_time(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip_bomb(2 << 30))
    code, references, mib = cost(path)
    assert code == 4
    assert references < SLOW_REFERENCES
    assert mib < MIB


@pytest.mark.parametrize("size", [2**31, 2**32 - 2])
def test_a_size_that_its_bytes_cannot_hold_is_refused(tmp_path: Path, size: int) -> None:
    error = refused(tmp_path, patched_directory(zipped([("a.tflite", KWS)]), 24, size))
    assert (error.exit_code, "cannot hold" in error.message) == (4, True)


def test_a_size_that_is_stated_too_small_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(patched_directory(zipped([("a.tflite", KWS)]), 24, 100))
    with pytest.raises(EdgeprofError) as error:
        scan(tmp_path / "a.zip")
    assert error.value.exit_code in {2, 4}


def test_a_directory_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(5 << 30)
        file.seek(0, 2)
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 4 << 30 >> 1, 0, 0))
    assert cost(path)[0] == 4


def test_a_zip64_directory_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(5 << 30)
        end = file.seek(0, 2)
        file.write(b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 4 << 30, 0))
        file.write(b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1))
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    code, references, mib = cost(path)
    assert (code, references < SLOW_REFERENCES, mib < MIB) == (4, True, True)


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(100_000):
            archive.writestr(f"{number}", b"x")
    code, references, mib = cost(path)
    assert code == 0
    assert references < SLOW_REFERENCES
    assert mib < MIB


def test_more_entries_are_refused(tmp_path: Path) -> None:
    directory = zipped([("a", b"")])
    start, end = directory.index(b"PK\x01\x02"), directory.index(b"PK\x05\x06")
    entries = directory[start:end] * 200_000
    tail = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(entries), start, 0)
    error = refused(tmp_path, directory[:start] + entries + tail)
    assert (error.exit_code, "more than 100,000 entries" in error.message) == (4, True)


def test_an_entry_without_a_name_does_no_harm(tmp_path: Path) -> None:
    content = bytearray(zipped([("a", KWS)]))
    for place in (26, content.index(b"PK\x01\x02") + 28):
        content[place : place + 4] = b"\0\0\1\0"  # the name becomes an extra field of one byte
    (tmp_path / "a.zip").write_bytes(content)
    assert [model.format for model in scan(tmp_path / "a.zip").models] == ["TFLite"]


def test_ten_sparse_gigabytes_cost_nothing(tmp_path: Path) -> None:
    for name, head in (("zeros.zip", b""), ("zeros.tar", b""), ("net.gguf", b"GGUF"), ("net.bin", b"\x1c\0\0\0TFL3")):
        path = tmp_path / name
        with path.open("wb") as file:
            file.write(head)
            file.truncate(10 << 30)
        code, references, mib = cost(path)
        assert code in {0, 2, 4}
        assert references < SLOW_REFERENCES
        assert mib < MIB


def test_a_name_that_leads_outside_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(zipped([("../../evil.tflite", KWS), ("/etc/x", b"x"), ("..\\y", b"y")]))
    bundle = scan(folder / "a.zip")
    assert any("hostile names" in note for note in bundle.notes)
    assert not (tmp_path / "evil.tflite").exists()


def test_a_name_cannot_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped([("\x1b[2J\n" + "x" * 5000 + ".tflite", KWS)]))
    path = scan(tmp_path / "a.zip").models[0].path
    assert path.isprintable()
    assert len(path) <= 300


def test_encrypted_entries_are_listed_and_not_opened(tmp_path: Path) -> None:
    archive = zipped([("a.tflite", KWS)])
    flags = patched_directory(archive, 8, 1, 2)
    (tmp_path / "a.zip").write_bytes(flags)
    model = scan(tmp_path / "a.zip").models[0]
    assert (model.evidence, "encrypted" in model.note) == ("name", True)


def test_links_in_archives_are_not_followed(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "../x"), (tarfile.CHRTYPE, "")):
            info = tarfile.TarInfo(f"link{kind!r}.tflite")
            info.type, info.linkname = kind, target
            archive.addfile(info)
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    assert scan(tmp_path / "a.tar").models == ()
    zipped_link = zipfile.ZipInfo("link.tflite")
    zipped_link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(zipped_link, "/etc/passwd")
    assert scan(tmp_path / "a.zip").models[0].evidence == "name"


def test_a_truncated_archive_is_unreadable_at_every_length(tmp_path: Path) -> None:
    content = app()
    for length in range(4, len(content), len(content) // 60):
        assert refused(tmp_path, content[:length]).exit_code in {2, 4}


def test_a_truncated_tar_in_gzip_is_unreadable(tmp_path: Path) -> None:
    content = gzip.compress(tarred([("a.tflite", KWS), ("b", noise(9_000))]))
    for length in (30, 500, 20_000, len(content) - 3_000):
        assert refused(tmp_path, content[:length], "a.tar.gz").exit_code == 2


def test_an_extended_tar_header_of_gigabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    assert refused(tmp_path, info.tobuf() + bytes(1 << 20), "a.tar").exit_code == 4


def test_a_tar_entry_of_a_negative_size_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 12
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert refused(tmp_path, bytes(block) + bytes(1024), "a.tar").exit_code in {2, 4}


def test_archives_nested_without_end_are_not_followed(tmp_path: Path) -> None:
    content = zipped([("kws.tflite", KWS)])
    for _ in range(20):
        content = zipped([("next.zip", content)])
    (tmp_path / "a.zip").write_bytes(content)
    bundle = scan(tmp_path / "a.zip")
    assert bundle.models == ()
    assert any("not looked into" in note for note in bundle.notes)


@pytest.mark.parametrize("head", [b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"])
def test_other_compressions_are_named(tmp_path: Path, head: bytes) -> None:
    error = refused(tmp_path, head + noise(100), "a.tar")
    assert (error.exit_code, "unpack it" in error.hint) == (4, True)


@pytest.mark.parametrize("name", ["missing", "pipe", "null\0byte", "text.txt", "empty"])
def test_what_is_no_bundle_is_refused_as_usage(tmp_path: Path, name: str) -> None:
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    if name in {"text.txt", "empty"}:
        (tmp_path / name).write_bytes(b"hello" if name == "text.txt" else b"")
    with pytest.raises(EdgeprofError) as error:
        scan(tmp_path / name)
    assert error.value.exit_code == 2


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(EdgeprofError):
        scan(tmp_path)


def test_the_scanner_leaves_no_open_files(tmp_path: Path) -> None:
    (tmp_path / "a.apk").write_bytes(app())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        scan(tmp_path / "a.apk")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
