"""The embedded world as a child process that cannot outlive us."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

EXIT_REFUSED = 2  # as embedded/__main__.py has it: what the world was asked for cannot be


class SessionError(RuntimeError):
    """The session cannot be set up as asked; the message is one line for the user."""


class WorldDied(RuntimeError):
    """The world is gone, or no longer answers, in the middle of a drive."""


class WorldProcess:
    """`python -m carla_bridge.embedded` in a process group of its own, so that a Ctrl-C in the terminal reaches only us
    and we stop it in order; `--parent` makes it go away even when we are killed outright."""

    def __init__(
        self,
        town: str,
        seed: int,
        tick_s: float,
        start_timeout_s: float,
        port: int = 0,
        *,
        opendrive: str | None = None,
    ) -> None:
        self.port = port or free_port_pair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        command = [
            sys.executable,
            "-m",
            "carla_bridge.embedded",
            "--port",
            str(self.port),
            "--town",
            town,
            "--seed",
            str(seed),
            "--parent",
            str(os.getpid()),
            "--log-level",
            "WARNING",
            "--fixed-delta",
            str(tick_s),
        ]  # so that no time passes before our first tick
        if opendrive is not None:
            command += ["--opendrive", opendrive]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=our_environment(),
            start_new_session=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._drain, name="world-output", daemon=True).start()
        try:
            self._await_ready(time.monotonic() + start_timeout_s, start_timeout_s)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    def death(self) -> str | None:
        """How the process ended, with the last line it wrote to its error stream; None while it runs."""
        code = self._child.poll()
        if code is None:
            return None
        if code < 0:
            return f"the embedded world was killed by {signal.Signals(-code).name}"
        last = self._last_words()
        return f"the embedded world ended with exit code {code}" + (f": {last}" if last else "")

    def stop(self, grace_s: float = 3.0) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(grace_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()
        if not self._log.closed:
            self._log.close()

    def _await_ready(self, deadline: float, limit_s: float) -> None:
        while True:
            try:
                if self._lines.get(timeout=0.1).startswith("ready"):
                    return
            except queue.Empty:
                pass
            dead = self.death()
            if dead is not None:  # refused: it would end so again; anything else is an accident
                kind = SessionError if self._child.returncode == EXIT_REFUSED else WorldDied
                raise kind(f"{dead} before it was ready")
            if time.monotonic() > deadline:
                raise WorldDied(f"the embedded world was not ready after {limit_s:.0f} s: {self._last_words()}")

    def _drain(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as pipe:
            for line in pipe:
                self._lines.put(line.decode("utf-8", "replace"))

    def _last_words(self) -> str:
        if self._log.closed:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 4000))
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""


def our_environment() -> dict[str, str]:
    """For a child that is to run the very code that this process runs."""
    home = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))}


@contextlib.contextmanager
def library_muted() -> Iterator[None]:
    """Drops what the carla library's C++ side writes to the error stream meanwhile."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def free_port_pair() -> int:
    """A port P such that P and P + 1 (CARLA's streaming port) are free on this machine."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise SessionError("no two neighbouring free TCP ports found on this machine")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
