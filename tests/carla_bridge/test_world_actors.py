"""Actors, attachment, rays, what is drawn, and repeatability."""

from __future__ import annotations

import carla
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_world_lights import CROSSING
from world_helpers import SHAPES, WALL, car, make_town, make_world, run

from carla_bridge.embedded.actors import ActorKind, compose, extent_of, relative_to
from carla_bridge.embedded.raycast import hit_boxes, ray_boxes
from carla_bridge.embedded.types import Box, Label, Pose
from carla_bridge.embedded.world import World

metres = st.floats(-100.0, 100.0)
degrees = st.floats(-180.0, 180.0)
poses = st.builds(Pose, metres, metres, metres, st.floats(-85.0, 85.0), degrees, degrees)


def transform(pose: Pose) -> carla.Transform:
    return carla.Transform(carla.Location(pose.x, pose.y, pose.z), carla.Rotation(pose.pitch, pose.yaw, pose.roll))


@settings(max_examples=100, deadline=None)
@given(poses, poses)
def test_composition_is_that_of_carla_transforms(parent, child):
    both = compose(parent, child)
    expected = np.array(transform(parent).get_matrix()) @ np.array(transform(child).get_matrix())
    np.testing.assert_allclose(both.matrix(), expected, atol=2e-4)  # carla computes in single precision
    np.testing.assert_allclose(compose(parent, relative_to(parent, child)).matrix(), child.matrix(), atol=1e-6)


def test_a_sensor_rides_on_its_parent():
    world = make_world()
    ego = car(world)
    mount = Pose(0.7, 0.1, 1.6, 4.0, 42.0, 0.0)
    camera = world.spawn("sensor.camera.rgb", 3, {}, mount, ego, stream_id=7)
    world.apply_vehicle_control(ego, throttle=0.6, steer=0.3)
    run(world, 3.0)
    at = transform(world.actors[ego].pose).transform(carla.Location(mount.x, mount.y, mount.z))
    assert (camera.pose.x, camera.pose.y, camera.pose.z) == pytest.approx((at.x, at.y, at.z), abs=1e-4)
    assert camera.velocity == world.actors[ego].velocity
    assert world.destroy(ego)
    world.step(0.05)
    assert camera.parent_id == 0
    assert not world.destroy(ego)
    assert not world.destroy(world.spectator_id)


def test_ids_are_never_used_twice():
    world = make_world(lights=CROSSING)
    first = car(world)
    world.destroy(first)
    assert car(world) > first
    following = World(make_town(lights=CROSSING), first_id=world.next_id, shapes=SHAPES)
    assert not set(world.actors) & set(following.actors)


@settings(max_examples=100, deadline=None)
@given(poses, st.tuples(*[st.floats(0.1, 5.0)] * 3), st.tuples(*[st.floats(-12.0, 12.0)] * 6))
def test_ray_agrees_with_samples_along_it(pose, extent, ends):
    """Brute force: the first of many points on the segment that lies in the box."""
    boxes = ray_boxes([Box(pose, extent)])
    a = np.array(ends[:3]) + np.array([pose.x, pose.y, pose.z])
    b = np.array(ends[3:]) + np.array([pose.x, pose.y, pose.z])
    (entry,) = hit_boxes(a, b, boxes.centres, boxes.axes, boxes.extents, boxes.radii)
    steps = np.linspace(0.0, 1.0, 4001)
    points = a + steps[:, None] * (b - a)
    local = (points - boxes.centres[0]) @ pose.matrix()[:3, :3]
    inside = (np.abs(local) <= np.array(extent) + 1e-9).all(axis=1)
    if inside[0]:
        assert entry in (-1.0, 0.0)  # begins inside (or exactly on the surface)
    elif inside.any():
        assert abs(entry - steps[inside.argmax()]) <= 1 / 4000 + 1e-6
    elif entry >= 0.0:  # a graze between two samples
        graze = pose.matrix()[:3, :3].T @ (a + entry * (b - a) - boxes.centres[0])
        assert (np.abs(graze) <= np.array(extent) + 1e-6).all()


def test_rays_meet_cars_walls_and_the_ground_in_order():
    world = make_world((WALL,))
    car(world, 50.0)
    hits = world.cast_ray((0.0, 0.0, 1.0), (200.0, 0.0, -1.0 / 9.0))
    assert [label for _, label in hits] == [Label.CAR, Label.WALLS, Label.GROUND]
    assert hits[0][0][0] == pytest.approx(47.6)
    assert hits[1][0][0] == pytest.approx(99.5)
    assert hits[2][0] == pytest.approx((180.0, 0.0, 0.0), abs=1e-9)
    roof = world.project_point((50.0, 0.0, 10.0), (0.0, 0.0, -1.0), 20.0)
    assert roof == ((50.0, 0.0, pytest.approx(1.48)), Label.CAR)
    assert world.project_point((20.0, 0.0, 10.0), (0.0, 0.0, -1.0), 5.0) is None
    assert world.level_boxes(Label.WALLS) == [WALL]


def test_instances_put_each_prototype_where_its_actor_is():
    world = make_world(lights=CROSSING)
    ego = world.spawn("vehicle.mini.cooper_s", 1, {"color": (5, "255,0,51")}, Pose(30.0, 5.0, 0.0, 0.0, 25.0)).id
    world.spawn("walker.pedestrian.0003", 2, {}, Pose(40.0, 5.0, 0.9))
    world.spawn("static.prop.streetbarrier", 3, {}, Pose(45.0, 5.0, 0.0, 0.0, 90.0))
    world.step(0.05)
    drawn = world.instances()
    names = [list(SHAPES)[k] for k in drawn.prototype]
    assert names[4:] == ["car_hatch", "pedestrian_woman", "barrier"]
    for name, actor in zip(names, (world.actors[int(k)] for k in drawn.actor_ids), strict=True):
        if actor.kind == ActorKind.TRAFFIC_LIGHT:
            assert name == f"light_{actor.light.state.name.lower()}"
    # each prototype fills the box of its actor, whatever its own size
    front = drawn.matrices[4] @ [*SHAPES["car_hatch"].extent, 1.0]
    np.testing.assert_allclose(front, world.actors[ego].pose.matrix() @ [*world.actors[ego].extent, 1.0], atol=1e-5)
    np.testing.assert_allclose(drawn.tints[4], (1.0, 0.0, 0.2))
    np.testing.assert_allclose(drawn.matrices[5] @ [0, 0, 0, 1], [40.0, 5.0, 0.0, 1.0], atol=1e-5)  # its feet
    barrier, half = SHAPES["barrier"], extent_of("static.prop.streetbarrier")
    top_corner = drawn.matrices[6] @ [*np.add(barrier.centre, barrier.extent), 1.0]  # the barrier points along y
    np.testing.assert_allclose(top_corner[:3], [45.0 - half[1], 5.0 + half[0], 2.0 * half[2]], atol=1e-5)


def test_a_walker_goes_where_it_is_told():
    world = make_world()
    walker = world.spawn("walker.pedestrian.0001", 2, {}, Pose(0.0, 0.0, 0.9))
    world.apply_walker_control(walker.id, (0.0, 2.0, 0.0), 1.4)
    run(world, 5.0)
    assert walker.pose.y == pytest.approx(7.0, abs=0.2)
    assert walker.pose.yaw == pytest.approx(90.0)
    assert walker.pose.z == pytest.approx(0.93)  # half its height


def test_setters_name_the_wrong_actor():
    world = make_world(lights=CROSSING)
    with pytest.raises(KeyError):
        world.apply_vehicle_control(999)
    with pytest.raises(TypeError, match="spectator"):
        world.apply_vehicle_control(world.spectator_id)


def test_same_calls_give_the_same_bytes():
    def play() -> bytes:
        world = make_world((WALL,), CROSSING, seed=5)
        rng = np.random.default_rng(0)
        cars = [car(world, 9.0 * (k % 6), 7.0 * (k // 6), 7.0 * k) for k in range(18)]
        record = []
        for tick in range(120):
            for actor_id in cars:
                throttle, steer, brake = rng.random(3)
                world.apply_vehicle_control(actor_id, throttle, steer - 0.5, brake * (tick > 80))
            world.step(0.05)
            record += [repr(a.pose) + repr(a.velocity) for a in world.actors.values()] + [repr(world.collisions)]
        assert any("actor_id" in line for line in record)
        return "".join(record).encode()

    assert play() == play()
