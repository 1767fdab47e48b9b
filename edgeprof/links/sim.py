"""`sim:BOARD`: a simulated board in a thread of this process, behind the same frames as any other."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from edgeprof import wire
from edgeprof.links.simulator import Disconnected, SimulatedBoard, passed_time

if TYPE_CHECKING:
    from edgeprof.records.board import Board
    from edgeprof.targets import Sim

CLOSE_TIMEOUT_S = 10.0


class SimChannel:
    """Two queues with a simulated board's thread between them. None in a queue is the end."""

    def __init__(self, board: Board, options: Sim) -> None:
        self._to_board: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._to_host: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._agent = SimulatedBoard(
            board, options, self._to_host.put, passed_time(lambda: self._agent.open), self._heard
        )
        self._thread = threading.Thread(target=self._serve, name=f"sim:{board.id}", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while self._agent.open:
                content = self._to_board.get()
                if content is None:
                    return
                self._agent.receive(content)
        except Disconnected:
            return
        except wire.WireError as error:
            self._agent.refuse(error)
        finally:
            self._to_host.put(None)

    def _heard(self) -> bytes:
        try:
            content = self._to_board.get_nowait()
        except queue.Empty:
            return b""
        if content is None:
            raise Disconnected
        return content

    def read(self, timeout_s: float) -> bytes:
        """Return what the board sent."""
        try:
            content = self._to_host.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            raise TimeoutError from None
        if content is None:
            self._to_host.put(None)
            raise EOFError
        return content

    def write(self, content: bytes) -> None:
        """Hand bytes to the board."""
        self._to_board.put(content)

    def put_blob(self, path: str, content: bytes) -> bool:  # noqa: ARG002  the channel's signature
        """Tell that a simulated board has no file system."""
        return False

    def last_words(self) -> str:
        """Return nothing: a simulated board says everything in frames."""
        return ""

    def cancel(self) -> None:
        """Wake a blocked read."""
        self._to_host.put(None)

    def close(self) -> None:
        """End the board's thread."""
        self._agent.open = False
        self._to_board.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)
