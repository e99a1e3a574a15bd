"""A benchmark under fire and on other launchers: whatever happens to its processes, the results are the same bytes.

Real worlds, real processes, short drives: a minute or two each on two idle cores. Run with `make scale`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4000)]
DRIVES = ("thornby_00-seed0", "thornby_00-seed1", "thornby_01-seed0", "thornby_01-seed1")
WORLD = "carla_bridge.embedded"
PATIENCE_S = 1800.0  # for a machine that is busy with other things


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed. took_s: of wall-clock time."""

    out: Path
    took_s: float


def start(out: Path, weights: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "e2e_drive.cli", "evaluate", "benchmark=thornby", "benchmark.seeds=[0,1]",
        "benchmark.ids=[thornby_00,thornby_01]", f"weights={weights}", f"out={out}", "cars=2", "max_s=2.0",
        "video.enabled=false", "log_images=none", "world.start_timeout_s=600", "world.timeout_s=60", *more,
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said.decode(errors="replace")[-2000:]


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name / "results.json").read_bytes() for name in DRIVES}


def summary(out: Path) -> dict[str, Any]:
    """Without what happened on the way to it."""
    return {key: value for key, value in _summary(out).items() if key != "retries"}


def _summary(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "benchmark.json").read_text(encoding="utf-8"))
    return content


def related(benchmark: subprocess.Popen[bytes], what: str = "") -> list[psutil.Process]:
    """Processes that it has started, directly or not, with that in their command lines."""
    found = []
    for child in psutil.Process(benchmark.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [child] if what in " ".join(child.cmdline()) else []
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Whole:
    out, began = tmp_path_factory.mktemp("whole"), time.monotonic()
    finish(start(out, weights))
    assert _summary(out)["retries"] == {}
    return Whole(out, time.monotonic() - began)


def test_killed_at_a_random_moment_and_started_again(whole: Whole, tmp_path: Path, weights: Path) -> None:
    share = random.uniform(0.1, 0.9)
    print(f"killed after {share:.2f} of {whole.took_s:.0f} s")
    benchmark = start(tmp_path, weights)
    time.sleep(share * whole.took_s)
    family = related(benchmark)
    os.killpg(benchmark.pid, signal.SIGKILL)
    benchmark.communicate()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert not alive  # nobody goes on writing into the folders
    finish(start(tmp_path, weights))
    assert results(tmp_path) == results(whole.out)
    assert summary(tmp_path) == summary(whole.out)


def test_a_killed_world_costs_a_retry(whole: Whole, tmp_path: Path, weights: Path) -> None:
    benchmark = start(tmp_path, weights)
    deadline = time.monotonic() + PATIENCE_S
    while not (found := related(benchmark, WORLD)):
        assert time.monotonic() < deadline
        assert benchmark.poll() is None
        time.sleep(0.05)
    time.sleep(random.uniform(0.0, 0.2) * whole.took_s)  # while it loads, is filled with cars, or is driven in
    victim = next((world for world in found if world.is_running()), None) or related(benchmark, WORLD)[0]
    victim.kill()
    finish(benchmark)
    assert results(tmp_path) == results(whole.out)
    assert summary(tmp_path) == summary(whole.out)
    (reasons,) = _summary(tmp_path)["retries"].values()
    assert len(reasons) == 1
    assert "killed by SIGKILL" in reasons[0]


@pytest.mark.parametrize(
    ("library", "launcher"),
    [("ray", ("launcher=ray",)), ("submitit", ("launcher=submitit", "launcher.cluster=local", "launcher.cpus=1"))],
)
def test_another_launcher_gives_the_same_scores(
    library: str, launcher: tuple[str, ...], whole: Whole, tmp_path: Path, weights: Path
) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: `make scale` does it")
    finish(start(tmp_path, weights, *launcher, "benchmark.workers=2"))
    assert results(tmp_path) == results(whole.out)
    assert summary(tmp_path) == summary(whole.out)
