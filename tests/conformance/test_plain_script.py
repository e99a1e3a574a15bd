"""A script that knows nothing of this project runs unchanged."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("plain_carla_script.py")


def run_script(port: int, *arguments: str, timeout_s: float) -> dict[str, list[int]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(port), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[int]] = {}
    for name, value in re.findall(r"(\w+)=(\d+)", done.stdout):
        found.setdefault(name, []).append(int(value))
    return found


def check(found: dict[str, list[int]], ticks: int) -> None:
    assert found["vehicles"] == [50]
    assert found["walkers"] == [30]
    assert found["frames"] == [ticks]
    assert found["lidar_points"][0] > 1000 * ticks
    cars_moved, walkers_moved = found["moved"]
    assert cars_moved >= 25  # the others wait at lights
    assert walkers_moved >= 20


def test_a_strangers_script_runs(start_world: Callable[..., tuple[subprocess.Popen[str], int]]) -> None:
    process, port = start_world()
    check(run_script(port, "200", timeout_s=200.0), 200)
    assert process.poll() is None


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("town", ["Gridley", "Larkhill", "Ringwood", "Thornby"])
def test_a_strangers_script_runs_for_600_ticks(
    start_world: Callable[..., tuple[subprocess.Popen[str], int]], town: str
) -> None:
    process, port = start_world()
    check(run_script(port, "600", town, timeout_s=600.0), 600)
    assert process.poll() is None
