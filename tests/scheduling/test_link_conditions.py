"""Drives without a world and the link conditions of configs/link."""

import math
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from scheduling import LinkGeometry, RadioConfig, RadioLink
from scheduling.link import DRIVES, drive_geometry

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "link"


def radio(condition: str, seed: int = 0) -> RadioLink:
    whole = OmegaConf.create({"seed": 0, "link": OmegaConf.load(CONFIGS / f"{condition}.yaml")})
    options = OmegaConf.to_container(whole, resolve=True)["link"]
    assert options.pop("_target_") == "scheduling.RadioLink.configured"
    return RadioLink.configured(**{**options, "seed": seed})


def drive(condition: str, frames: int, seed: int = 0) -> list[LinkGeometry]:
    return list(islice(drive_geometry(seed, condition), frames))


def test_radio_yaml_holds_the_defaults():
    """So that conditions need to name only what they change."""
    assert radio("radio").config == RadioConfig()


@pytest.mark.parametrize("condition", DRIVES)
def test_drives_are_drives(condition: str):
    geometry = drive(condition, 6000)
    assert geometry == drive(condition, 6000)
    assert geometry != drive(condition, 6000, seed=1)
    km = sum(g.speed_mps for g in geometry) * 0.1 / 1000.0
    assert 1.0 < km < 6.0
    for before, after in pairwise(geometry):
        assert abs(after.speed_mps - before.speed_mps) < 0.2
        if before.rsu == after.rsu >= 0:
            assert abs(after.distance_m - before.distance_m) <= 0.1 * after.speed_mps + 1e-9
    served = [g for g in geometry if g.rsu >= 0]
    assert len({g.rsu for g in served}) > 5
    assert max(g.distance_m for g in served) < 1.01 * math.hypot(DRIVES[condition].unit_spacing_m, 15.0)


def test_conditions_differ_as_their_names_say():
    up, rtt, out = {}, {}, {}
    for condition in DRIVES:
        states = []
        for seed in range(4):
            link = radio(condition, seed)
            states += [link.step(g, 0.1 * i, 0.1) for i, g in enumerate(drive(condition, 3000, seed))]
        up[condition] = np.median([s.up_bps for s in states if s.available])
        rtt[condition] = np.percentile([s.rtt_s for s in states if s.available], 95)
        out[condition] = np.mean([not s.available for s in states])
    assert up["good"] > up["urban"] > 2.0 * up["congested"]
    assert rtt["good"] < rtt["urban"] < rtt["congested"]
    assert out["good"] < 0.01
    assert out["urban"] < 0.02
    assert out["tunnel"] > 0.08


def test_tunnels_last_for_seconds():
    held = "".join("x" if g.rsu < 0 else " " for seed in range(4) for g in drive("tunnel", 6000, seed)).split()
    assert len(held) > 10
    assert 1.0 < np.mean([0.1 * len(run) for run in held]) < 15.0


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValueError, match="good, urban, congested, tunnel, received 'space'"):
        drive_geometry(0, "space")
    with pytest.raises(ValueError, match="mean_other_users must not be negative, received -1"):
        RadioLink.configured(mean_other_users=-1)
