"""Whole first drives with the shipped weights: what the README promises. Minutes each: `make test-slow`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """drive(seed, *overrides) -> (score, completion, results as bytes); every drive is driven once."""
    known: dict[tuple[Any, ...], tuple[float, float, bytes]] = {}

    def run(seed: int, *overrides: str, again: bool = False) -> tuple[float, float, bytes]:
        key = (seed, overrides, again)
        if key not in known:
            out: Path = tmp_path_factory.mktemp("drive")
            command = [sys.executable, "-m", "e2e_drive.cli", "evaluate", "experiment=first_drive", f"seed={seed}"]
            subprocess.run([*command, f"out={out}", "video.enabled=false", *overrides], check=True)
            text = (out / "results.json").read_bytes()
            scores = json.loads(text)["_checkpoint"]["records"][0]["scores"]
            known[key] = scores["score_composed"], scores["score_route"], text
        return known[key]

    return run


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_route_is_completed_with_a_good_score(drive: Any, seed: int) -> None:
    score, completion, _ = drive(seed)
    assert completion == 100.0
    assert score >= 60.0


def test_pixels_drive_the_car(drive: Any) -> None:
    assert drive(0, "rig.blackout=true")[0] < 0.5 * drive(0)[0]


def test_latency_drives_the_car(drive: Any) -> None:
    assert drive(0, "link=fixed", "link.latency_s=2.0")[0] < drive(0)[0] - 5.0


def test_without_a_link_the_car_still_arrives(drive: Any) -> None:
    assert drive(0, "link=off")[1] == 100.0


def test_the_same_seed_gives_the_same_bytes(drive: Any) -> None:
    assert drive(0)[2] == drive(0, again=True)[2]
