"""Traffic lights: never two phases open at once, whatever the times and the seed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_helpers import car, light, make_world, run

from carla_bridge.embedded.actors import LightState
from carla_bridge.embedded.lights import LightStatus, build_groups
from carla_bridge.embedded.types import Pose

CROSSING = (light(1, 0, 0, 0.0), light(2, 0, 0, 180.0), light(3, 0, 1, 90.0), light(4, 0, 1, 270.0))
seconds = st.floats(0.2, 3.0)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.lists(st.tuples(seconds, seconds, seconds), min_size=6, max_size=6),
    st.sampled_from([0.05, 0.1, 1.7]),
)
def test_one_phase_at_a_time_and_every_phase_in_turn(seed, phases, times, tick):
    statuses = [
        LightStatus(str(k), k, 5, phase, green_s=times[k][0], yellow_s=times[k][1], red_s=times[k][2])
        for k, phase in enumerate(phases)
    ]
    (group,) = build_groups(statuses, seed)
    seen = []
    for _ in range(int(40.0 / tick)):
        group.step(tick)
        open_phases = {status.phase for status in statuses if status.state != LightState.RED}
        assert len(open_phases) <= 1
        for status in statuses:
            if status.phase in open_phases:
                assert status.state == group.stage  # lights of one phase go together
            if status.state == LightState.GREEN and (not seen or seen[-1] != status.phase):
                seen.append(status.phase)
    if tick < 1.0:
        order = sorted(set(phases))
        turns = len(seen) if len(order) > 1 else 1
        assert seen == [order[(order.index(seen[0]) + k) % len(order)] for k in range(turns)]


def test_states_last_as_long_as_they_should():
    world = make_world(lights=CROSSING, seed=4)
    one = next(a for a in world.actors.values() if a.light is not None)
    changes, last = [], one.light.state
    for tick in range(1, 2000):
        before = one.light.elapsed_s
        world.step(0.05)
        if one.light.state != last:
            changes.append((last, round(tick * 0.05, 2), round(before + 0.05, 2)))
            last = one.light.state
            assert one.light.elapsed_s == pytest.approx(0.0, abs=0.051)
    durations = {(a, round(t1 - t0, 2)) for (_, t0, _), (a, t1, _) in pairwise(changes)}
    # red = the all-red of its own phase + the other phase's green, yellow and all-red
    assert durations == {(LightState.GREEN, 7.0), (LightState.YELLOW, 2.5), (LightState.RED, 11.5)}
    assert {(a, e) for a, _, e in changes[1:]} == durations


def test_reset_returns_to_the_seeded_start_and_seeds_differ():
    two_junctions = (*CROSSING, *(light(5 + k, 1, k, 90.0 * k) for k in range(2)))

    def picture(world):
        return [(a.light.state, round(a.light.elapsed_s, 6)) for a in world.actors.values() if a.light is not None]

    world = make_world(lights=two_junctions, seed=1)
    start = picture(world)
    run(world, 5.0)
    assert picture(world) != start
    world.reset_lights()
    assert picture(world) == start
    assert picture(make_world(lights=two_junctions, seed=1)) == start
    assert picture(make_world(lights=two_junctions, seed=2)) != start


def test_freezing_keeps_a_state_set_by_hand():
    world = make_world(lights=CROSSING)
    ids = [a.id for a in world.actors.values() if a.light is not None]
    assert world.group_lights(ids[2]) == ids
    world.freeze_lights(True)
    world.set_light_state(ids[0], LightState.GREEN)
    run(world, 30.0)
    assert world.actors[ids[0]].light.state == LightState.GREEN
    world.freeze_lights(False)
    run(world, 30.0)
    greens = [world.actors[k].light.state == LightState.GREEN for k in ids]
    assert greens[0] == greens[1]
    assert greens[2] == greens[3]


@pytest.mark.parametrize(
    ("pose", "which"),
    [
        (Pose(-14.0, 0.0, 0.0, 0.0, 0.0), 0),  # eastbound, in front of the stop line
        (Pose(-14.0, 0.0, 0.0, 0.0, 30.0), 0),
        (Pose(-14.0, 0.0, 0.0, 0.0, 180.0), None),  # in the same place, driving away
        (Pose(-14.0, 3.0, 0.0, 0.0, 0.0), None),  # next lane
        (Pose(-9.5, 0.0, 0.0, 0.0, 0.0), None),  # its front is past the line
        (Pose(-40.0, 0.0, 0.0, 0.0, 0.0), None),
        (Pose(0.0, 14.0, 0.0, 0.0, 270.0), 3),
    ],
)
def test_a_car_obeys_the_light_whose_lane_it_is_on(pose, which):
    world = make_world(lights=CROSSING)
    ids = [a.id for a in world.actors.values() if a.light is not None]
    world.freeze_lights(True)
    for k in ids:
        world.set_light_state(k, LightState.RED)
    ego = world.actors[car(world, pose.x, pose.y, pose.yaw)]
    world.step(0.05)
    assert ego.at_light_id == (0 if which is None else ids[which])
    assert ego.at_traffic_light == (which is not None)
    if which is not None:
        world.set_light_state(ids[which], LightState.GREEN)
        world.step(0.05)
        assert ego.at_light_id == ids[which]
        assert not ego.at_traffic_light


def test_the_trigger_volume_is_given_in_the_light_s_frame():
    world = make_world(lights=CROSSING)
    for placement, actor in zip(CROSSING, (a for a in world.actors.values() if a.light is not None), strict=True):
        corner = actor.pose.matrix() @ [*actor.box_centre, 1.0]
        centre = placement.trigger.centre
        assert corner[:3] == pytest.approx([centre.x, centre.y, centre.z])
        assert (actor.pose.yaw + actor.box_rotation[1] - centre.yaw) % 360.0 == pytest.approx(0.0, abs=1e-9)
