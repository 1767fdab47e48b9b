"""The protocol: every message round-trips, and every damaged frame is found and named."""

from __future__ import annotations

import doctest
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprof import wire
from edgeprof.wire import FrameReader, FrameWriter, WireError

INTEGERS = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF, "Q": 0xFFFFFFFFFFFFFFFF}
BULK = (wire.BlobChunk, wire.Samples, wire.Output)
CHARACTERS = st.characters(codec="utf-8")
TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(CHARACTERS, max_size=40),
    "json": st.dictionaries(st.text(CHARACTERS, max_size=4), st.integers(), max_size=3).map(json.dumps),
    "bytes": st.binary(max_size=600),
}


def fixed_value(code: str) -> st.SearchStrategy[Any]:
    return st.integers(0, INTEGERS[code]) if code in INTEGERS else st.binary(min_size=32, max_size=32)


def message_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    layout = wire.LAYOUTS[kind]
    fixed = {name: fixed_value(code) for name, code in layout.fixed}
    return st.builds(kind, **fixed, **{name: TEXTS[content] for name, _, content in layout.tagged})


MESSAGES = st.sampled_from(list(wire.LAYOUTS)).flatmap(message_of)


def frame_of(message: wire.Message, *, extra: bytes = b"", fixed_only: bool = False) -> wire.Frame:
    layout = wire.LAYOUTS[type(message)]
    payload = wire.pack(message)
    if fixed_only:
        payload = payload[: struct.calcsize("<" + "".join(code for _, code in layout.fixed))]
    return wire.Frame(layout.type, 0, payload + extra)


def heard(reader: FrameReader, content: bytes) -> list[Any]:
    return [wire.read(frame) for frame in reader.feed(content)]


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(MESSAGES)
def test_every_message_comes_back_as_it_was_sent(message: wire.Message) -> None:
    assert heard(FrameReader(), wire.encode_frame(message, 0)) == [message]


@pytest.mark.parametrize("kind", list(wire.LAYOUTS), ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=10)
def test_every_kind_of_message_comes_back_as_it_was_sent(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(message_of(kind))
    assert wire.read(frame_of(message)) == message


@given(MESSAGES, st.integers(128, 255), st.binary(max_size=30))
def test_a_tagged_field_that_is_not_known_is_skipped(message: wire.Message, tag: int, content: bytes) -> None:
    extra = struct.pack("<BH", tag, len(content)) + content
    assert wire.read(frame_of(message, extra=extra)) == message


@given(MESSAGES)
def test_tagged_fields_that_are_missing_get_their_defaults(message: wire.Message) -> None:
    seen = wire.read(frame_of(message, fixed_only=True))
    names = [name for name, _ in wire.LAYOUTS[type(message)].fixed]
    assert seen == type(message)(**{name: getattr(message, name) for name in names})


def test_the_order_of_tagged_fields_means_nothing() -> None:
    note = wire.Note(7, "code", "text")
    payload = wire.pack(note)
    first, second = payload[2:9], payload[9:]
    assert first[3:] == b"code"
    assert wire.read(wire.Frame(0x8A, 0, payload[:2] + second + first)) == note


@pytest.mark.parametrize("extra", [b"\x01", b"\x01\x05", b"\x01\x05\x00abc"])
def test_a_tagged_field_that_ends_too_early_is_corrupt(extra: bytes) -> None:
    with pytest.raises(WireError) as refused:
        wire.read(frame_of(wire.Note(1), extra=extra))
    assert refused.value.kind == "corrupt"


def test_a_payload_without_its_fixed_part_is_corrupt() -> None:
    with pytest.raises(WireError, match=r"Ping.*needs 4") as refused:
        wire.read(wire.Frame(wire.LAYOUTS[wire.Ping].type, 0, b"abc"))
    assert refused.value.kind == "corrupt"


def test_a_type_of_message_that_is_not_known_is_corrupt() -> None:
    with pytest.raises(WireError, match="0x7f") as refused:
        wire.read(wire.Frame(0x7F, 0, b""))
    assert refused.value.kind == "corrupt"


def test_no_two_messages_share_a_type_and_no_two_fields_of_one_a_tag() -> None:
    types = [layout.type for layout in wire.LAYOUTS.values()]
    assert len(set(types)) == len(types)
    for layout in wire.LAYOUTS.values():
        tags = [tag for _, tag, _ in layout.tagged]
        assert len(set(tags)) == len(tags)
        assert all(0 < tag < 128 for tag in tags)


def test_a_layout_names_all_fields_of_its_message() -> None:
    for kind, layout in wire.LAYOUTS.items():
        declared = [name for name, _ in layout.fixed] + [name for name, _, _ in layout.tagged]
        assert sorted(declared) == sorted(kind._fields)


@pytest.mark.parametrize("kind", [kind for kind in wire.LAYOUTS if kind not in BULK], ids=lambda kind: kind.__name__)
def test_every_message_but_the_bulk_ones_fits_the_smallest_frame(kind: type[Any]) -> None:
    """The longest values of each fixed field, hashes as bytes, and eight letters of text: what a C agent says."""
    layout = wire.LAYOUTS[kind]
    values: dict[str, Any] = {name: INTEGERS.get(code, bytes(32)) for name, code in layout.fixed}
    texts: dict[str, Any] = {"text": "eight ch", "bytes": bytes(32)}
    values |= {name: texts[content] for name, _, content in layout.tagged if content in texts}
    assert wire.encode_frame(kind(**values), 0, wire.SMALLEST_FRAME_BYTES)


# ── byte stuffing ────────────────────────────────────────────────────────────────────────────────────────────────────

SPARSE = st.lists(st.sampled_from([b"\0", b"x" * 253, b"x" * 254, b"x" * 255, b"\xff", b"\x01"]), max_size=8).map(
    b"".join
)


@given(st.one_of(st.binary(max_size=2000), SPARSE))
def test_stuffed_bytes_hold_no_zero_grow_by_one_in_254_and_come_back(content: bytes) -> None:
    stuffed = wire.cobs_encode(content)
    assert 0 not in stuffed
    assert len(stuffed) <= len(content) + len(content) // 254 + 1
    assert wire.cobs_decode(stuffed) == content


@pytest.mark.parametrize(
    ("content", "stuffed"),
    [
        (b"", b"\x01"),
        (b"\0", b"\x01\x01"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01"),
    ],
)
def test_byte_stuffing_gives_the_examples_of_its_inventors(content: bytes, stuffed: bytes) -> None:
    assert wire.cobs_encode(content) == stuffed


def test_a_length_that_points_outside_is_corrupt() -> None:
    with pytest.raises(WireError) as refused:
        wire.cobs_decode(b"\x05ab")
    assert refused.value.kind == "corrupt"


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SAID = (wire.Ping(1), wire.Note(2, "code", "text"), wire.Pong(3, 1 << 40))
FRAMES = tuple(wire.encode_frame(message, at) for at, message in enumerate(SAID))
STREAM = b"".join(FRAMES)


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_stream_may_be_split_at_any_byte(at: int) -> None:
    reader = FrameReader()
    assert heard(reader, STREAM[:at]) + heard(reader, STREAM[at:]) == list(SAID)


def test_a_stream_may_come_byte_by_byte() -> None:
    reader = FrameReader()
    assert [m for at in range(len(STREAM)) for m in heard(reader, STREAM[at : at + 1])] == list(SAID)


@given(st.integers(len(FRAMES[0]), len(STREAM) - len(FRAMES[2]) - 1), st.integers(1, 255))
@settings(max_examples=400)
def test_a_byte_that_is_changed_is_found_and_no_wrong_message_comes_of_it(at: int, change: int) -> None:
    damaged = STREAM[:at] + bytes([STREAM[at] ^ change]) + STREAM[at + 1 :]
    seen: list[Any] = []
    reader = FrameReader()

    def listen() -> None:
        for frame in reader.feed(damaged):
            seen.append(wire.read(frame))  # noqa: PERF401  what came before the error counts

    with pytest.raises(WireError) as found:
        listen()
    assert found.value.kind == "corrupt"
    assert seen == [SAID[0]]


def kind_of(content: bytes, max_frame: int = wire.LARGEST_FRAME_BYTES) -> str:
    reader = FrameReader(max_frame)
    with pytest.raises(WireError) as found:
        heard(reader, content)
    return found.value.kind


def test_a_frame_that_is_missing_is_lost() -> None:
    with pytest.raises(WireError, match="1 frame was lost before frame 2, frame 1 was expected") as found:
        heard(FrameReader(), FRAMES[0] + FRAMES[2])
    assert found.value.kind == "lost"


def test_a_frame_that_comes_again_is_doubled() -> None:
    assert kind_of(FRAMES[0] + FRAMES[0]) == "doubled"
    assert kind_of(STREAM + FRAMES[1]) == "doubled"


def test_numbers_of_frames_wrap_around_without_a_complaint() -> None:
    reader = FrameReader()
    pings = [wire.encode_frame(wire.Ping(at), at) for at in (0xFFFE, 0xFFFF, 0, 1)]
    assert len(heard(reader, b"".join(pings))) == len(pings)
    assert kind_of(pings[1] + pings[3]) == "lost"


def test_a_frame_that_is_longer_than_agreed_is_oversized() -> None:
    note = wire.encode_frame(wire.Note(1, text="x" * 200), 1)
    assert kind_of(FRAMES[0] + note, max_frame=128) == "oversized"
    assert heard(FrameReader(256), FRAMES[0] + note)


def test_a_frame_that_does_not_end_is_oversized_before_it_fills_the_memory() -> None:
    assert kind_of(FRAMES[0] + b"x" * 300, max_frame=256) == "oversized"


def test_a_frame_that_the_other_side_cannot_take_is_not_sent() -> None:
    with pytest.raises(WireError, match="Note") as refused:
        FrameWriter(128).frame(wire.Note(1, text="x" * 200))
    assert refused.value.kind == "oversized"


def test_a_field_that_its_length_cannot_tell_is_not_sent() -> None:
    with pytest.raises(WireError) as refused:
        wire.pack(wire.Note(1, text="x" * 70000))
    assert refused.value.kind == "oversized"


def test_a_frame_that_was_refused_takes_no_number() -> None:
    writer = FrameWriter(128)
    with pytest.raises(WireError):
        writer.frame(wire.Note(1, text="x" * 200))
    assert heard(FrameReader(), writer.frame(wire.Ping(0)) + writer.frame(wire.Ping(1)))


@pytest.mark.parametrize("noise", [b"U-Boot 2024.01\r\n", b"\xff\xfe\x03abc", b"\0\0", b"[  0.0] boot\0[  0.1] on\0"])
def test_noise_before_the_first_frame_is_skipped_and_kept(noise: bytes) -> None:
    reader, writer = FrameReader(), FrameWriter()
    assert heard(reader, noise + writer.frame(SAID[0]) + writer.frame(SAID[1])) == [SAID[0], SAID[1]]
    assert reader.noise.replace(b"\0", b"") == noise.replace(b"\0", b"")


def test_the_end_of_long_noise_is_kept() -> None:
    reader = FrameReader()
    assert not heard(reader, b"x\0" * 10000 + b"the end\0")
    assert len(reader.noise) <= 4096
    assert reader.noise.endswith(b"the end")


def test_noise_between_frames_is_corrupt() -> None:
    assert kind_of(FRAMES[0] + b"a kernel says something\0" + FRAMES[1]) == "corrupt"


# ── what more than one side needs ────────────────────────────────────────────────────────────────────────────────────


@given(st.sets(st.sampled_from(wire.CAPABILITIES)))
def test_capabilities_come_back_from_their_bits(names: set[str]) -> None:
    assert set(wire.capability_names(wire.capability_bits(names))) == names


def test_a_capability_of_a_later_agent_is_not_known_and_does_no_harm() -> None:
    assert wire.capability_names(1 | 1 << 31) == ("latency",)


TICKS = st.integers(0, INTEGERS["Q"])


@given(st.lists(st.tuples(TICKS, TICKS, st.integers(0, 255)), max_size=50))
def test_columns_of_samples_come_back(rows: list[tuple[int, int, int]]) -> None:
    starts, durations, flags = ([row[at] for row in rows] for at in range(3))
    columns = wire.pack_columns(starts, durations, flags)
    assert len(columns) == len(rows) * wire.SAMPLE_BYTES
    seen = wire.unpack_columns(wire.Samples(1, 0, len(rows), 1, columns))
    assert seen == (tuple(starts), tuple(durations), tuple(flags))


def test_a_block_of_the_wrong_size_is_corrupt() -> None:
    with pytest.raises(WireError) as refused:
        wire.unpack_columns(wire.Samples(1, 0, 2, 1, bytes(wire.SAMPLE_BYTES)))
    assert refused.value.kind == "corrupt"


@pytest.mark.parametrize("max_frame", [128, 256, 1024, wire.LARGEST_FRAME_BYTES])
def test_a_frame_takes_as_many_samples_as_fit_and_no_more(max_frame: int) -> None:
    def sized(count: int) -> bytes:
        return wire.encode_frame(wire.Samples(1, 0, count, 1, bytes(count * wire.SAMPLE_BYTES)), 0, max_frame)

    count = wire.samples_per_frame(max_frame)
    assert sized(count)
    with pytest.raises(WireError):
        sized(count + 1)


def test_the_example_in_the_documentation_is_right() -> None:
    tried = doctest.testmod(wire)
    assert tried.attempted > 0
    assert tried.failed == 0
