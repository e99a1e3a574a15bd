"""Ticks the world and runs the TrafficManager, in a process of its own.

The client library's TrafficManager lives on threads inside the process that uses it, and they end that process when the
server goes away in the middle of one of their calls; `world.tick()` may hang for ever on a wake-up that they lose. Here
they can: we notice, clear away, and keep what we have.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import carla

from bev import Pose2D
from carla_bridge.process import SessionError, WorldDied, our_environment
from carla_bridge.traffic import Traffic, TrafficExtras

Death = Callable[[], "str | None"]
POLL_S = 0.1


class Pacemaker:
    """Our end. Starting it costs nothing until `connect`. Every call waits for its answer."""

    def __init__(self, death: Death) -> None:
        """death: says how the world has ended, if it has."""
        self._death = death
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=our_environment(),
                start_new_session=True,
            )
        self._pipe = Connection(ours.detach())

    def connect(self, host: str, port: int, timeout_s: float) -> None:
        self._ask(timeout_s + 30.0, "connect", host, port, timeout_s)

    def tick(self, timeout_s: float) -> int:
        """The number of the new frame, once the TrafficManager has decided on the next one."""
        return int(self._ask(timeout_s, "tick", timeout_s))

    def add_traffic(
        self, cars: int, seed: int, keep_clear: Pose2D, timeout_s: float, extras: TrafficExtras | None = None
    ) -> None:
        self._ask(timeout_s + 60.0, "add_traffic", cars, seed, keep_clear, extras)

    def clear_traffic(self, timeout_s: float) -> None:
        self._ask(timeout_s, "clear_traffic")

    def stop(self) -> None:
        """Outright: what it holds in the world is cleared with `clear_traffic`, or goes with the world."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._pipe.close()
        self._log.close()

    def _ask(self, timeout_s: float, *request: Any) -> Any:
        try:
            self._pipe.send(request)
            deadline = time.monotonic() + timeout_s + 2.0  # the client library's own time-out comes first
            while not self._pipe.poll(POLL_S):
                dead = self._death()
                if dead is not None:
                    raise WorldDied(dead)
                if time.monotonic() > deadline:
                    raise WorldDied(f"the world has not answered for {timeout_s:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            time.sleep(POLL_S)  # if the world has died too, its end explains the other
            raise WorldDied(self._death() or "the process that ticks the world has died") from error
        if isinstance(answer, Exception):
            if isinstance(answer, SessionError):
                raise answer
            time.sleep(POLL_S)
            raise WorldDied(self._death() or f"the world stopped answering: {answer}") from answer
        return answer


class _Server:
    """Their end: one method a request."""

    def connect(self, host: str, port: int, timeout_s: float) -> None:
        self.client = carla.Client(host, port)
        self.client.set_timeout(timeout_s)
        self.world = self.client.get_world()
        self.traffic: Traffic | None = None

    def tick(self, timeout_s: float) -> int:
        frame = int(self.world.tick(timeout_s))
        if self.traffic is not None:
            self.traffic.ticked()
        return frame

    def add_traffic(self, cars: int, seed: int, keep_clear: Pose2D, extras: TrafficExtras | None) -> None:
        self.traffic = Traffic(self.client, self.world, cars, seed, keep_clear, extras)

    def clear_traffic(self) -> None:
        if self.traffic is not None:
            self.traffic.close()
            self.traffic = None


def main(descriptor: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us decides
    pipe, server = Connection(descriptor), _Server()
    while True:
        try:
            name, *arguments = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)  # he is gone; the library's threads could block an orderly end
        try:
            answer: Any = getattr(server, name)(*arguments)
        except SessionError as error:
            answer = error
        except RuntimeError as error:  # of the client library; its own types cannot travel
            answer = RuntimeError(str(error))
        pipe.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
