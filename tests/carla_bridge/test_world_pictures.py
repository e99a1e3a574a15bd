"""What the world tells the renderer: where things are and were, their lamps, the pose of walkers."""

from __future__ import annotations

import numpy as np
from world_helpers import SHAPES, car, light, make_world, run

from carla_bridge.embedded.actors import LightState
from carla_bridge.embedded.messages import actor_state
from carla_bridge.embedded.snapshot import _union, snapshot
from carla_bridge.embedded.types import Pose

NAMES = list(SHAPES)


def row(instances, actor_id: int) -> int:
    return instances.actor_ids.tolist().index(actor_id)


def test_instances_know_where_they_were_one_step_earlier():
    world = make_world()
    one, gone, two = car(world), car(world, 0.0, 8.0), car(world, 0.0, 16.0)
    for actor_id in (one, gone, two):
        world.set_target_velocity(actor_id, (4.0, 0.0, 0.0))
    cone = world.spawn("static.prop.trafficcone01", 1, {}, Pose(0.0, 0.0, 2.0), parent_id=two).id
    run(world, 0.1)
    was = world.instances()
    world.destroy(gone)
    world.step(0.05)
    new = car(world, 0.0, -8.0)
    now = world.instances()
    for actor_id in (one, two, cone):
        np.testing.assert_array_equal(now.previous[row(now, actor_id)], was.matrices[row(was, actor_id)])
        assert 0.1 < (now.matrices - now.previous)[row(now, actor_id), 0, 3] < 0.3
    np.testing.assert_array_equal(now.previous[row(now, new)], now.matrices[row(now, new)])


def test_a_carried_prop_has_the_size_of_one_on_the_ground():
    world = make_world()
    ego = car(world)
    for parent in (0, ego):
        world.spawn("static.prop.trafficcone01", 1, {}, Pose(9.0, 0.0, 0.0), parent_id=parent)
    free, carried = world.instances().matrices[-2:]
    np.testing.assert_allclose(free, carried, atol=1e-6)


def test_lamps_of_vehicles_are_shown():
    world = make_world()
    ego, other = car(world), car(world, 0.0, 8.0)
    world.set_vehicle_lights(ego, 0b1010)
    instances = world.instances()
    assert instances.light_flags[[row(instances, ego), row(instances, other)]].tolist() == [0b1010, 0]


def test_walkers_walk_whether_they_are_steered_or_led():
    world = make_world()
    steered, led, still = (world.spawn("walker.pedestrian.0001", 1, {}, Pose(0.0, 4.0 * k, 0.93)).id for k in range(3))
    world.set_simulate_physics(led, False)
    world.apply_walker_control(steered, (1.0, 0.0, 0.0), 1.4)
    seen: dict[int, list[str]] = {steered: [], led: [], still: []}
    for k in range(40):
        world.lead_walker(led, Pose(0.07 * (k + 1), 4.0, 0.0), 1.4)
        world.step(0.05)
        instances = world.instances()
        for actor_id, names in seen.items():
            names.append(NAMES[instances.prototype[row(instances, actor_id)]])
    assert set(seen[still]) == {"pedestrian_woman"}
    for walking in (steered, led):
        assert len(set(seen[walking][5:])) == 8  # 2.8 m are nearly two cycles of eight phases
        assert "pedestrian_woman" not in seen[walking][5:]
        assert world.actors[walking].velocity[0] > 1.3


def test_the_snapshot_of_many_is_that_of_each():
    world = make_world(lights=(light(1, 0, 0, 0.0),))
    ego, other = car(world, -12.0), car(world, 0.0, 9.0)
    walker = world.spawn("walker.pedestrian.0001", 1, {}, Pose(0.0, 4.0, 0.93)).id
    world.spawn("static.prop.trafficcone01", 1, {}, Pose(9.0, 9.0, 0.0))
    world.set_light_state(world.actors[1].id, LightState.RED)
    world.apply_vehicle_control(ego, 0.5, -0.25, 0.125, True, True)
    world.apply_vehicle_control(other, 1.0, manual=True, gear=3)
    world.apply_walker_control(walker, (0.6, -0.8, 0.0), 1.5, True)
    run(world, 0.2)
    assert world.actors[ego].at_light_id == 1
    expected = b"".join(
        actor_state(a.id, a.pose, a.velocity, a.angular_velocity, a.acceleration, _union(a))
        for a in world.actors.values()
    )
    assert snapshot(world, 0.0)[84:] == expected
