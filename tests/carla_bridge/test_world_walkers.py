"""Walkers that a client's pedestrian AI leads."""

from __future__ import annotations

import pytest
from world_helpers import car, make_world

from carla_bridge.embedded.types import Pose
from carla_bridge.embedded.world import World

STEP_S = 0.05
FEET_M = 0.12  # a kerb's height


def walker(world: World, *, led_as_by_the_client: bool) -> int:
    actor = world.spawn("walker.pedestrian.0001", 1, {}, Pose(0.0, 0.0, 1.1))
    if led_as_by_the_client:
        world.set_simulate_physics(actor.id, False)
        world.set_collisions(actor.id, False)
    return actor.id


@pytest.mark.parametrize("led_as_by_the_client", [False, True])
def test_a_led_walker_is_where_it_shall_be(led_as_by_the_client: bool) -> None:
    world = make_world()
    actor = world.actors[walker(world, led_as_by_the_client=led_as_by_the_client)]
    for k in range(1, 21):
        world.lead_walker(actor.id, Pose(0.08 * k, 0.0, FEET_M, yaw=5.0), 1.6)
        world.step(STEP_S)
        assert (actor.pose.x, actor.pose.y) == pytest.approx((0.08 * k, 0.0), abs=1e-9)
        assert actor.pose.z - actor.extent[2] == pytest.approx(FEET_M)
        assert actor.velocity == pytest.approx((1.6, 0.0, 0.0), abs=1e-9)
        assert actor.pose.yaw == pytest.approx(5.0)
        assert actor.walker.speed == 1.6
    for _ in range(20):
        world.step(STEP_S)
    assert actor.pose.x < 1.6 + 0.2  # nobody leads it on
    assert actor.velocity[0] == pytest.approx(0.0, abs=1e-9)
    assert actor.walker.speed == 0.0


def test_a_led_walker_comes_back_to_its_way() -> None:
    world = make_world()
    actor = world.actors[walker(world, led_as_by_the_client=True)]
    world.lead_walker(actor.id, Pose(40.0, 3.0, 0.0), 1.4)
    world.step(STEP_S)
    assert (actor.pose.x, actor.pose.y) == pytest.approx((40.0, 3.0))  # too far to walk
    assert actor.velocity[:2] == pytest.approx((0.0, 0.0))
    for _ in range(12):  # as after a push: it hurries, and does not fly
        world.lead_walker(actor.id, Pose(41.0, 3.0, 0.0), 1.4)
        world.step(STEP_S)
        assert actor.velocity[0] <= 3.0 + 1e-9
    assert actor.pose.x == pytest.approx(41.0)


def test_a_led_walker_can_be_run_over_but_not_driven_against() -> None:
    world = make_world()
    actor = world.actors[walker(world, led_as_by_the_client=True)]
    world.set_collisions(actor.id, True)
    vehicle = car(world, x=-8.0)
    world.set_target_velocity(vehicle, (10.0, 0.0, 0.0))
    hit = False
    for _ in range(20):
        world.lead_walker(actor.id, Pose(0.0, 0.0, 0.0), 0.0)
        world.step(STEP_S)
        hit = hit or any(collision.other_id == actor.id for collision in world.collisions)
    assert hit
    assert world.actors[vehicle].velocity[0] > 4.0


def test_a_destroyed_walker_is_not_led() -> None:
    world = make_world()
    actor_id = walker(world, led_as_by_the_client=True)
    world.lead_walker(actor_id, Pose(1.0, 0.0, 0.0), 1.4)
    world.step(STEP_S)
    world.lead_walker(actor_id, Pose(1.1, 0.0, 0.0), 1.4)
    world.destroy(actor_id)
    world.step(STEP_S)
    with pytest.raises(KeyError):
        world.lead_walker(actor_id, Pose(), 1.0)
