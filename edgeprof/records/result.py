"""The plan, the measurement and the result: what the rooms hand each other, and what a result file holds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgeprof.records.diagnosis import Advice
from edgeprof.records.events import Json, RuntimeFound
from edgeprof.records.sensors import SamplingCost, SensorSeries

Basis = Literal["measured", "computed", "emulated", "simulated", "estimated", "declared"]
PassKind = Literal["latency", "memory", "operators", "outputs", "sustained", "deadline", "energy", "stages", "pair"]
Verdict = Literal["PASS", "WARN", "FAIL", "SKIP", "INCONCLUSIVE"]
Tier = Literal["target", "hard", "info"]


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class InputTensor(Struct, frozen=True, kw_only=True):
    """An input or output of the model; scale and zero point where it is quantised as a whole."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


class ModelFile(Struct, frozen=True, kw_only=True):
    """One file of a model that has several; `sha256` is null where it was not asked for."""

    name: str
    bytes: int | None
    sha256: str | None


class ModelFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model. `bytes` and `sha256` are null where it lives in the firmware, and where its weights are not there.

    They are those of all its files: where weights lie in others than the model's own, `files` has each, that one first,
    and `sha256` is the digest of their digests in hexadecimal, a line each in this order.
    """

    name: str
    format: Literal["tflite", "onnx", "firmware"]
    bytes: int | None
    sha256: str | None
    inputs: tuple[InputTensor, ...]
    outputs: tuple[InputTensor, ...]
    files: tuple[ModelFile, ...] = ()


class Pass(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to the board. `warmup` and `batch` null: the agent decides.

    `period_s`: of a deadline pass. `windows` of `window_s` with `idle_s` before, between and after them: of an energy
    pass. `sensors_s`: how often sensors are read; 0 never.
    """

    kind: PassKind
    launch: int = 0
    runs: int = 0
    warmup: int | None = None
    batch: int | None = None
    threads: int = 1
    duration_s: float = 0.0
    period_s: float = 0.0
    windows: int = 0
    window_s: float = 0.0
    idle_s: float = 0.0
    sensors_s: float = 0.0


class SecondModel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The other model of a pair pass; its blobs are `second/model` and `second/inputs`."""

    name: str
    format: str
    runtime: str = ""
    delegate: str = ""
    providers: tuple[str, ...] = ()
    runtime_options: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = {}


class Plan(Struct, frozen=True, kw_only=True):
    """What one run is to do, decided before the board is touched.

    `delegate`, `providers`, `runtime_options`, `cpus`: as wire.SETTINGS says; empty: the runtime's own choice.
    """

    passes: tuple[Pass, ...]
    format: str = ""
    runtime: str = ""
    delegate: str = ""
    providers: tuple[str, ...] = ()
    runtime_options: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()
    hook: str = ""
    second: SecondModel | None = None
    seed: int = 0
    inputs: str = "seeded random values"
    inputs_sha256: str = ""
    shapes: dict[str, tuple[int, ...]] = {}
    timeout_s: float | None = None


# ── the measurement: a fold of the journal ───────────────────────────────────────────────────────────────────────────


class SampleColumns(Struct, frozen=True, kw_only=True):
    """Samples of one pass; durations are of whole batches. Seconds, or counts where the counter counts no time."""

    start: tuple[float, ...] = ()
    duration: tuple[float, ...] = ()
    batch: tuple[int, ...] = ()
    flags: tuple[int, ...] = ()


class OperatorTicks(Struct, frozen=True, kw_only=True):
    """One operator's time over all its calls, in seconds (or counts)."""

    name: str
    type: str
    calls: int
    total: float


class OutputTensor(Struct, frozen=True, kw_only=True):
    """One output tensor of one inference, little-endian."""

    inference: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes


class ClockReading(Struct, frozen=True, kw_only=True):
    """The agent's clock read `agent_s` at some moment between two readings of the host's monotonic clock."""

    host_before_s: float
    agent_s: float
    host_after_s: float


class PassMeasurement(Struct, frozen=True, kw_only=True):
    """What came back from one pass."""

    kind: PassKind
    launch: int
    complete: bool
    failure: str = ""
    failure_text: str = ""
    runtime: str = ""
    detail: dict[str, Json] = {}
    model_sha256: str = ""
    figures: dict[str, float] = {}
    samples: SampleColumns = SampleColumns()
    operators: tuple[OperatorTicks, ...] = ()
    outputs: tuple[OutputTensor, ...] = ()
    state_before: dict[str, Json] = {}
    state_after: dict[str, Json] = {}
    notes: tuple[tuple[str, str], ...] = ()
    clock_offset_s: tuple[float, float] | None = None
    clock: tuple[ClockReading, ...] = ()
    sensors: tuple[SensorSeries, ...] = ()
    sampling: SamplingCost | None = None


class Measurement(Struct, frozen=True, kw_only=True):
    """What the board said, in the plan's order."""

    agent: str = ""
    protocol: str = ""
    board: str = ""
    basis: Basis = "measured"
    counter_unit: str = "seconds"
    capabilities: tuple[str, ...] = ()
    engine: str = ""
    identity: dict[str, Json] = {}
    runtimes: tuple[RuntimeFound, ...] = ()
    passes: tuple[PassMeasurement, ...] = ()


# ── the result ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Metric(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure and how it was got. Not measured: value null with its reason.

    `low` and `high` bound the figure with `confidence`; `scope` says what they hold for: `within-run` bounds say
    nothing about another launch and are never used to compare. A whole number of bytes is an integer, in the file and
    when it is read again: a redrawn result is the same to the byte.
    """

    value: int | float | None
    basis: Basis
    count: int | None
    method: str
    reason: str | None = None
    low: int | float | None = None
    high: int | float | None = None
    confidence: float | None = None
    scope: Literal["within-run", "across-launches"] | None = None
    assumptions: tuple[str, ...] = ()


class Finding(Struct, frozen=True, kw_only=True):
    """A limit's verdict, with its reason."""

    limit: str
    metric: str
    verdict: Verdict
    tier: Tier
    value: int | float | None
    threshold: int | float | None
    unit: str
    basis: str | None
    source: str
    reason: str


class Warned(Struct, frozen=True, kw_only=True):
    """Something that makes figures less certain, and what to do about it."""

    code: str
    text: str
    advice: str


class Tool(Struct, frozen=True, kw_only=True):
    """Which edgeprof wrote this, and how it was called."""

    name: str
    version: str
    command: tuple[str, ...]


class TargetUsed(Struct, frozen=True, kw_only=True):
    """Where the model ran: the target as given, the link that reached it, and the basis that the user declared.

    `file` is the `edgeprof.toml` that names it, where one does.
    """

    name: str
    link: str
    agent: str = ""
    protocol: str = ""
    basis: Literal["emulated", "simulated"] | None = None
    file: str | None = None


class BoardUsed(Struct, frozen=True, kw_only=True):
    """The board: its id where it is a known one, what it calls itself, and its power mode where it has one.

    `file` describes it, where that is none of those that ship.
    """

    id: str | None
    name: str
    kind: str
    power_mode: str | None = None
    identity: dict[str, Json] = {}
    file: str | None = None


class RuntimeUsed(Struct, frozen=True, kw_only=True):
    """What executed the model."""

    name: str
    version: str
    numpy: str = ""
    threads: int = 1
    detail: dict[str, Json] = {}
    found: tuple[RuntimeFound, ...] = ()


class Samples(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Raw samples of the latency passes, in columns; above 200,000 they are in the file that `sidecar` names.

    `start_s` is on the agent's monotonic clock; `duration_s` is of a whole batch; `flags` is a sum of `flag_values`.
    """

    launch: tuple[int, ...]
    start_s: tuple[float, ...]
    duration_s: tuple[float, ...]
    batch: tuple[int, ...]
    flags: tuple[int, ...]
    flag_values: dict[str, int] = {}
    sidecar: str | None = None
    count: int | None = None


class OperatorTime(Struct, frozen=True, kw_only=True):
    """What one operator takes an inference, by the agent's counter, and its share of all operators' sum."""

    name: str
    type: str
    time_s: float | None
    share_ratio: float
    calls: int
    instructions_count: int | None = None
    macs_count: int | None = None


class Environment(Struct, frozen=True, kw_only=True):
    """The board's state before the first and after the last pass, as the agent read it."""

    before: dict[str, Json] = {}
    after: dict[str, Json] = {}


class Result(Struct, frozen=True, kw_only=True):
    """One model, one target, one configuration."""

    schema: Literal["edgeprof.result/1"]
    id: str
    created: str
    status: Literal["complete", "partial"]
    group: str | None
    variant: str | None
    tool: Tool
    model: ModelFacts
    target: TargetUsed
    board: BoardUsed
    runtime: RuntimeUsed | None
    environment: Environment
    plan: Plan
    metrics: dict[str, Metric]
    breakdowns: dict[str, Json]
    samples: Samples
    operators: tuple[OperatorTime, ...]
    sensors: tuple[SensorSeries, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[Warned, ...]
    advice: tuple[Advice, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether the run is complete and everything that judges it could be judged and did not fail."""
        bad = {"FAIL", "INCONCLUSIVE"}
        return self.status == "complete" and not any(finding.verdict in bad for finding in self.findings)
