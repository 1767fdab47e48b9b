"""The Linux agent: answers the host on standard input and output, and starts a fresh child for each pass.

It is shipped as one file, needs Python 3.6 and its standard library until a runtime is asked for, no root, and writes
only into its cache folder and the system's temporary folder. When its standard input closes it kills what it started
and ends.
"""

import json
import os
import selectors
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgeprof import wire
from edgeprof.agent import board_state, install, plug_ins, runtimes, sensors, timing
from edgeprof.agent import passes as measuring
from edgeprof.agent.blobs import WINDOW, Blobs
from edgeprof.agent.child import Child, death, start_child
from edgeprof.agent.hanging import Watch
from edgeprof.agent.refusal import Refused
from edgeprof.agent.sampling import Sampling
from edgeprof.agent.sensors.channel import Reader

ALIVE_SECONDS = 2.0
HOST_SILENCE_SECONDS = 60.0
WRITTEN_AT_ONCE = 4096  # a pipe that can be written takes as much without waiting (pipe(7))
CAPABILITIES = ("latency", "memory", "operators", "outputs", "sustained", "preemption", "blob-chunks",
                "blob-files", "probe", "state", "cancel", "threads", "heartbeat", "settings", "pair",
                "install", "sensors", "deadline", "energy", "stages")  # fmt: skip


class Agent(object):
    """One conversation with a host."""

    def __init__(self, reading: int, writing: int, folder: str) -> None:
        self.reading = reading
        self.writing = writing
        self.folder = folder
        self.reader = wire.FrameReader()
        self.writer = wire.FrameWriter()
        self.blobs = Blobs(folder, self._busy)
        self.child: Optional[Child] = None
        self.watch: Optional[Watch] = None
        self.run_number = 0
        self.spoke = time.monotonic()
        self.sysroot = os.environ.get("EDGEPROF_SYSROOT", "/")
        self.readers: Optional[List[Reader]] = None
        self.sampling: Optional[Sampling] = None
        self.open = True
        self.heard = time.monotonic()

    # ── speaking ─────────────────────────────────────────────────────────────────────────────────────────────────

    def say(self, message: wire.Message) -> None:
        """Send one message to the host."""
        self._write(self.writer.frame(message))

    def _write(self, content: bytes) -> None:
        """Write all of it; a host that takes nothing for a minute is gone, or stopped and in everybody's way."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.writing, selectors.EVENT_WRITE)
            while content:
                if not selector.select(HOST_SILENCE_SECONDS):
                    raise BrokenPipeError("the host takes nothing")
                content = content[os.write(self.writing, content[:WRITTEN_AT_ONCE]) :]
        self.spoke = time.monotonic()

    def _busy(self) -> None:
        """Say in the middle of something long that this agent is alive."""
        if time.monotonic() - self.spoke > ALIVE_SECONDS:
            self.say(wire.Alive(self.run_number))

    def fail(self, run: int, code: str, text: str) -> None:
        """Tell the host why a request failed."""
        self.say(wire.Failed(run, wire.FAILURES.index(code), text[:2000]))

    # ── listening ────────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Answer until the host says goodbye or its side closes."""
        try:
            while self.open:
                self._listen()
        except OSError:
            pass  # nobody listens any more
        finally:
            self._end_child()
            if self.sampling is not None:
                self.sampling.end()
            self.blobs.tidy()

    def _listen(self) -> None:
        ready = self._ready(self.child)
        if not ready and self.child is not None:
            self.say(wire.Alive(self.child.run))
        if self.sampling is not None and self.sampling.descriptor in ready:
            self._say_all(self.sampling.messages())
        if self.child is not None and self.child.descriptor in ready:
            self._relay()
        self._end_hung()
        if self.reading in ready:
            self._hear()

    def _ready(self, child: Optional[Child]) -> List[int]:
        """Wait for the host or a child to say something; a host that is cut off says nothing, not even goodbye."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.reading, selectors.EVENT_READ)
            if child is not None:
                selector.register(child.descriptor, selectors.EVENT_READ)
            if self.sampling is not None:
                selector.register(self.sampling.descriptor, selectors.EVENT_READ)
            ready = [key.fd for key, _ in selector.select(ALIVE_SECONDS)]
        if self.reading not in ready and time.monotonic() - self.heard > HOST_SILENCE_SECONDS:
            self.open = False
        return ready

    def _end_hung(self) -> None:
        """End a pass whose process no longer gets anywhere; what it has measured is with the host."""
        words = self.watch.hung() if self.child is not None and self.watch is not None else ""
        if self.child is not None and words:
            run = self.child.run
            self._end_child()
            self._end_sampling()
            self.fail(run, "timeout", words)

    def _hear(self) -> None:
        content = os.read(self.reading, 1 << 16)
        self.heard = time.monotonic()
        if not content:
            self.open = False
            return
        try:
            for frame in self.reader.feed(content):
                self._answer(wire.read(frame))
        except wire.WireError as error:
            self.fail(0, "bad-request", "{} frame: {}".format(error.kind, error))
            self.open = False

    def _answer(self, message: wire.Message) -> None:
        try:
            ANSWERS[type(message)](self, message)
        except Refused as error:
            self.fail(getattr(message, "run", 0), error.code, str(error))
        except (LookupError, ValueError) as error:
            text = "{}: {}: {}".format(type(message).__name__, type(error).__name__, error)
            self.fail(getattr(message, "run", 0), "bad-request", text)
        except OSError as error:
            code = "disk-full" if error.errno in (28, 122, 27) else "internal"
            self.fail(getattr(message, "run", 0), code, "{}: {}".format(self.folder, error.strerror))

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def hello(self, message: wire.Ask) -> None:
        """Say who answers. A host of another major version gets the same hello, and reads the version in it."""
        known = board_state.identity(self.sysroot)
        basis = wire.BASES.index("emulated" if board_state.is_emulated(known) else "measured")
        self.say(
            wire.Hello(
                wire.MAJOR, wire.MINOR, wire.LARGEST_FRAME_BYTES, WINDOW, basis, wire.SECONDS, 1000000000,
                wire.capability_bits(CAPABILITIES), "linux python {}.{}.{}".format(*sys.version_info[:3]),
                str(known.get("device_tree_model", ""))[:60], "tflite,onnx", "", "", "",
            )
        )  # fmt: skip
        self.writer.max_frame = min(message.max_frame, wire.LARGEST_FRAME_BYTES)
        self.say(
            wire.State(
                0,
                0,
                board_state.as_json(
                    dict(
                        known,
                        state=board_state.board_state(self.sysroot),
                        blob_folder=self.folder,
                        blob_suffix=self.blobs.suffix,
                        python=sys.executable,
                        interpreter=install.interpreter(),
                    )
                ),
            )
        )

    def probe(self, message: wire.Probe) -> None:
        """Find the runtimes that work, from the cache when nothing has changed."""
        names = runtimes.CANDIDATES.get(message.format, ())
        found = [self._probe_one(name, message.format, message.fresh) for name in names]
        self.say(wire.Runtimes(len(found), json.dumps(found)))

    def _probe_one(self, name: str, format_name: str, fresh: int) -> Dict[str, Any]:
        damage = install.drop_damaged(self.folder, name, self._busy)
        if damage:
            self.say(wire.Note(0, "runtime-damaged", damage))
        if install.find_spec(self.folder, name) is None:
            reason = "No module named {!r}".format(name)
            return {"name": name, "works": False, "reason": "; ".join(filter(None, [reason, damage]))}
        path = os.path.join(self.folder, "probes.json")
        key = "{} {} {}".format(sys.executable, sys.version, _installed(self.folder, name))
        known = _read_json(path)
        if not fresh and key in known:
            return dict(known[key])
        found = self._probe_in_child(name, format_name)
        if not found["works"]:
            return found  # what it lacked may be installed next
        known[key] = found
        _write_atomically(path, json.dumps(known).encode("utf-8"))
        return found

    def _probe_in_child(self, name: str, format_name: str) -> Dict[str, Any]:
        orders = {"pass": "probe", "runtime": name, "format": format_name, "run": 0, "max_frame": 65535}
        child = start_child(orders, self.folder)
        messages: List[Tuple[int, bytes]] = []
        try:
            while not child.ended:
                ready = self._ready(child)
                if child.descriptor in ready:
                    messages += child.messages()
                if self.reading in ready:
                    self._hear()
                if not self.open:
                    raise Refused("cancelled", "the host is gone")
            status = child.process.wait()
            words = child.last_words()
        finally:
            child.kill()
        for kind, payload in messages:
            message = wire.read(wire.Frame(kind, 0, payload))
            if isinstance(message, wire.Runtimes):
                return install.with_origin(self.folder, json.loads(message.found)[0])
        return install.with_origin(self.folder, {"name": name, "works": False, "reason": death(status, words)})

    def blob_begin(self, message: wire.BlobBegin) -> None:
        """Say how much of a blob is there; a damaged one is not, and that it was is said."""
        damage = self.blobs.drop_damaged(message.sha256)
        if damage:
            self.say(wire.Note(0, "blob-replaced", damage))
        self.say(self.blobs.begin(message))

    def blob_chunk(self, message: wire.BlobChunk) -> None:
        """Take a part of a blob; say what has come once in a window, and when it is whole."""
        status = self.blobs.append(message)
        if status is not None:
            self.say(status)

    def install(self, message: wire.Install) -> None:
        """Put wheels that are here as blobs into the agent's own folder."""
        if self.child is not None:
            raise Refused("bad-request", "a pass is running")
        wheels = install.install(self.folder, json.loads(message.wheels), message.replace)
        self.say(wire.Installed(len(wheels), json.dumps(wheels)))

    def run(self, message: wire.Run) -> None:
        """Start the child for a pass."""
        if self.child is not None:
            raise Refused("bad-request", "a pass is running")
        self.run_number = message.run
        path, inputs = self.blobs.found("model", message.model), self.blobs.found("inputs", message.inputs)
        places = self.blobs.lay_beside(message.model, message.format, message.files) if message.files else [path]
        settings = self._settings(message)
        if settings.get("second"):
            places = [*places, *settings["second"].pop("places")]
        orders = {
            "pass": wire.PASSES[message.kind], "run": message.run, "runs": message.runs, "warmup": message.warmup,
            "batch": message.batch, "threads": message.threads, "duration_ms": message.duration_ms, "path": places[0],
            "files": {place: self.blobs.look(place) for place in places}, "inputs": inputs,
            "inputs_sha256": message.inputs.hex(), "format": message.format, "runtime": message.runtime,
            "shapes": json.loads(message.shapes or "{}"), "max_frame": self.writer.max_frame,
            "settings": settings, "folder": self.folder,
        }  # fmt: skip
        self._say_state(message.run, 0)
        readers = self._readers(orders["settings"])
        self.child = start_child(orders, self.folder)
        self.watch = Watch(self.child.process.pid, orders)
        if readers is not None:
            self._begin_sampling(orders, readers)

    def _readers(self, settings: Dict[str, Any]) -> Optional[List[Reader]]:
        """Return the sensors where they are asked for; they are looked for once."""
        if not settings.get("sensors_ms"):
            return None
        if self.readers is None:
            self.readers = sensors.find_readers(self.sysroot)
        return self.readers

    def _begin_sampling(self, orders: Dict[str, Any], readers: List[Reader]) -> None:
        settings = orders["settings"]
        interval_s = settings["sensors_ms"] * 1e-3
        busy = settings.get("cpus", [])
        self.sampling = Sampling(orders["run"], readers, interval_s, orders["max_frame"], busy)
        self.say(self.sampling.start())

    def _end_sampling(self) -> None:
        """Say the last readings and what they took, before the word that ends the pass."""
        if self.sampling is not None:
            sampling, self.sampling = self.sampling, None
            self._say_all(sampling.end())

    def _say_state(self, run: int, phase: int) -> None:
        self.say(wire.State(run, phase, board_state.as_json(board_state.board_state(self.sysroot))))

    def _say_all(self, messages: List[wire.Message]) -> None:
        for message in messages:
            self.say(message)

    def _settings(self, message: wire.Run) -> Dict[str, Any]:
        """Return what else was asked for, with the paths of its blobs in place of their hashes."""
        settings = dict(json.loads(message.settings or "{}"))
        second = settings.get("second")
        wanted = [(settings, "hook")] + ([(second, "model"), (second, "inputs")] if second else [])
        for holder, name in wanted:
            if name in holder:
                holder[name + "_sha256"] = holder[name]
                holder[name] = self.blobs.found(name, bytes(bytearray.fromhex(holder[name])))
        if second:
            model, files = bytes(bytearray.fromhex(second["model_sha256"])), second.get("files")
            places = self.blobs.lay_beside(model, second["format"], files) if files else [second["model"]]
            second.update(model=places[0], places=places)
        return settings

    def _relay(self) -> None:
        child = self.child
        if child is None:
            return
        last = 0
        for last, payload in child.messages():
            if self.watch is not None:
                self.watch.heard(last)
            self._relay_one(child.run, last, payload)
        if child.ended and self.child is not None:
            status = child.process.wait()
            words = child.last_words()
            self._end_child()
            self._end_sampling()
            code = "out-of-memory" if status == -signal.SIGKILL else "runtime-crashed"
            self.fail(child.run, code, death(status, words))

    def _relay_one(self, run: int, kind: int, payload: bytes) -> None:
        final = wire.BY_TYPE[kind] in (wire.Done, wire.Failed)
        if final:
            self._end_sampling()
            self._say_state(run, 1)
            self._end_child()
        self._write(self.writer.wrap(kind, payload))

    def cancel(self, message: wire.Cancel) -> None:
        """Kill the child of a pass."""
        self._end_child()
        self._end_sampling()
        self.fail(message.run, "cancelled", "the host asked for it")

    def ping(self, message: wire.Ping) -> None:
        """Say what the clock of the samples says now."""
        self.say(wire.Pong(message.token, timing.clock()))

    def bye(self, _message: wire.Bye) -> None:
        """End the conversation."""
        self.open = False

    def _end_child(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child = None


ANSWERS: Dict[Any, Callable[[Agent, Any], None]] = {
    wire.Ask: Agent.hello,
    wire.Probe: Agent.probe,
    wire.BlobBegin: Agent.blob_begin,
    wire.BlobChunk: Agent.blob_chunk,
    wire.Run: Agent.run,
    wire.Cancel: Agent.cancel,
    wire.Ping: Agent.ping,
    wire.Bye: Agent.bye,
    wire.Install: Agent.install,
}


# ── processes and files ──────────────────────────────────────────────────────────────────────────────────────────────


def _installed(folder: str, name: str) -> str:
    """Return what changes when a runtime or its numpy is installed anew, without importing either."""
    parts = []
    for module in (name, "numpy", *(plug_ins.PACKAGES.values() if name == "onnxruntime" else ())):
        spec = install.find_spec(folder, module, name)
        origin = spec.origin if spec is not None else None
        changed = os.stat(origin).st_mtime_ns if origin and os.path.exists(origin) else ""
        parts.append("{} {} {}".format(module, origin, changed))
    return " ".join(parts)


def _read_json(path: str) -> Dict[str, Any]:
    try:
        with open(path) as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        return {}


def _write_atomically(path: str, content: bytes) -> None:
    part = "{}.{}.part".format(path, os.getpid())
    try:
        with open(part, "wb") as file:
            file.write(content)
        os.replace(part, path)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else


def default_folder() -> str:
    """Return the agent's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "edgeprof")


def main(arguments: List[str]) -> int:
    """`serve [FOLDER]` talks to a host; `measure DESCRIPTOR` is a pass.

    EDGEPROF_SYSROOT names a folder that stands for the root of the board where sensors and its state are read: a
    recorded tree in tests, or in a container the mounted root of its host.
    """
    if arguments[:1] == ["measure"]:
        return measuring.main(int(arguments[1]))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever nohup or a shell had set
    folder = arguments[1] if len(arguments) > 1 else default_folder()
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # whatever prints must not reach the host as frames
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.makedirs(os.path.join(folder, "blobs"), exist_ok=True)
    except OSError as error:
        sys.stderr.write("edgeprof-agent: {}: {}\n".format(folder, error.strerror))
    Agent(reading, writing, folder).serve()
    return 0


if not hasattr(time, "perf_counter"):
    sys.exit("the edgeprof agent needs Python 3.6 or later")
