"""A collection of tiny runs: labelled frames, a card beside them, nothing driven twice, and a killed worker that costs
only a retry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from e2e_drive.logs import read_drive, read_metadata

COMMAND = [sys.executable, "-m", "e2e_drive.cli", "collect", "workers=1", "plan.towns=[Gridley]", "plan.cars=[6,6]"]
COMMAND += ["plan.walkers=[3,3]", "run.frames=6", "run.shift_probability=1.0"]
CARD = ["data_card.jpg", "data_card.md", "data_card_histograms.png"]


def test_collect_and_resume(tmp_path: Path) -> None:
    command = [*COMMAND, f"out={tmp_path}", "frames=6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [*CARD, "run_00000.json", "run_00000.mcap"]
    entries = list(read_drive(tmp_path / "run_00000.mcap"))
    labels = {entry.time_s: entry.value for entry in entries if entry.topic == "/labels"}
    pictures = {entry.time_s for entry in entries if entry.topic == "/camera/rear"}
    depths = {entry.time_s: entry.value for entry in entries if entry.topic == "/depth/rear"}
    assert len(pictures) == 6
    assert set(depths) == pictures <= set(labels)
    np.testing.assert_allclose(np.diff(sorted(labels)), 0.25, atol=1e-9)  # also where the pictures are left out
    first = labels[min(labels)]
    assert first.bev.shape == (6, 64, 64)
    assert first.bev_unknown.shape == (64, 64)
    assert all(0.0 <= box.visible <= 1.0 and np.hypot(box.x, box.y) < 60.0 for box in first.boxes)
    assert depths[min(pictures)].shape == (64, 128)
    assert 1.0 < depths[min(pictures)][-20:].min() < 6.0  # the road, and our own boot
    shifts = [abs(labels[time_s].virtual_offset.y) for time_s in sorted(pictures)[1:]]  # the first is where the car is
    assert 0.0 < max(shifts) <= 1.0
    truths = [entry.time_s for entry in entries if entry.topic == "/truth"]
    np.testing.assert_allclose(np.diff(truths), 0.05, atol=1e-9)  # every tick: the waypoints come from them
    about = read_metadata(tmp_path / "run_00000.mcap")["run"]
    assert (about["town"], about["cars"], about["walkers"]) == ("Gridley", "6", "3")
    card = (tmp_path / "data_card.md").read_text()
    assert "| frames with pictures, depth and labels | 6 |" in card
    before = (tmp_path / "run_00000.mcap").stat()
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0
    assert "6 frames" in again.stdout
    assert (tmp_path / "run_00000.mcap").stat().st_mtime_ns == before.st_mtime_ns


def test_a_killed_worker_costs_a_retry(tmp_path: Path) -> None:
    command = [*COMMAND, f"out={tmp_path}", "frames=6"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as collecting:
        deadline = time.monotonic() + 100.0
        while not list(tmp_path.glob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(worker_of(collecting.pid), signal.SIGKILL)
        out, error = collecting.communicate(timeout=200)
    assert collecting.returncode == 0, error
    assert "6 frames" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == [*CARD, "run_00000.json", "run_00000.mcap"]


def worker_of(parent: int) -> int:
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("no worker is running")
