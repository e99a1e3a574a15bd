"""One drive as a process of its own. What it depends on lies beside its results, so nothing is ever driven twice.

A world that dies, or a process that is killed, says nothing about the driver: the drive is begun again, and that is
written down in RETRIES. What the driver does wrong is a result like any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carla_bridge.process import our_environment
from e2e_drive.errors import EXIT_INTERRUPTED, EXIT_WORLD_DIED
from e2e_drive.orphans import PARENT
from e2e_drive.report.files import RESULTS, RUN, write_json

JOB, STDERR, RETRIES = "job.json", "stderr.txt", "retries.json"
_ASKED_TO_END = (-signal.SIGTERM, -signal.SIGINT)

_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Job:
    """overrides: of `e2e-drive evaluate`, all but the folder. home: where relative paths among them start.
    weights_sha256: of the network that drives, "" for the expert."""

    name: str
    folder: Path
    overrides: tuple[str, ...]
    home: Path
    weights_sha256: str = ""
    attempts: int = 3

    def is_done(self) -> bool:
        """Results of this very drive, whole: whoever was cut off has left none, or none that counts."""
        return (
            _read(self.folder / JOB) == self._note()
            and (self.folder / RUN).is_file()
            and (_read(self.folder / RESULTS) or {}).get("entry_status") == "Finished"
        )

    def record(self) -> dict[str, Any]:
        """The results file. Only of a job that is done."""
        results: dict[str, Any] = json.loads((self.folder / RESULTS).read_text(encoding="utf-8"))
        return results

    def retries(self) -> list[str]:
        """Why it was begun anew, once for each time."""
        return _read(self.folder / RETRIES) or []

    def begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if _read(self.folder / JOB) != self._note():
            (self.folder / RETRIES).unlink(missing_ok=True)
        write_json(self.folder / JOB, self._note())
        (self.folder / RESULTS).unlink(missing_ok=True)

    def _note(self) -> dict[str, Any]:
        note: dict[str, Any] = {"overrides": list(self.overrides)}
        return note | {"weights_sha256": self.weights_sha256} if self.weights_sha256 else note


@dataclass(frozen=True)
class Ending:
    """said: one line on how it went. exit_code: of the drive's process, 0 if there is a result."""

    name: str
    exit_code: int
    said: str


def run_job(job: Job) -> Ending:
    """Drives it, again if the world died."""
    job.begin()
    code, last = 0, ""
    for _ in range(job.attempts):
        code = _drive(job)
        if code == 0:
            record = job.record()["_checkpoint"]["records"][0]
            again = f" ({len(job.retries())} retries)" if job.retries() else ""
            return Ending(
                job.name, 0, f"{job.name}: {record['scores']['score_composed']:.1f}, {record['status']}{again}"
            )
        (job.folder / RESULTS).unlink(missing_ok=True)  # a drive that was cut off is no result
        last = _last_words(job.folder / STDERR) or f"ended with exit code {code}"
        if code != EXIT_WORLD_DIED:
            break
        write_json(job.folder / RETRIES, [*job.retries(), last])
    return Ending(job.name, code, f"{job.name}: {last} (see {job.folder})")


def _drive(job: Job) -> int:
    """The exit code. Killed from outside, or by a fault in the world's client library, is as good as a dead world."""
    command = [sys.executable, "-m", "e2e_drive.cli", "evaluate", *job.overrides, f"out={job.folder}"]
    environment = {**our_environment(), PARENT: str(os.getpid())}
    with (job.folder / STDERR).open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=job.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
        _running.add(process)
        try:
            code = process.wait()
        finally:
            _running.discard(process)
    if code in _ASKED_TO_END:
        return EXIT_INTERRUPTED
    return EXIT_WORLD_DIED if code < 0 else code


def stop_drives() -> None:
    """Those of this process: each writes what it has, and ends."""
    for process in list(_running):
        process.terminate()


def _read(path: Path) -> Any:
    """What a JSON file holds; None for one that is missing or cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _last_words(stderr: Path) -> str:
    lines = stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
