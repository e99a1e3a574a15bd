"""Contacts: geometry against shapely, impulses against conservation laws, events as CARLA tells them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity
from world_helpers import WALL, car, make_world, run

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.collision import box_contact, near_bodies, resolve_pair
from carla_bridge.embedded.types import Label, Pose
from carla_bridge.embedded.world import SpawnError

coordinate = st.floats(-4.0, 4.0)
angle = st.floats(-math.pi, math.pi)
size = st.floats(0.1, 3.0)


def rectangle(x: float, y: float, yaw: float, ex: float, ey: float) -> shapely.Polygon:
    return affinity.translate(affinity.rotate(shapely.box(-ex, -ey, ex, ey), yaw, (0, 0), use_radians=True), x, y)


@settings(max_examples=200, deadline=None)
@given(coordinate, coordinate, angle, size, size, angle, size, size)
def test_contact_agrees_with_polygon_intersection(x, y, yaw, ex, ey, yaw_b, ex_b, ey_b):
    a, b = rectangle(0.0, 0.0, yaw, ex, ey), rectangle(x, y, yaw_b, ex_b, ey_b)
    depth, nx, ny, px, py = box_contact(
        0.0, 0.0, math.cos(yaw), math.sin(yaw), ex, ey, x, y, math.cos(yaw_b), math.sin(yaw_b), ex_b, ey_b
    )
    area = a.intersection(b).area
    if depth < 0.0:
        assert area < 1e-6
        return
    apart = affinity.translate(b, depth * nx, depth * ny)
    assert a.intersection(apart).area < 1e-6  # the push separates them,
    if depth > 1e-3:
        less = affinity.translate(b, 0.98 * depth * nx, 0.98 * depth * ny)
        assert a.intersection(less).area > 0.0  # and no more than needed,
    if depth < min(ex, ey, ex_b, ey_b):  # otherwise one may hold the other, and no edge is the one that was hit
        assert shapely.Point(px, py).distance(a.intersection(b)) < 0.5 * depth + 1e-6  # about where they touch


@settings(max_examples=100, deadline=None)
@given(
    coordinate, coordinate, angle, angle, st.lists(st.floats(-20, 20), min_size=6, max_size=6), st.floats(3.0, 8000.0)
)
def test_impulses_conserve_momentum_and_never_add_energy(x, y, yaw_a, yaw_b, motion, mass_b):
    state, param = np.zeros((2, c.STATE_COLUMNS)), np.zeros((2, c.PARAM_COLUMNS))
    state[0, [c.VX, c.VY, c.YAW_RATE]], state[1, [c.VX, c.VY, c.YAW_RATE]] = motion[:3], motion[3:]
    state[:, c.YAW], state[1, [c.X, c.Y]] = (yaw_a, yaw_b), (x, y)
    mass = np.array([1500.0, mass_b])
    inertia = mass * (4.8**2 + 1.9**2) / 12.0
    param[:, c.INV_MASS], param[:, c.INV_INERTIA] = 1.0 / mass, 1.0 / inertia
    contact = box_contact(
        0.0, 0.0, math.cos(yaw_a), math.sin(yaw_a), 2.4, 0.95, x, y, math.cos(yaw_b), math.sin(yaw_b), 2.4, 0.95
    )
    if contact[0] < 0.0:
        return

    def totals(at):
        v = state[:, [c.VX, c.VY]]
        spin = inertia * state[:, c.YAW_RATE] + mass * (at[:, 0] * v[:, 1] - at[:, 1] * v[:, 0])
        energy = 0.5 * (mass * (v**2).sum(axis=1) + inertia * state[:, c.YAW_RATE] ** 2).sum()
        return (mass[:, None] * v).sum(axis=0), spin.sum(), energy

    place = state[:, [c.X, c.Y]].copy()
    momentum, spin, energy = totals(place)
    resolve_pair(state, 0, 1, param[1, c.INV_MASS], param[1, c.INV_INERTIA], x, y, *contact, param)
    momentum_after, spin_after, energy_after = totals(place)
    np.testing.assert_allclose(momentum_after, momentum, atol=1e-6 * 8000 * 20)
    assert spin_after == pytest.approx(spin, abs=1e-6 * 8000 * 20 * 10)
    assert energy_after <= energy * (1 + 1e-9) + 1e-6
    np.testing.assert_allclose((mass[:, None] * (state[:, [c.X, c.Y]] - place)).sum(axis=0), 0.0, atol=1e-6)


def overlap_m2(world, one: int, two: int) -> float:
    areas = []
    for k in (one, two):
        actor = world.actors[k]
        areas.append(rectangle(actor.pose.x, actor.pose.y, math.radians(actor.pose.yaw), *actor.extent[:2]))
    return areas[0].intersection(areas[1]).area


def test_rear_end_crash_tells_both_cars_and_leaves_them_apart():
    world = make_world()
    front, back = car(world, 12.0), car(world, 0.0)
    world.set_target_velocity(back, (15.0, 0.0, 0.0))
    told = []
    for _ in range(40):
        world.step(0.05)
        told += world.collisions
        assert overlap_m2(world, front, back) < 1e-3
    pairs = {(event.actor_id, event.other_id) for event in told}
    assert pairs == {(front, back), (back, front)}
    forward = sum(event.normal_impulse[0] for event in told if event.actor_id == front)
    backward = sum(event.normal_impulse[0] for event in told if event.actor_id == back)
    assert forward == pytest.approx(-backward)
    # two like cars: closing at 15 m/s less what is lost on 7.2 m of coasting, shared by halves, a little bounce
    assert forward == pytest.approx(1700.0 * 15.0 * 0.5 * 1.1, rel=0.1)
    assert world.actors[front].velocity[0] > world.actors[back].velocity[0] - 0.05


def test_a_wall_stops_a_car_and_is_told_as_static():
    world = make_world((WALL,))
    ego = car(world, 85.0)
    world.set_target_velocity(ego, (15.0, 0.0, 0.0))
    world.apply_vehicle_control(ego, throttle=0.5)
    told = []
    for _ in range(100):
        world.step(0.05)
        told += world.collisions
        assert world.actors[ego].pose.x + world.actors[ego].extent[0] <= 99.5 + 0.01
    assert {(event.actor_id, event.other_id, event.other_label) for event in told} == {(ego, 0, Label.WALLS)}
    assert all(event.normal_impulse[0] < 0.0 for event in told)
    assert len(told) > 50  # after a little bounce it keeps pushing, and that is told on every step
    assert abs(world.actors[ego].velocity[0]) < 0.5


def test_a_walker_is_hit_falls_and_is_taken_away():
    world = make_world()
    ego = car(world)
    walker = world.spawn("walker.pedestrian.0001", 1, {}, Pose(6.0, 0.0, 1.2)).id
    world.set_target_velocity(ego, (8.0, 0.0, 0.0))
    run(world, 0.5)
    assert {(e.actor_id, e.other_id) for e in world.collisions} <= {(ego, walker), (walker, ego)}
    run(world, 1.0)
    assert world.actors[walker].pose.x > 6.5  # thrown
    assert world.actors[ego].velocity[0] > 4.0  # and no wall to the car
    run(world, 7.5)
    lies_at = world.actors[walker].pose.x
    world.apply_walker_control(walker, (1.0, 0.0, 0.0), 2.0)
    run(world, 0.5)
    assert world.actors[walker].pose.x == pytest.approx(lies_at, abs=1e-6)
    run(world, 2.0)
    assert walker not in world.actors


def test_a_kinematic_body_is_a_wall_and_a_ghost_is_nothing():
    world = make_world()
    parked, ghost, ego = car(world, 10.0), car(world, 0.0, 10.0), car(world)
    world.set_simulate_physics(parked, False)
    world.set_collisions(ghost, False)
    world.set_pose(ghost, Pose(5.0, 0.0, 0.0))
    world.set_target_velocity(ego, (10.0, 0.0, 0.0))
    run(world, 2.0)
    assert world.actors[parked].pose.x == 10.0
    assert 4.9 < world.actors[ego].pose.x + 2.4 <= 7.61


def test_spawning_needs_room():
    world = make_world((WALL,))
    car(world, 0.0, 0.0)
    for x, y, yaw in ((3.0, 0.5, 20.0), (99.0, 0.0, 0.0)):
        with pytest.raises(SpawnError, match="Spawn failed because of collision at spawn position"):
            car(world, x, y, yaw)
    before = world.next_id
    assert car(world, 0.0, 2.5) == before  # a failed spawn uses up no id
    assert world.spawn("vehicle.tesla.model3", 1, {}, Pose(0.0, 0.0, 3.0)).id == before + 1  # above the first


def test_a_pile_up_comes_to_rest_without_overlap():
    world = make_world((WALL,))
    rng = np.random.default_rng(3)
    cars = [car(world, 8.0 * k, float(rng.uniform(-1, 1)), float(rng.uniform(-10, 10))) for k in range(10)]
    for actor_id in cars:
        world.set_target_velocity(actor_id, (20.0, 0.0, 0.0))
    run(world, 12.0)
    for k, one in enumerate(cars):
        assert math.hypot(*world.actors[one].velocity) < 0.2
        for two in cars[k + 1 :]:
            assert overlap_m2(world, one, two) < 0.02


def test_a_cone_flies_off_and_the_car_hardly_slows():
    world = make_world()
    ego = car(world)
    cone = world.spawn("static.prop.trafficcone01", 1, {}, Pose(6.0, 0.6, 0.0)).id
    world.set_target_velocity(ego, (15.0, 0.0, 0.0))
    fastest = 0.0
    for _ in range(10):
        world.step(0.05)
        fastest = max(fastest, math.hypot(*world.actors[cone].velocity))
    assert 13.0 < fastest < 1.2 * 15.0  # an elastic push by something far heavier would give twice the speed
    assert world.actors[ego].velocity[0] > 14.3
    world.apply_vehicle_control(ego, brake=1.0)
    run(world, 6.0)
    assert math.hypot(*world.actors[cone].velocity) == 0.0  # it slides to rest,
    assert world.actors[cone].angular_velocity == (0.0, 0.0, 0.0)
    assert world.actors[cone].pose.x > 8.0
    assert world.actors[cone].pose.z == 0.0


def test_heavy_things_stay_and_flat_ones_are_driven_over():
    world = make_world()
    left, right = car(world, 0.0, -10.0), car(world, 0.0, 10.0)
    kiosk = world.spawn("static.prop.kiosk_01", 1, {}, Pose(6.0, -10.0, 0.0)).id
    world.spawn("static.prop.dirtdebris01", 1, {}, Pose(6.0, 10.0, 0.0))
    for ego in (left, right):
        world.set_target_velocity(ego, (10.0, 0.0, 0.0))
    run(world, 1.0)
    assert world.actors[kiosk].pose.x == 6.0
    assert world.actors[left].velocity[0] < 0.5
    assert world.actors[right].velocity[0] > 9.0


def test_a_walker_hit_hard_lies_down_and_does_not_hold_the_car():
    world = make_world()
    ego = car(world)
    walker = world.spawn("walker.pedestrian.0001", 1, {}, Pose(8.0, 0.0, 0.93)).id
    world.apply_walker_control(walker, (-1.0, 0.0, 0.0), 1.4)
    world.set_target_velocity(ego, (10.0, 0.0, 0.0))
    run(world, 1.0)
    assert world.actors[ego].velocity[0] > 8.0
    world.apply_vehicle_control(ego, brake=1.0)
    run(world, 5.0)
    x = world.actors[walker].pose.x
    world.apply_walker_control(walker, (-1.0, 0.0, 0.0), 1.4)
    run(world, 1.0)
    assert world.actors[walker].pose.x == pytest.approx(x, abs=1e-3)  # it does not get up again
    instances = world.instances()
    up = instances.matrices[instances.actor_ids.tolist().index(walker)][:3, 2]
    assert abs(up[2]) < 1e-6  # what was up lies flat
    world.apply_vehicle_control(ego, throttle=0.6)
    run(world, 4.0)
    assert world.actors[ego].velocity[0] > 5.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_neighbours_are_those_whose_circles_meet(seed):
    rng = np.random.default_rng(seed)
    state, param = np.zeros((40, c.STATE_COLUMNS)), np.zeros((40, c.PARAM_COLUMNS))
    state[:, [c.X, c.Y]] = rng.uniform(-30.0, 30.0, (40, 2))
    param[:, [c.EX, c.EY]] = rng.uniform(0.1, 4.0, (40, 2))
    param[:, c.COLLIDES], param[:, c.INV_MASS] = rng.random(40) < 0.9, rng.random(40) < 0.8
    first, items, _ = near_bodies(state, param)
    expected = [
        (a, b)
        for a in range(40)
        for b in range(a + 1, 40)
        if param[a, c.COLLIDES] * param[b, c.COLLIDES]
        and param[a, c.INV_MASS] + param[b, c.INV_MASS]
        and math.dist(state[a, [c.X, c.Y]], state[b, [c.X, c.Y]])
        < math.hypot(*param[a, [c.EX, c.EY]]) + math.hypot(*param[b, [c.EX, c.EY]])
    ]
    assert [(a, int(b)) for a in range(40) for b in items[first[a] : first[a + 1]]] == expected


def test_pairs_looked_at_grow_with_the_number_of_cars():
    def looked(count: int) -> int:  # a car every 8 m on streets 40 m apart: a full town of that many cars
        state, param = np.zeros((count, c.STATE_COLUMNS)), np.zeros((count, c.PARAM_COLUMNS))
        state[:, c.X], state[:, c.Y] = 8.0 * (np.arange(count) % 20), 40.0 * (np.arange(count) // 20)
        param[:, [c.EX, c.EY]], param[:, [c.COLLIDES, c.INV_MASS]] = (2.4, 0.95), (1.0, 1e-3)
        return int(near_bodies(state, param)[2])

    assert 0 < looked(600) <= 11 * looked(60)
    assert looked(600) < 600 * 2
