"""Half an hour of simulated traffic in every town: nothing hangs, nobody leaves the road or runs a red light."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from carla_bridge.embedded.towns import TOWN_NAMES

DRIVE = Path(__file__).with_name("soak_drive.py")
MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))


@pytest.mark.slow
@pytest.mark.timeout(int(60 + 60 * MINUTES))
@pytest.mark.parametrize("town", TOWN_NAMES)
def test_half_an_hour_of_traffic(start_world: Callable[..., tuple[subprocess.Popen[str], int]], town: str) -> None:
    process, port = start_world("--town", town)
    command = [sys.executable, str(DRIVE), str(port), str(MINUTES)]
    # in a process of its own: a hanging TrafficManager blocks the interpreter that it lives in
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 55 * MINUTES, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(town, found)
    assert process.poll() is None
    assert found["cars"] == 30
    assert found["walkers"] == 20
    assert found["worst_mean_off_road_m"] < 1.0
    assert found["red_light_violations"] == 0
    # TrafficManager takes away cars that block one another for minutes, which they do at stop signs now and then
    assert found["cars_that_drove_in_the_last_third"] + found["cars_taken_away"] >= 28
    assert found["cars_that_drove_in_the_last_third"] >= 10
    assert found["walkers_that_walked"] >= 18
