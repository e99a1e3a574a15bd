"""What a collection is made of depends on (seed, n) alone, covers every town, and never touches those held out."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from carla_bridge.weather import WEATHERS, weather_of
from e2e_drive.apps.collect import visits_to_do
from e2e_drive.apps.run_plan import Plan

TOWNS = ("Gridley", "Larkhill", "Random1")
PLAN = Plan(TOWNS, 4, {"ClearNoon": 3.0, "WetNoon": 1.0, "ClearNight": 0.0}, (5, 9), (0, 3), (1, 1), (100.0, 200.0))


def test_every_round_visits_every_town_once() -> None:
    for seed in range(3):
        for first in range(0, 12, 3):
            assert {PLAN.town_of(visit, seed) for visit in range(first, first + 3)} == set(TOWNS)
    assert PLAN.town_of(7, 1) == PLAN.town_of(7, 1)
    assert len({tuple(PLAN.town_of(visit, seed) for visit in range(6)) for seed in range(8)}) > 3


def test_scenes_lie_within_the_plan() -> None:
    scenes = [PLAN.scene(1, index) for index in range(800)]
    assert scenes[17] == PLAN.scene(1, 17)
    assert all(5 <= scene.cars <= 9 and 0 <= scene.walkers <= 3 and scene.obstacles == 1 for scene in scenes)
    weathers = Counter(scene.weather for scene in scenes)
    assert set(weathers) == {"ClearNoon", "WetNoon"}
    assert weathers["ClearNoon"] / 800 == pytest.approx(0.75, abs=0.05)
    assert {scene.town for scene in scenes[4:8]} == {PLAN.town_of(1, 1)}


def test_what_is_done_is_not_done_again() -> None:
    assert list(islice(visits_to_do(PLAN, {0, 1, 2, 3, 5}), 2)) == [[4, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("town", ["Thornby", "Random900", "Random1234"])
def test_towns_held_out_are_refused(town: str) -> None:
    with pytest.raises(ValueError, match=rf"town {town} is held out"):
        Plan(("Gridley", town))
    assert Plan((town,), for_tests=True).town_of(3, 0) == town
    with pytest.raises(ValueError, match="town Gridley is one to learn from"):
        Plan((town, "Gridley"), for_tests=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"towns": ["Gridley", "Gridley"]}, "distinct"),
        ({"weathers": {"Sunny": 1.0}}, "weather must be one of ClearNoon"),
        ({"weathers": {"ClearNoon": 0.0}}, "positive weight"),
        ({"cars": [5, 2]}, r"cars must be a range \[low, high\], received \[5, 2\]"),
        ({"runs_per_visit": 0}, "runs_per_visit"),
    ],
)
def test_impossible_plans_are_told(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Plan.from_options(**options)


def test_every_weather_is_one() -> None:
    for name in WEATHERS:
        assert -90.0 <= weather_of(name).sun_altitude_angle <= 90.0
