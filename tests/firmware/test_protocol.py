"""The agent's side of the protocol, as a program of this machine under ASan and UBSan."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import pytest

from edgeprof import wire
from edgeprof.inputs import random_inputs
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.records.events import AgentIdentified, OperatorTimed, OutputReceived, PassEnded, SamplesReceived
from edgeprof.records.result import Pass, Plan
from tests.firmware.boards import HostChannel, run_passes
from tests.firmware.conftest import SANITIZED, build
from tests.firmware.small_models import randomness

RESEND = wire.LAYOUTS[wire.Resend].type
LATENCY = wire.PASSES.index("latency")


class Talk:
    """Single frames to and from the agent, right or wrong."""

    def __init__(self, agent: Path, *, ask: bool = True) -> None:
        self.channel = HostChannel(agent)
        self.writer = wire.FrameWriter(1024)
        self._reader = wire.FrameReader()
        self._heard: list[wire.Frame] = []
        if ask:
            self.say(wire.Ask())
            self.hello = self.hear(wire.Hello)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def say(self, message: wire.Message) -> None:
        self.channel.write(self.writer.frame(message))

    def frame(self, within_s: float = 5.0) -> wire.Frame:
        until = time.monotonic() + within_s
        while not self._heard:
            try:
                self._heard += self._reader.feed(self.channel.read(max(0.0, until - time.monotonic())))
            except EOFError:
                pytest.fail(self.channel.last_words())
        return self._heard.pop(0)

    def hear(self, wanted: type[Any]) -> Any:  # noqa: ANN401  the message wanted
        """Return the next frame, which is to be of this type."""
        frame = self.frame()
        assert frame.type == wire.LAYOUTS[wanted].type, frame
        return wire.read(frame)

    def hear_failure(self) -> tuple[int, str]:
        failed = self.hear(wire.Failed)
        assert failed.text
        return failed.run, wire.FAILURES[failed.code]

    def hear_resend(self) -> int:
        sequence: int = self.hear(wire.Resend).sequence
        return sequence

    def is_silent(self) -> bool:
        try:
            self.frame(0.1)
        except TimeoutError:
            return True
        return False

    def bring(self, content: bytes, sha256: bytes = b"") -> bytes:
        """Bring a blob and return its hash."""
        digest = sha256 or hashlib.sha256(content).digest()
        self.say(wire.BlobBegin(len(content), digest))
        status = self.hear(wire.BlobStatus)
        while status.state != wire.BLOB_PRESENT:
            for at in range(status.received, len(content), 1000)[: self.hello.window]:
                self.say(wire.BlobChunk(at, content[at : at + 1000]))
            status = self.hear(wire.BlobStatus)
        return digest


@pytest.fixture(scope="module")
def program(kws: Path) -> bytes:
    return pack_program(read_model(kws), kws).content


@pytest.fixture(scope="module")
def inputs(kws: Path) -> bytes:
    return random_inputs(read_model(kws), 0).blob


def test_hello_says_what_the_agent_can_and_fits_the_first_frame(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        assert (talk.hello.major, talk.hello.max_frame, talk.hello.window) == (wire.MAJOR, 1024, 8)
        wanted = {"latency", "memory", "operators", "outputs", "sustained", "blob-chunks", "cancel", "resend"}
        assert wanted <= set(wire.capability_names(talk.hello.capabilities))
        assert talk.hello.formats == "program"
        assert "-O1" in talk.hello.engine
        assert len(wire.encode_frame(talk.hello, 0)) <= wire.FIRST_FRAME_BYTES


def test_what_comes_before_a_conversation_is_noise(native_agent: Path) -> None:
    with Talk(native_agent, ask=False) as talk:
        talk.channel.write(randomness(1).randbytes(20_000) + b"\0")
        talk.say(wire.Ask())
        assert talk.hear(wire.Hello).major == wire.MAJOR


def test_a_board_that_was_reset_asks_for_a_new_beginning(native_agent: Path) -> None:
    with Talk(native_agent, ask=False) as talk:
        talk.say(wire.Ping(1))
        assert talk.hear_failure() == (0, "bad-request")


def test_a_corrupt_frame_is_asked_for_again_and_answered_then(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        frame = talk.writer.frame(wire.Ping(7))
        talk.channel.write(frame[:5] + bytes([frame[5] ^ 1 or 2]) + frame[6:])
        assert talk.hear_resend() == 1
        talk.channel.write(frame)
        assert talk.hear(wire.Pong).token == 7


def test_frames_behind_a_lost_one_wait_for_it_and_are_asked_for_once(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        frames = [talk.writer.frame(wire.Ping(token)) for token in range(3)]
        talk.channel.write(frames[1] + frames[2])
        assert talk.hear_resend() == 1
        assert talk.is_silent()
        talk.channel.write(b"".join(frames))
        assert [talk.hear(wire.Pong).token for _ in range(3)] == [0, 1, 2]


def test_a_frame_that_comes_twice_is_answered_once(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        talk.channel.write(talk.writer.frame(wire.Ping(1)) * 2)
        assert talk.hear(wire.Pong).token == 1
        assert talk.is_silent()


def test_the_agent_sends_again_what_the_host_has_missed(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        for token in range(3):
            talk.say(wire.Ping(token))
            talk.hear(wire.Pong)
        before = talk._reader  # noqa: SLF001  the test's own
        talk._reader = wire.FrameReader()  # noqa: SLF001  as if nothing had been heard
        talk.channel.write(wire.cobs_encode(_body(RESEND, 4, struct.pack("<H", 2))) + b"\0")
        assert [talk.hear(wire.Pong).token for _ in range(2)] == [1, 2]
        assert before.noise == b""


def _body(kind: int, sequence: int, payload: bytes) -> bytes:
    import zlib

    body = struct.pack("<BH", kind, sequence) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def test_a_frame_that_is_too_long_or_never_ends_does_no_harm(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        talk.channel.write(b"\x01" * 70_000 + b"\0")
        assert talk.hear_resend() == 1
        talk.say(wire.Ping(3))
        assert talk.hear(wire.Pong).token == 3


@pytest.mark.parametrize("seed", range(5))
def test_garbage_and_frames_of_garbage_leave_the_agent_alive(native_agent: Path, seed: int) -> None:
    values = randomness(seed)
    with Talk(native_agent) as talk:
        for sequence in range(1, 400):
            kind = values.choice([*range(1, 8), values.randrange(9, 256)])  # 8 is Bye, which ends the program
            talk.channel.write(wire.cobs_encode(_body(kind, sequence, values.randbytes(values.randrange(120)))) + b"\0")
            if values.random() < 0.2:
                talk.channel.write(values.randbytes(values.randrange(300)))
        talk.channel.write(b"\0")
        talk.say(wire.Ask())
        frame = talk.frame()
        while frame.type != wire.LAYOUTS[wire.Hello].type:
            frame = talk.frame()
        assert talk.channel.last_words() == ""


def test_a_blob_is_kept_resumed_and_known_by_its_hash(native_agent: Path) -> None:
    content = randomness(2).randbytes(9_000)
    digest = hashlib.sha256(content).digest()
    with Talk(native_agent) as talk:
        talk.say(wire.BlobBegin(len(content), digest))
        assert talk.hear(wire.BlobStatus) == wire.BlobStatus(0, wire.BLOB_ABSENT)
        for at in range(0, 4000, 500):
            talk.say(wire.BlobChunk(at, content[at : at + 500]))
        assert talk.hear(wire.BlobStatus) == wire.BlobStatus(4000, wire.BLOB_PARTIAL)
        talk.say(wire.BlobBegin(len(content), digest))
        assert talk.hear(wire.BlobStatus) == wire.BlobStatus(4000, wire.BLOB_PARTIAL)
        talk.bring(content)
        talk.say(wire.BlobBegin(len(content), digest))
        assert talk.hear(wire.BlobStatus) == wire.BlobStatus(9000, wire.BLOB_PRESENT)


def test_a_blob_with_another_hash_is_refused(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        talk.say(wire.BlobBegin(4, bytes(32)))
        assert talk.hear(wire.BlobStatus).state == wire.BLOB_ABSENT
        talk.say(wire.BlobChunk(0, b"test"))
        assert talk.hear_failure() == (0, "blob-corrupt")


@pytest.mark.parametrize("size", [0, 25 << 20, 1 << 40])
def test_a_blob_that_does_not_fit_is_refused(native_agent: Path, size: int) -> None:
    with Talk(native_agent) as talk:
        talk.say(wire.BlobBegin(size, bytes(32)))
        assert talk.hear_failure() == (0, "out-of-memory")


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_the_boards_sha256_is_right_at_every_end_of_a_block(native_agent: Path, size: int) -> None:
    with Talk(native_agent) as talk:
        talk.bring(bytes(range(250)) * 4 if size == 1000 else bytes(size + 1))


def test_what_was_used_longest_ago_makes_room(native_agent: Path) -> None:
    with Talk(native_agent) as talk:
        kept = talk.bring(b"kept")
        digests = [talk.bring(bytes([number]) * 100) for number in range(10)]
        for digest, state in (
            (kept, wire.BLOB_ABSENT),
            (digests[0], wire.BLOB_ABSENT),
            (digests[9], wire.BLOB_PRESENT),
        ):
            talk.say(wire.BlobBegin(100 if digest != kept else 4, digest))
            assert talk.hear(wire.BlobStatus).state == state


def test_what_is_asked_wrongly_is_refused_and_the_agent_goes_on(
    native_agent: Path, program: bytes, inputs: bytes
) -> None:
    with Talk(native_agent) as talk:
        talk.say(wire.Run(3, LATENCY, 1, model=bytes(32), inputs=bytes(32)))
        assert talk.hear_failure() == (3, "unknown-blob")
        model, given = talk.bring(program), talk.bring(inputs)
        talk.say(wire.Run(4, 200, 1, model=model, inputs=given))
        assert talk.hear_failure() == (4, "bad-request")
        talk.say(wire.Run(5, LATENCY, 1, model=model, inputs=model))
        assert talk.hear_failure() == (5, "bad-request")
        talk.say(wire.Run(6, LATENCY, 1, model=given, inputs=given))
        assert talk.hear_failure() == (6, "model-rejected")
        talk.say(wire.BlobChunk(0, b"x"))
        assert talk.hear_failure() == (0, "bad-request")
        talk.say(wire.Ping(9))
        assert talk.hear(wire.Pong).token == 9


@pytest.mark.parametrize("at", [0, 4, 8, 12, 20, 100, 5000])
def test_a_damaged_program_is_rejected(native_agent: Path, program: bytes, inputs: bytes, at: int) -> None:
    damaged = program[:at] + bytes([program[at] ^ 0x10]) + program[at + 1 :]
    plan = Plan(passes=(Pass(kind="outputs"),), format="program")
    with FramedSession(HostChannel(native_agent), name="native") as session:
        (ended,) = [e for e in session.run(plan, {"model": damaged, "inputs": inputs}) if isinstance(e, PassEnded)]
    assert (ended.complete, ended.failure) == (False, "model-rejected")


def test_a_long_pass_is_cancelled_and_what_was_measured_counts(
    native_agent: Path, program: bytes, inputs: bytes
) -> None:
    plan = Plan(passes=(Pass(kind="latency", runs=10_000_000, warmup=0),), format="program")
    with FramedSession(HostChannel(native_agent), name="native") as session:
        cancelled, samples = False, 0
        for event in session.run(plan, {"model": program, "inputs": inputs}):
            if isinstance(event, SamplesReceived):
                samples += len(event.duration_ticks)
                if not cancelled:
                    session.cancel_pass(0)
                    cancelled = True
            if isinstance(event, PassEnded):
                assert event.failure == "cancelled"
    assert samples > 0


def test_a_new_host_takes_the_agent_over_in_the_middle_of_a_pass(
    native_agent: Path, program: bytes, inputs: bytes
) -> None:
    with Talk(native_agent) as talk:
        model, given = talk.bring(program), talk.bring(inputs)
        talk.say(wire.Run(1, LATENCY, 10_000_000, warmup=0, batch=1, model=model, inputs=given))
        assert talk.hear(wire.Started).model == model
        talk.writer = wire.FrameWriter()
        talk.say(wire.Ask())
        frame = talk.frame()
        while frame.type != wire.LAYOUTS[wire.Hello].type:
            frame = talk.frame()
        talk.say(wire.Ping(5))
        frames = [talk.frame()]
        while frames[-1].type != wire.LAYOUTS[wire.Pong].type:
            frames.append(talk.frame())
        assert wire.LAYOUTS[wire.Failed].type not in {frame.type for frame in frames}


def test_a_duration_ends_a_sustained_pass(native_agent: Path, program: bytes, inputs: bytes) -> None:
    with FramedSession(HostChannel(native_agent), name="native") as session:
        passes = [Pass(kind="sustained", duration_s=0.2), Pass(kind="latency", runs=130, warmup=3, batch=2)]
        events = run_passes(session, program, inputs, passes)
    sustained = [e for e in events if isinstance(e, SamplesReceived) and e.index == 0]
    assert 0.1e9 < sum(sum(e.duration_ticks) for e in sustained) < 1e9
    latency = [e for e in events if isinstance(e, SamplesReceived) and e.index == 1]
    assert sum(len(e.duration_ticks) for e in latency if e.batch == 2) == 130
    warm = [flags for e in latency if e.batch == 1 for flags in e.flags]
    assert warm == [wire.WARMUP] * 3
    flagged = [e.flags[0] & wire.AFTER_SEND for e in latency]
    assert flagged == [0, *[wire.AFTER_SEND] * (len(latency) - 1)]


def test_operators_are_named_as_in_the_model(native_agent: Path, kws: Path, program: bytes, inputs: bytes) -> None:
    graph = read_model(kws)
    with FramedSession(HostChannel(native_agent), name="native") as session:
        events = run_passes(session, program, inputs, [Pass(kind="operators", runs=3)])
    timed = [event for event in events if isinstance(event, OperatorTimed)]
    assert [(t.operator, t.type, t.calls) for t in timed] == [
        (index, operator.type, 3) for index, operator in enumerate(graph.operators) if operator.type != "RESHAPE"
    ]
    assert all(t.ticks > 0 and t.name == graph.operators[t.operator].name for t in timed)


def test_another_engine_is_compiled_against_the_same_header(tmp_path: Path) -> None:
    engine = f"ENGINE={os.path.realpath(__file__).rsplit('/', 1)[0]}/engine_counting.c"
    agent = build(tmp_path, "host", dict(os.environ), f"OPT={SANITIZED}", engine)
    blob = wire.pack_inputs([("in", "uint8", (4,), [b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"])])
    passes = [Pass(kind="operators", runs=2), Pass(kind="outputs")]
    with FramedSession(HostChannel(agent), name="native") as session:
        events = run_passes(session, b"\x03", blob, passes, "count")
    (identified,) = [event for event in events if isinstance(event, AgentIdentified)]
    assert (identified.engine, identified.formats) == ("counting", ("count",))
    assert [event.type for event in events if isinstance(event, OperatorTimed)] == ["COUNT"] * 3
    outputs = [event for event in events if isinstance(event, OutputReceived)]
    assert [output.content for output in outputs] == [b"\x04\x05\x06\x07", b"\x08\x09\x0a\x0b"]
    assert [(output.name, output.dtype, output.shape) for output in outputs] == [("out", "uint8", (4,))] * 2


# ── a board that is slow, and one whose memory was written over ──────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory, native_agent: Path) -> Path:
    """Return an agent to which a millisecond is a long silence."""
    assert native_agent.is_file()  # there is a compiler
    folder = tmp_path_factory.mktemp("talkative")
    return build(folder, "host", dict(os.environ), f"OPT={SANITIZED}", "EXTRA=-DALIVE_MS=1")


def heard_in_a_pass(agent: Path, program: bytes, inputs: bytes, kind: str) -> list[Any]:
    with Talk(agent) as talk:
        model, given = talk.bring(program), talk.bring(inputs)
        talk.say(wire.Run(1, wire.PASSES.index(kind), 2, warmup=0, batch=1, model=model, inputs=given))
        heard = [wire.read(talk.frame())]
        while not isinstance(heard[-1], wire.Done):
            assert not isinstance(heard[-1], wire.Failed), heard[-1]
            heard.append(wire.read(talk.frame()))
        return heard


@pytest.mark.parametrize("kind", ["latency", "memory", "operators", "outputs"])
def test_in_a_long_inference_the_agent_says_between_operators_that_it_is_alive(
    talkative: Path, program: bytes, inputs: bytes, kind: str
) -> None:
    heard = heard_in_a_pass(talkative, program, inputs, kind)
    assert any(isinstance(message, wire.Alive) for message in heard)


def test_a_sample_in_which_the_agent_spoke_is_flagged(talkative: Path, program: bytes, inputs: bytes) -> None:
    heard = heard_in_a_pass(talkative, program, inputs, "latency")
    flags = [wire.unpack_columns(message)[2] for message in heard if isinstance(message, wire.Samples)]
    assert [flag for block in flags for flag in block] == [wire.AFTER_SEND, wire.AFTER_SEND]


def test_a_short_inference_is_left_in_peace(native_agent: Path, program: bytes, inputs: bytes) -> None:
    heard = heard_in_a_pass(native_agent, program, inputs, "latency")
    (samples,) = [message for message in heard if isinstance(message, wire.Samples)]
    if max(wire.unpack_columns(samples)[1]) < 1_000_000_000:
        assert not any(isinstance(message, wire.Alive) for message in heard)
        assert wire.unpack_columns(samples)[2] == (0, 0)


def test_a_blob_that_was_written_over_in_memory_is_noticed_and_brought_again(
    native_agent: Path, program: bytes, inputs: bytes
) -> None:
    with Talk(native_agent) as talk:
        model, given = talk.bring(program), talk.bring(inputs)
        write_over(talk.channel.process_id, native_agent, 1000)
        talk.say(wire.BlobBegin(len(program), model))
        note = talk.hear(wire.Note)
        assert note.code == "blob-replaced"
        assert talk.hear(wire.BlobStatus) == wire.BlobStatus(0, wire.BLOB_ABSENT)
        assert talk.bring(program) == model
        talk.say(wire.BlobBegin(len(inputs), given))
        assert talk.hear(wire.BlobStatus).state == wire.BLOB_PRESENT


def write_over(pid: int, agent: Path, at: int) -> None:
    """Flip a byte of the memory in which the agent keeps its blobs."""
    symbols = subprocess.run(["nm", agent], capture_output=True, text=True, check=True).stdout.splitlines()
    offset = next(int(line.split()[0], 16) for line in symbols if line.endswith(" b memory"))
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    base = next(int(line.split("-")[0], 16) for line in maps if line.endswith(str(agent)))
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(base + offset + at)
        (byte,) = memory.read(1)
        memory.seek(base + offset + at)
        memory.write(bytes([byte ^ 0xFF]))
