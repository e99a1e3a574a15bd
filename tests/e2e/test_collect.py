"""A collection of one tiny run: labelled frames, and nothing is driven twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from e2e_drive.logs import read_drive


def test_collect_and_resume(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "e2e_drive.cli", "collect", f"out={tmp_path}", "frames=6", "workers=1"]
    command += ["run.frames=6", "run.shift_probability=1.0", "run.cars=[3,3]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run_00000.json", "run_00000.mcap"]
    entries = list(read_drive(tmp_path / "run_00000.mcap"))
    labels = [entry for entry in entries if entry.topic == "/labels"]
    pictures = {entry.time_s for entry in entries if entry.topic == "/camera/tele"}
    assert {entry.time_s for entry in labels} == pictures
    assert len(labels) == 6
    assert labels[0].value.bev.shape == (4, 64, 64)
    shifts = [abs(entry.value.virtual_offset.y) for entry in labels[1:]]  # the first is seen from where the car is
    assert 0.0 < max(shifts) <= 1.0
    truths = [entry.time_s for entry in entries if entry.topic == "/truth"]
    np.testing.assert_allclose(np.diff(truths), 0.05, atol=1e-9)  # every tick: the waypoints come from them
    before = (tmp_path / "run_00000.mcap").stat()
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0
    assert "6 frames" in again.stdout
    assert (tmp_path / "run_00000.mcap").stat().st_mtime_ns == before.st_mtime_ns
