"""What every pass begins with: the inputs, the model in its runtime, and the word that it has started."""

import json
from typing import Any, Dict

from edgeprof import wire
from edgeprof.agent import runtimes
from edgeprof.agent.timing import Speaker


class Rejected(Exception):
    """The runtime refused the model."""


def read_inputs(orders: Dict[str, Any]) -> runtimes.Inputs:
    """Return the inputs that the orders name."""
    with open(orders["inputs"], "rb") as file:
        return runtimes.read_inputs(file.read())


def load(orders: Dict[str, Any], profile_prefix: str = "") -> runtimes.Loaded:
    """Load the model as the orders say; what the runtime does not take is Rejected."""
    try:
        return runtimes.load(orders["runtime"], orders["path"], orders["threads"], orders["shapes"], profile_prefix)
    except MemoryError:
        raise
    except Exception as error:  # what a runtime raises for a model that it does not take has no common class
        raise Rejected(str(error) or type(error).__name__) from error


def first_invoke(loaded: runtimes.Loaded) -> None:
    """Run once; what fails here is the model with these inputs, such as shapes that its operators refuse."""
    try:
        loaded.invoke()
    except MemoryError:
        raise
    except Exception as error:  # the same
        raise Rejected(str(error) or type(error).__name__) from error


def say_started(orders: Dict[str, Any], speaker: Speaker, loaded: runtimes.Loaded) -> None:
    """Say that the pass begins, with which model and runtime."""
    detail = json.dumps(loaded.detail, sort_keys=True)
    sha256 = bytes(bytearray.fromhex(orders["sha256"]))
    speaker.say(wire.Started(speaker.run, sha256, orders["runtime"], detail))
