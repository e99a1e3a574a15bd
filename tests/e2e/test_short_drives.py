"""The command as a person runs it, for a few seconds: what it leaves behind, and how it ends when it is cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from e2e_drive.logs import read_drive, read_metadata

START_S = 150.0  # kernels may have to be compiled first


class Drive:
    """`e2e-drive evaluate` as a process in a session of its own."""

    def __init__(self, out: Path, *overrides: str) -> None:
        self.out = out
        command = [
            sys.executable,
            "-m",
            "e2e_drive.cli",
            "evaluate",
            "experiment=first_drive",
            f"out={out}",
            *overrides,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def world(self) -> psutil.Process:
        """The child that is the world, once something has been recorded of it."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            log = self.out / "drive.mcap"
            if log.exists() and log.stat().st_size > 500_000:  # several frames
                return next(c for c in self.children() if "carla_bridge.embedded" in " ".join(c.cmdline()))
            time.sleep(0.1)
        raise AssertionError(f"nothing was recorded: {self.process.communicate(timeout=10)}")

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=START_S)
        return self.process.returncode, out, err


@pytest.fixture
def drives(tmp_path: Path) -> Iterator[list[Drive]]:
    started: list[Drive] = []
    yield started
    for drive in started:
        if drive.process.poll() is None:
            drive.process.kill()
            drive.process.wait()


def last_line(text: str) -> str:
    return text.replace("\r", "\n").strip().splitlines()[-1]


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10.0)
    return not alive


def test_a_short_drive_leaves_everything_and_repeats_to_the_byte(
    tmp_path: Path, drives: list[Drive], weights: Path
) -> None:
    texts = []
    for name in ("one", "two"):
        drive = Drive(tmp_path / name, f"weights={weights}", "max_s=1.5")
        drives.append(drive)
        code, out, err = drive.end()
        assert code == 0, err
        assert "perception to control" in out
        texts.append((tmp_path / name / "results.json").read_bytes())
    assert texts[0] == texts[1]
    out = tmp_path / "one"
    names = ["drive.mcap", "drive.mp4", "results.json", "run.json", "timeline.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert json.loads((out / "timeline.json").read_text())["traceEvents"]
    run = json.loads((out / "run.json").read_text())
    assert run["duration_system"] > 0
    assert run["seeds"] == {"seed": 0}
    assert "duration_system" not in (out / "results.json").read_text()
    topics = {entry.topic for entry in read_drive(out / "drive.mcap")}
    assert topics >= {"/ego", "/hint", "/camera/tele", "/trajectory", "/control", "/schedule", "/timeline", "/link"}
    assert read_metadata(out / "drive.mcap")["run"]["seed"] == "0"


@pytest.mark.parametrize("how", ["ctrl-c", "the world is killed"])
def test_a_drive_that_is_cut_off_keeps_what_it_has(
    how: str, tmp_path: Path, drives: list[Drive], weights: Path
) -> None:
    drive = Drive(tmp_path / "cut", f"weights={weights}")
    drives.append(drive)
    world = drive.world()
    family = [psutil.Process(drive.process.pid), *drive.children()]
    if how == "ctrl-c":
        os.killpg(drive.process.pid, signal.SIGINT)
    else:
        world.kill()
    code, _, err = drive.end()
    assert code == (130 if how == "ctrl-c" else 3), err
    assert "Traceback" not in err
    assert last_line(err).startswith("e2e-drive: evaluate: ")
    assert gone(family)
    names = ["drive.mcap", "drive.mp4", "results.json", "run.json", "timeline.json"]
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    results = json.loads((tmp_path / "cut" / "results.json").read_text())
    assert results["entry_status"] == "Crashed"
    assert results["eligible"] is False
    assert sum(1 for entry in read_drive(tmp_path / "cut" / "drive.mcap") if entry.topic == "/camera/tele") >= 1
