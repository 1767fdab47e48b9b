"""The agent protocol, declared once: frames, messages, codes. It also runs inside the agent, on Python 3.6 and later.

A **frame** is ``COBS(type u8 | sequence u16 | payload | CRC-32 u32) 0x00``, little-endian. The delimiter never occurs
inside, so a reader that starts in the middle, or after noise, finds the next frame by itself. The CRC is the IEEE one
(``zlib.crc32``) over type, sequence and payload. Each direction counts its own frames from 0; a repeated number is a
doubled frame, a skipped one a lost frame.

A **payload** is a fixed little-endian struct followed by tagged fields ``tag u8 | length u16 | bytes``. A reader skips
the tags that it does not know and gives the ones that are missing their default, so that fields can be added within a
major version. Control and samples travel in frames of at most the size that HELLO agreed on (before HELLO: 256 bytes);
models, programs and inputs are **blobs**, put on the board once and named by their SHA-256.

What a C agent on a microcontroller needs, and why it is so:

* no allocation: one receive buffer and one send buffer of ``max_frame`` bytes; COBS is encoded and decoded in place,
  and the CRC needs a table of 16 words;
* ``max_frame`` down to 128 bytes: every message but the bulk ones (BLOB_CHUNK, SAMPLES, OUTPUT) fits that;
* samples are columns, so that an agent can hand over its measuring buffers with three copies and no packing loop;
* clock readings are raw counter ticks of 64 bits; HELLO says what a tick is (seconds, cycles, instructions) and its
  rate, and the host converts;
* no JSON is ever required of it: fields of kind ``json`` are sent by agents on Linux only.

>>> frames = FrameReader()
>>> [read(frame) for frame in frames.feed(encode_frame(Ping(token=7), 0))]
[Ping(token=7)]
"""

import json
import struct
import zlib
from collections import deque
from typing import Any, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Type, Union

MAJOR, MINOR = 1, 1
FIRST_FRAME_BYTES = 256
SMALLEST_FRAME_BYTES = 128
LARGEST_FRAME_BYTES = 65535
FRAME_OVERHEAD_BYTES = 7  # type, sequence, CRC
KEPT_FRAMES = 64  # for an agent that asks for them again

AUTO = 0xFFFFFFFF
"""A warm-up or batch that the agent chooses for itself."""

# What a counter tick is (Hello.counter_unit).
SECONDS, CYCLES, INSTRUCTIONS = 0, 1, 2
COUNTER_UNITS = ("seconds", "cycles", "instructions")

# Where an agent's figures come from (Hello.basis).
BASES = ("measured", "emulated", "simulated")

# The passes that a RUN can ask for, in the order of their numbers; a new one goes to the end.
PASSES = ("latency", "memory", "operators", "outputs", "sustained", "deadline", "energy", "stages", "pair")
CAPABILITIES = (
    "latency",
    "memory",
    "operators",
    "outputs",
    "sustained",
    "preemption",
    "blob-chunks",
    "blob-files",
    "probe",
    "state",
    "cancel",
    "threads",
    "heartbeat",
    "resend",
    "deadline",
    "energy",
    "stages",
    "pair",
    "settings",
    "sensors",
    "install",
)
"""What an agent can do, in the order of the bits of Hello.capabilities; a new one goes to the end."""

SETTINGS = ("delegate", "providers", "runtime_options", "cpus", "period_ns", "windows", "window_ms", "idle_ms", "hook",
            "hook_name", "sensors_ms", "second")  # fmt: skip
"""What Run.settings may hold, as JSON, for agents with the capability `settings`:

`delegate` "xnnpack", "none" or the path of a delegate library on the board; `providers` ONNX Runtime's, in order;
`runtime_options` of its session, each "KEY=VALUE"; `cpus` the cores to pin to; `period_ns` of a deadline pass;
`windows`, `window_ms`, `idle_ms` of an energy pass; `hook` the SHA-256 of a Python file for a stages pass, `hook_name`
what messages call it; `sensors_ms` how often sensors are read, 0 never; `second` the other model of a pair pass:
{model, inputs, format, runtime, delegate, providers, runtime_options, shapes, files}, hashes as hex, `files` as Run
has them.
"""

# Flags of a sample. WINDOW: the first of a window of an energy pass. SECOND: of the other model of a pair.
# PREPROCESSING, POSTPROCESSING: of that stage; of a stages pass, a sample with neither is the inference's.
WARMUP, PREEMPTED, THROTTLED, AFTER_SEND, WINDOW, SECOND, PREPROCESSING, POSTPROCESSING = 1, 2, 4, 8, 16, 32, 64, 128

# What a Mark measures: nanoseconds are ticks of the agent's counter, bytes are bytes.
MARKS = (
    "load_ticks", "first_ticks", "import_ticks",
    "baseline_anonymous_bytes", "baseline_file_backed_bytes",
    "loaded_bytes", "peak_bytes", "average_bytes", "anonymous_bytes", "file_backed_bytes",
    "arena_bytes", "stack_peak_bytes", "static_ram_bytes", "flash_bytes", "program_bytes",
    "steady", "preempted_unknown", "sensor_ticks",
    "agent_flash_bytes", "agent_ram_bytes",
)  # fmt: skip

# Why a request failed (Failed.code).
FAILURES = (
    "internal", "bad-request", "unknown-blob", "no-runtime", "runtime-crashed", "model-rejected",
    "out-of-memory", "timeout", "disk-full", "cancelled", "version", "blob-corrupt",
)  # fmt: skip

# Where a blob stands (BlobStatus.state).
BLOB_ABSENT, BLOB_PARTIAL, BLOB_PRESENT = 0, 1, 2

Message = Any
"""One of the messages below; what it is, its type says."""


class WireError(Exception):
    """A frame that is `corrupt`, `lost`, `doubled` or `oversized` (`kind`)."""

    def __init__(self, kind: str, message: str) -> None:
        super(WireError, self).__init__(message)
        self.kind = kind


# ── host to agent ────────────────────────────────────────────────────────────────────────────────────────────────────


class Ask(NamedTuple):
    """The first word: which protocol the host speaks and how large a frame it takes. Answer: Hello."""

    major: int = MAJOR
    minor: int = MINOR
    max_frame: int = LARGEST_FRAME_BYTES


class Probe(NamedTuple):
    """Which runtimes for this format really work? Answer: Runtimes."""

    format: str = ""
    fresh: int = 0


class BlobBegin(NamedTuple):
    """Is this blob there, and how much of it? Answer: BlobStatus."""

    size: int
    sha256: bytes


class BlobChunk(NamedTuple):
    """A part of the blob that BlobBegin named. Answer: BlobStatus after every `window` chunks and after the last."""

    offset: int
    content: bytes = b""


class Run(NamedTuple):
    """One pass, whole: the agent needs nothing more from the host until Done or Failed."""

    run: int
    kind: int
    runs: int
    warmup: int = AUTO
    batch: int = AUTO
    threads: int = 1
    duration_ms: int = 0
    model: bytes = b""
    inputs: bytes = b""
    format: str = ""
    runtime: str = ""
    shapes: str = ""
    files: str = ""
    settings: str = ""


class Install(NamedTuple):
    """Put these wheels, blobs that are here already, into the agent's own folder. Answer: Installed or Failed.

    `wheels` maps a wheel's file name to its SHA-256 as hex.
    """

    replace: int = 0
    wheels: str = "{}"


class Cancel(NamedTuple):
    """Stop the pass that is running. Answer: Failed with `cancelled`."""

    run: int


class Ping(NamedTuple):
    """What does your clock say? Answer: Pong."""

    token: int


class Bye(NamedTuple):
    """The host is done; the agent ends."""

    reason: int = 0


class Resend(NamedTuple):
    """Send the frames again from this number on: said by either side of a line that loses bytes (capability `resend`).

    Such an agent does not hang up on a frame that is corrupt, lost or doubled: it asks for what it misses and drops
    what it has had. Both sides keep what they sent last.
    """

    sequence: int


# ── agent to host ────────────────────────────────────────────────────────────────────────────────────────────────────


class Hello(NamedTuple):
    """Who answers, what it can do, and how its figures are to be read."""

    major: int
    minor: int
    max_frame: int
    window: int
    basis: int
    counter_unit: int
    counter_hz: int
    capabilities: int
    agent: str = ""
    board: str = ""
    formats: str = ""
    blob_folder: str = ""
    engine: str = ""
    identity: str = ""


class Runtimes(NamedTuple):
    """What the probe found: a JSON list of {name, version, works, reason}."""

    size: int
    found: str = "[]"


class BlobStatus(NamedTuple):
    """How many bytes of the blob are there, in order, and whether its hash is right."""

    received: int
    state: int


class Started(NamedTuple):
    """The pass begins; the model is named by hash so that an answer for another one is noticed."""

    run: int
    model: bytes
    runtime: str = ""
    detail: str = "{}"


class Mark(NamedTuple):
    """One single figure: see MARKS."""

    run: int
    kind: int
    value: int


class Samples(NamedTuple):
    """A block of samples in columns: start ticks u64 each, duration ticks u64 each, flags u8 each."""

    run: int
    first: int
    size: int
    batch: int
    columns: bytes = b""


class OperatorTime(NamedTuple):
    """Time in one operator, summed over `calls` inferences."""

    run: int
    position: int
    calls: int
    ticks: int
    name: str = ""
    type: str = ""


class Output(NamedTuple):
    """A part of one output tensor of one inference."""

    run: int
    inference: int
    tensor: int
    offset: int
    size: int
    content: bytes = b""
    name: str = ""
    dtype: str = ""
    shape: str = ""


class State(NamedTuple):
    """The board's state, `phase` 0 before and 1 after a pass, as JSON."""

    run: int
    phase: int
    state: str = "{}"


class Channels(NamedTuple):
    """The sensors that are read during a pass, or were: a JSON list of {name, quantity, unit, source, rail, role, …}.

    Said before the first reading; said again at the end with what the sampling took (`cpu_s`, `reads`, a channel's
    `failures` and `reason`).
    """

    run: int
    ended: int
    channels: str = "[]"


class Readings(NamedTuple):
    """A block of sensor readings in columns: ticks u64 each, channel u8 each, value f64 each. A gap has no reading."""

    run: int
    size: int
    columns: bytes = b""


class Installed(NamedTuple):
    """The wheels are in the agent's folder: what is there now, as a JSON list of file names."""

    size: int
    wheels: str = "[]"


class Note(NamedTuple):
    """Something that a person should know; `code` is a stable word."""

    run: int
    code: str = ""
    text: str = ""


class Alive(NamedTuple):
    """The pass goes on; sent when there is nothing else to say."""

    run: int


class Done(NamedTuple):
    """The pass is complete: how many samples were sent and the CRC-32 of all their columns."""

    run: int
    samples: int
    crc: int


class Failed(NamedTuple):
    """The request failed; `run` 0 when it was not a pass."""

    run: int
    code: int
    text: str = ""


class Pong(NamedTuple):
    """The agent's clock, in ticks."""

    token: int
    ticks: int


class Layout(NamedTuple):
    """How a message travels: its type byte, its struct, and its tagged fields (name, tag, kind)."""

    type: int
    fixed: Tuple[Tuple[str, str], ...]
    tagged: Tuple[Tuple[str, int, str], ...] = ()


LAYOUTS: Dict[Type[Any], Layout] = {
    Ask: Layout(0x01, (("major", "B"), ("minor", "B"), ("max_frame", "H"))),
    Probe: Layout(0x02, (("fresh", "B"),), (("format", 1, "text"),)),
    BlobBegin: Layout(0x03, (("size", "Q"), ("sha256", "32s"))),
    BlobChunk: Layout(0x04, (("offset", "Q"),), (("content", 1, "bytes"),)),
    Run: Layout(
        0x05,
        (("run", "H"), ("kind", "B"), ("runs", "I"), ("warmup", "I"), ("batch", "I"), ("threads", "H"),
         ("duration_ms", "I"), ("model", "32s")),
        (("inputs", 1, "bytes"), ("format", 2, "text"), ("runtime", 3, "text"), ("shapes", 4, "json"),
         ("files", 5, "json"), ("settings", 6, "json")),
    ),
    Cancel: Layout(0x06, (("run", "H"),)),
    Ping: Layout(0x07, (("token", "I"),)),
    Bye: Layout(0x08, (("reason", "B"),)),
    Resend: Layout(0x09, (("sequence", "H"),)),
    Install: Layout(0x0A, (("replace", "B"),), (("wheels", 1, "json"),)),
    Hello: Layout(
        0x81,
        (("major", "B"), ("minor", "B"), ("max_frame", "H"), ("window", "B"), ("basis", "B"), ("counter_unit", "B"),
         ("counter_hz", "Q"), ("capabilities", "I")),
        (("agent", 1, "text"), ("board", 2, "text"), ("formats", 3, "text"), ("blob_folder", 4, "text"),
         ("engine", 5, "text"), ("identity", 6, "json")),
    ),
    Runtimes: Layout(0x82, (("size", "H"),), (("found", 1, "json"),)),
    BlobStatus: Layout(0x83, (("received", "Q"), ("state", "B"))),
    Started: Layout(0x84, (("run", "H"), ("model", "32s")), (("runtime", 1, "text"), ("detail", 2, "json"))),
    Mark: Layout(0x85, (("run", "H"), ("kind", "B"), ("value", "Q"))),
    Samples: Layout(0x86, (("run", "H"), ("first", "I"), ("size", "H"), ("batch", "I")), (("columns", 1, "bytes"),)),
    OperatorTime: Layout(
        0x87,
        (("run", "H"), ("position", "H"), ("calls", "I"), ("ticks", "Q")),
        (("name", 1, "text"), ("type", 2, "text")),
    ),
    Output: Layout(
        0x88,
        (("run", "H"), ("inference", "I"), ("tensor", "H"), ("offset", "Q"), ("size", "Q")),
        (("content", 1, "bytes"), ("name", 2, "text"), ("dtype", 3, "text"), ("shape", 4, "text")),
    ),
    State: Layout(0x89, (("run", "H"), ("phase", "B")), (("state", 1, "json"),)),
    Note: Layout(0x8A, (("run", "H"),), (("code", 1, "text"), ("text", 2, "text"))),
    Alive: Layout(0x8B, (("run", "H"),)),
    Done: Layout(0x8C, (("run", "H"), ("samples", "I"), ("crc", "I"))),
    Failed: Layout(0x8D, (("run", "H"), ("code", "B")), (("text", 1, "text"),)),
    Pong: Layout(0x8E, (("token", "I"), ("ticks", "Q"))),
    Channels: Layout(0x8F, (("run", "H"), ("ended", "B")), (("channels", 1, "json"),)),
    Readings: Layout(0x90, (("run", "H"), ("size", "H")), (("columns", 1, "bytes"),)),
    Installed: Layout(0x91, (("size", "H"),), (("wheels", 1, "json"),)),
}  # fmt: skip

BY_TYPE: Dict[int, Type[Any]] = {layout.type: message for message, layout in LAYOUTS.items()}

SAMPLE_BYTES = 17
READING_BYTES = 17


class Frame(NamedTuple):
    """A frame whose CRC was right."""

    type: int
    sequence: int
    payload: bytes


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack(message: Message) -> bytes:
    """Return the payload of a message."""
    layout = LAYOUTS[type(message)]
    values = message._asdict()
    fixed = struct.pack("<" + "".join(code for _, code in layout.fixed), *[values[name] for name, _ in layout.fixed])
    return fixed + b"".join(_tagged(tag, values[name]) for name, tag, _ in layout.tagged if values[name])


def read(frame: Frame) -> Message:
    """Return the message in a frame; a type that this side does not know is `corrupt`."""
    if frame.type not in BY_TYPE:
        raise WireError("corrupt", "frame {} has the unknown type 0x{:02x}".format(frame.sequence, frame.type))
    message = BY_TYPE[frame.type]
    layout = LAYOUTS[message]
    code = "<" + "".join(code for _, code in layout.fixed)
    size = struct.calcsize(code)
    if len(frame.payload) < size:
        text = "frame {} ({}) has {} bytes of payload, its fixed part needs {}"
        raise WireError("corrupt", text.format(frame.sequence, message.__name__, len(frame.payload), size))
    values = dict(zip([name for name, _ in layout.fixed], struct.unpack_from(code, frame.payload)))
    names = {tag: (name, kind) for name, tag, kind in layout.tagged}
    for tag, content in _fields(frame.payload, size):
        if tag in names:
            name, kind = names[tag]
            values[name] = content if kind == "bytes" else content.decode("utf-8", "replace")
    return message(**values)


def _tagged(tag: int, value: "Union[str, bytes]") -> bytes:
    content = value.encode("utf-8") if isinstance(value, str) else bytes(value)
    if len(content) > 0xFFFF:
        raise WireError("oversized", "field {} has {} bytes, a field carries 65535".format(tag, len(content)))
    return struct.pack("<BH", tag, len(content)) + content


def _fields(payload: bytes, at: int) -> Iterator[Tuple[int, bytes]]:
    while at < len(payload):
        if at + 3 > len(payload):
            raise WireError("corrupt", "a tagged field ends inside its header")
        tag, size = struct.unpack_from("<BH", payload, at)
        at += 3
        if at + size > len(payload):
            raise WireError("corrupt", "field {} says {} bytes, {} are left".format(tag, size, len(payload) - at))
        yield tag, payload[at : at + size]
        at += size


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def encode_frame(message: Message, sequence: int, max_frame: int = LARGEST_FRAME_BYTES) -> bytes:
    """Return a whole frame with its delimiter."""
    return wrap(LAYOUTS[type(message)].type, pack(message), sequence, max_frame)


def wrap(kind: int, payload: bytes, sequence: int, max_frame: int = LARGEST_FRAME_BYTES) -> bytes:
    """Return the frame, with its delimiter, of a payload that is packed already."""
    body = struct.pack("<BH", kind, sequence & 0xFFFF) + payload
    body += struct.pack("<I", zlib.crc32(body) & 0xFFFFFFFF)
    if len(body) > max_frame:
        text = "a frame of {} bytes ({}), the other side takes {}"
        raise WireError("oversized", text.format(len(body), BY_TYPE[kind].__name__, max_frame))
    return cobs_encode(body) + b"\0"


def cobs_encode(content: bytes) -> bytes:
    """Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zero byte in the output."""
    out: List[bytes] = []
    for block in content.split(b"\0"):
        whole = len(block) // 254 * 254
        out += [b"\xff" + block[at : at + 254] for at in range(0, whole, 254)]
        out.append(bytes([len(block) - whole + 1]) + block[whole:])
    return b"".join(out)


def cobs_decode(content: bytes) -> bytes:
    """Undo `cobs_encode`; a length byte that points outside is `corrupt`."""
    out: List[bytes] = []
    at, end = 0, len(content)
    while at < end:
        code = content[at]
        if code == 0 or at + code > end:
            raise WireError("corrupt", "byte stuffing is broken at byte {} of {}".format(at, end))
        out.append(content[at + 1 : at + code])
        at += code
        if code < 0xFF and at < end:
            out.append(b"\0")
    return b"".join(out)


def decode_frame(stuffed: bytes, max_frame: int = LARGEST_FRAME_BYTES) -> Frame:
    """Return the frame between two delimiters."""
    body = cobs_decode(stuffed)
    if len(body) > max_frame:
        raise WireError("oversized", "a frame of {} bytes, at most {} were agreed".format(len(body), max_frame))
    if len(body) < FRAME_OVERHEAD_BYTES:
        raise WireError("corrupt", "a frame of {} bytes, the smallest has {}".format(len(body), FRAME_OVERHEAD_BYTES))
    seen, wanted = struct.unpack_from("<I", body, len(body) - 4)[0], zlib.crc32(body[:-4]) & 0xFFFFFFFF
    if seen != wanted:
        text = "a frame of {} bytes has the CRC {:08x}, its content {:08x}"
        raise WireError("corrupt", text.format(len(body), seen, wanted))
    kind, sequence = struct.unpack_from("<BH", body)
    return Frame(kind, sequence, body[3:-4])


class FrameReader(object):
    """Turns bytes into frames and notices what is wrong with them. What comes before the first frame is noise."""

    def __init__(self, max_frame: int = LARGEST_FRAME_BYTES) -> None:
        self.max_frame = max_frame
        self._noise = b""
        self._expected: Optional[int] = None
        self._buffer = bytearray()

    @property
    def expected(self) -> Optional[int]:
        """The number of the next frame; None before the first."""
        return self._expected

    @property
    def noise(self) -> bytes:
        """What came before the first frame, the last of it, also what no zero has ended yet."""
        unended = bytes(self._buffer) if self._expected is None else b""
        return (self._noise + unended)[-4096:]

    def drop_unfinished(self) -> None:
        """Forget what has come of a frame that has no end."""
        del self._buffer[:]

    def feed(self, content: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete now; raise WireError at the first that is not as it should be.

        What stands behind that one is kept: `feed(b"")` goes on with it.
        """
        self._buffer += content
        while True:
            end = self._buffer.find(b"\0")
            if end < 0:
                break
            stuffed = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if stuffed:
                frame = self._decode(stuffed)
                if frame is not None:
                    yield frame
        if self._expected is not None and len(self._buffer) > self.max_frame * 255 // 254 + 2:
            size = len(self._buffer)
            raise WireError("oversized", "{} bytes without an end of frame, at most {} were agreed".format(
                size, self.max_frame))  # fmt: skip

    def _decode(self, stuffed: bytes) -> Optional[Frame]:
        try:
            frame = decode_frame(stuffed, self.max_frame)
        except WireError:
            if self._expected is None:
                self._noise = (self._noise + stuffed)[-4096:]
                return None
            raise
        self._check_order(frame)
        self._expected = (frame.sequence + 1) & 0xFFFF
        return frame

    def _check_order(self, frame: Frame) -> None:
        if self._expected is None or frame.sequence == self._expected:
            return
        ahead = (frame.sequence - self._expected) & 0xFFFF
        if ahead >= 0x8000:
            raise WireError("doubled", "frame {} came again, frame {} was expected".format(
                frame.sequence, self._expected))  # fmt: skip
        raise WireError("lost", "{} {} lost before frame {}, frame {} was expected".format(
            ahead, "frame was" if ahead == 1 else "frames were", frame.sequence, self._expected))  # fmt: skip


class FrameWriter(object):
    """Numbers the frames of one direction."""

    def __init__(self, max_frame: int = FIRST_FRAME_BYTES) -> None:
        self.max_frame = max_frame
        self._sequence = 0
        self._begun = False
        self._sent: Deque[Tuple[int, bytes]] = deque(maxlen=KEPT_FRAMES)

    def frame(self, message: Message) -> bytes:
        """Return the next frame."""
        return self.wrap(LAYOUTS[type(message)].type, pack(message))

    def wrap(self, kind: int, payload: bytes) -> bytes:
        """Return the next frame for a payload that is packed already."""
        encoded = wrap(kind, payload, self._sequence, self.max_frame)
        if not self._begun:
            self._begun = True
            encoded = b"\0" + encoded  # ends the noise before it
        self._sent.append((self._sequence, encoded))
        self._sequence = (self._sequence + 1) & 0xFFFF
        return encoded

    def again(self, sequence: int) -> bytes:
        """Return the frames from this number on once more; nothing when it is not among the last ones."""
        numbers = [number for number, _ in self._sent]
        if sequence not in numbers:
            return b""
        return b"".join(encoded for _, encoded in list(self._sent)[numbers.index(sequence) :])


# ── what more than one side needs ────────────────────────────────────────────────────────────────────────────────────


def capability_bits(names: Iterable[str]) -> int:
    """Return the bit set of some capability names."""
    return sum(1 << CAPABILITIES.index(name) for name in names)


def capability_names(bits: int) -> Tuple[str, ...]:
    """Return the names of the capabilities that this side knows."""
    return tuple(name for index, name in enumerate(CAPABILITIES) if bits >> index & 1)


def pack_columns(starts: Sequence[int], durations: Sequence[int], flags: Sequence[int]) -> bytes:
    """Return the columns of a block of samples."""
    count = len(starts)
    code = "<{0}Q{0}Q{0}B".format(count)
    return struct.pack(code, *([*starts, *durations, *flags]))


def unpack_columns(samples: Samples) -> Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[int, ...]]:
    """Return start ticks, duration ticks and flags; a block of the wrong size is `corrupt`."""
    count = samples.size
    if len(samples.columns) != count * SAMPLE_BYTES:
        text = "a block of {} samples has {} bytes, {} were expected"
        raise WireError("corrupt", text.format(count, len(samples.columns), count * SAMPLE_BYTES))
    values = struct.unpack("<{0}Q{0}Q{0}B".format(count), samples.columns)
    return values[:count], values[count : 2 * count], values[2 * count :]


def pack_readings(ticks: Sequence[int], channels: Sequence[int], values: Sequence[float]) -> bytes:
    """Return the columns of a block of sensor readings."""
    return struct.pack("<{0}Q{0}B{0}d".format(len(ticks)), *([*ticks, *channels, *values]))


def unpack_readings(readings: Readings) -> Tuple[Tuple[int, ...], Tuple[int, ...], Tuple[float, ...]]:
    """Return ticks, channels and values; a block of the wrong size is `corrupt`."""
    count = readings.size
    if len(readings.columns) != count * READING_BYTES:
        text = "a block of {} readings has {} bytes, {} were expected"
        raise WireError("corrupt", text.format(count, len(readings.columns), count * READING_BYTES))
    columns = struct.unpack("<{0}Q{0}B{0}d".format(count), readings.columns)
    return columns[:count], columns[count : 2 * count], columns[2 * count :]


def samples_per_frame(max_frame: int) -> int:
    """Return how many samples fit a frame of this size."""
    fixed = FRAME_OVERHEAD_BYTES + struct.calcsize("<HIHI") + 3
    return max(1, (max_frame - fixed) // SAMPLE_BYTES)


def pack_inputs(tensors: List[Tuple[str, str, Tuple[int, ...], List[bytes]]]) -> bytes:
    """Return an input blob: (name, dtype, shape, one byte string an inference) a tensor.

    ``"EPIN" | header length u32 | JSON header | the tensors' bytes, inference by inference``.
    """
    count = len(tensors[0][3]) if tensors else 1
    head = inputs_head(count, [(name, dtype, shape) for name, dtype, shape, _ in tensors])
    body = b"".join(values[i] for i in range(count) for _, _, _, values in tensors)
    return head + body


def inputs_head(count: int, tensors: List[Tuple[str, str, Tuple[int, ...]]]) -> bytes:
    """Return what stands in an input blob before the tensors' bytes: (name, dtype, shape) a tensor."""
    header = {
        "inferences": count,
        "tensors": [{"name": name, "dtype": dtype, "shape": list(shape)} for name, dtype, shape in tensors],
    }
    text = json.dumps(header, sort_keys=True).encode("utf-8")
    return b"EPIN" + struct.pack("<I", len(text)) + text
