"""What every pass begins with: the inputs, the model in its runtime, and the word that it has started."""

import json
import os
from typing import Any, Dict, List

from edgeprof import wire
from edgeprof.agent import runtimes
from edgeprof.agent.delegates import BadRequest, Choice
from edgeprof.agent.digests import check_files, model_sha256, read_whole
from edgeprof.agent.timing import Speaker


class Rejected(Exception):
    """The runtime refused the model."""


def read_inputs(orders: Dict[str, Any]) -> runtimes.Inputs:
    """Return the inputs that the orders name."""
    return runtimes.read_inputs(read_whole(orders["inputs"], orders.get("inputs_sha256", ""), "inputs"))


def pin(orders: Dict[str, Any]) -> None:
    """Keep this process and all threads that it will start on the CPUs that the orders name."""
    wanted = set(settings_of(orders).get("cpus", ()))
    if not wanted:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise BadRequest("this system cannot pin a process to CPUs")
    allowed = _allowed_cpus()
    if not wanted <= allowed:
        text = "CPU {} cannot be used here; a process may run on {}"
        raise BadRequest(text, _listed(wanted - allowed), _listed(allowed))
    os.sched_setaffinity(0, wanted)


def _allowed_cpus() -> "set[int]":
    """Return the CPUs that this process may have, which can be more than it has now (sched_setaffinity(2))."""
    now = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(max(os.cpu_count() or 1, max(now) + 1)))  # the kernel takes what is not allowed out
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, now)
    return allowed


def _listed(cpus: "set[int]") -> str:
    return ", ".join(str(cpu) for cpu in sorted(cpus))


def settings_of(orders: Dict[str, Any]) -> Dict[str, Any]:
    """Return what the orders say beyond what every pass has."""
    settings: Dict[str, Any] = orders.get("settings") or {}
    return settings


def choice_of(orders: Dict[str, Any]) -> Choice:
    """Return the delegate or providers that the orders name; while memory is measured nothing else may be loaded."""
    settings = settings_of(orders)
    providers: List[str] = settings.get("providers") or []
    given: List[str] = settings.get("runtime_options") or []
    return Choice(settings.get("delegate") or "", tuple(providers), orders.get("pass") == "memory", tuple(given))


def load(orders: Dict[str, Any], profile_prefix: str = "") -> runtimes.Loaded:
    """Load the model as the orders say; what the runtime does not take is Rejected, a wrong wish is a BadRequest."""
    name, path, threads, shapes = orders["runtime"], orders["path"], orders["threads"], orders["shapes"]
    check_files(orders)
    try:
        loaded = runtimes.load(name, path, threads, shapes, profile_prefix, choice_of(orders))
    except (MemoryError, BadRequest):
        raise
    except Exception as error:  # what a runtime raises for a model that it does not take has no common class
        check_files(orders)
        raise Rejected(str(error) or type(error).__name__) from error
    check_files(orders)
    return loaded


def first_invoke(loaded: runtimes.Loaded) -> None:
    """Run once; what fails here is the model with these inputs, such as shapes that its operators refuse."""
    try:
        loaded.invoke()
    except MemoryError:
        raise
    except Exception as error:  # the same
        raise Rejected(str(error) or type(error).__name__) from error


def say_started(orders: Dict[str, Any], speaker: Speaker, loaded: runtimes.Loaded) -> None:
    """Say that the pass begins, with which model and runtime, and what that runtime left out of what was asked for."""
    found = loaded.describe()
    used = dict(found.detail)
    if settings_of(orders).get("cpus"):
        used["cpus"] = sorted(os.sched_getaffinity(0))
    speaker.say(wire.Started(speaker.run, model_sha256(orders), orders["runtime"], json.dumps(used, sort_keys=True)))
    for code, text in found.notes:
        speaker.note(code, text)
