"""Which phase of its gait a walker shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carla_bridge.embedded.actors import Actor, ActorKind
from carla_bridge.embedded.gait import PHASES, RUNNING_FROM_M_S, prototype_of, walking_phase
from carla_bridge.embedded.towns.prototypes import PROTOTYPES
from carla_bridge.embedded.types import Pose

walked = st.floats(0.0, 1e5)
speeds = st.floats(0.2, 2.0)
heights = st.floats(0.8, 2.1)


@given(walked, speeds, heights)
def test_phases_follow_one_another(walked_m: float, speed_m_s: float, height_m: float) -> None:
    before = walking_phase(walked_m, speed_m_s, height_m)
    after = walking_phase(walked_m + 0.09 * height_m, speed_m_s, height_m)  # a little less than an eighth of a cycle
    assert before is not None
    assert after is not None
    assert 0 <= before < PHASES
    assert (after - before) % PHASES in (0, 1)


@given(walked, heights)
def test_who_stands_still_stands(walked_m: float, height_m: float) -> None:
    assert walking_phase(walked_m, 0.0, height_m) is None


def test_a_cycle_takes_a_walker_two_steps_and_a_runner_longer_ones() -> None:
    def cycle_m(speed_m_s: float) -> float:
        shown = [walking_phase(0.001 * k, speed_m_s, 1.8) for k in range(4000)]
        starts = [k for k in range(1, 4000) if shown[k] == 0 and shown[k - 1] == PHASES - 1]
        return 0.001 * starts[0]

    assert cycle_m(1.4) == pytest.approx(1.44, abs=0.01)
    assert cycle_m(RUNNING_FROM_M_S) > 1.5 * cycle_m(1.4)


def test_only_walkers_change_their_prototype() -> None:
    car = Actor(1, "vehicle.tesla.model3", ActorKind.VEHICLE, Pose(), extent=(2.4, 1.0, 0.7))
    assert prototype_of(car, 3.0, 8.0) == "car_sedan"
    child = Actor(2, "walker.pedestrian.0009", ActorKind.WALKER, Pose(), extent=(0.25, 0.25, 0.55))
    assert prototype_of(child, 3.0, 0.0) == "child"
    names = {prototype_of(child, 0.01 * k, 1.0) for k in range(200)}
    assert names == {f"child_walk_{phase}" for phase in range(PHASES)}
    assert names < set(PROTOTYPES)
