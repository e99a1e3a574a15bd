"""Pedestrian AI of the unmodified client on this world's navigation mesh."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import carla
import numpy as np
import pytest
import shapely

from carla_bridge.embedded.rays import RayScene
from carla_bridge.embedded.towns import load_town
from carla_bridge.embedded.types import Instances, WalkArea

ON_FOOT = (WalkArea.SIDEWALK, WalkArea.CROSSWALK)
OFF_M = 0.5  # a walker may be this far off its walkway


@functools.lru_cache(maxsize=8)
def walkways(name: str, *areas: WalkArea) -> shapely.Geometry:
    parts = [w for w in load_town(name).walkways if w.area in areas]
    whole = shapely.union_all([shapely.make_valid(shapely.Polygon(w.outline[:, :2])) for w in parts])
    shapely.prepare(whole)
    return whole


@pytest.fixture(params=["Gridley", "Larkhill"])
def town(request: pytest.FixtureRequest, client: carla.Client, world: carla.World) -> carla.World:
    return world if request.param == "Gridley" else client.load_world(request.param, False)


def name_of(world: carla.World) -> str:
    return world.get_map().name.rsplit("/", 1)[-1]


@pytest.fixture
def crowd(town: carla.World) -> Iterator[tuple[list[carla.Walker], list[carla.WalkerAIController]]]:
    """A dozen walkers with started controllers."""
    town.set_pedestrians_seed(4)
    town.set_pedestrians_cross_factor(0.0)
    library = town.get_blueprint_library()
    blueprints = library.filter("walker.pedestrian.*")
    walkers: list[carla.Walker] = []
    for k in range(40):
        place = town.get_random_location_from_navigation()
        walker = town.try_spawn_actor(blueprints[k % len(blueprints)], carla.Transform(place + carla.Location(z=1.0)))
        if walker is not None and len(walkers) < 12:
            walkers.append(walker)
    town.tick()
    controller = library.find("controller.ai.walker")
    controllers = [town.spawn_actor(controller, carla.Transform(), attach_to=walker) for walker in walkers]
    town.tick()
    for one in controllers:
        one.start()
        one.go_to_location(town.get_random_location_from_navigation())
        one.set_max_speed(1.6)
    yield walkers, controllers
    for one in controllers:
        one.stop()
        one.destroy()
    for walker in walkers:
        walker.destroy()


def places(actors: Sequence[carla.Actor]) -> list[tuple[float, float, float]]:
    found = [actor.get_location() for actor in actors]
    return [(place.x, place.y, place.z) for place in found]


def test_random_locations_lie_on_sidewalks(town: carla.World) -> None:
    def some() -> list[tuple[float, float]]:
        found = [town.get_random_location_from_navigation() for _ in range(60)]
        return [(place.x, place.y) for place in found]

    town.set_pedestrians_seed(1)
    first = some()
    sidewalks = walkways(name_of(town), WalkArea.SIDEWALK)
    assert (
        shapely.distance(sidewalks, shapely.points(np.array(first))).max() < 0.12
    )  # of an outline that was made simpler
    assert np.ptp(np.array(first), axis=0).min() > 50.0  # all over the town
    town.set_pedestrians_seed(1)
    assert some() == first


def test_walkers_walk_on_walkways(
    town: carla.World, crowd: tuple[list[carla.Walker], list[carla.WalkerAIController]]
) -> None:
    walkers, _ = crowd
    track, speeds, height = [], [], []
    for step in range(1200):
        town.tick()
        if step % 20 == 10:
            track.append(places(walkers))
            speeds.append([w.get_velocity().length() for w in walkers])
            height.append([w.bounding_box.extent.z for w in walkers] if not height else height[0])
    at = np.array(track)
    points = shapely.points(at[..., :2])
    assert shapely.distance(walkways(name_of(town), *ON_FOOT), points).max() < OFF_M
    walked = np.linalg.norm(np.diff(at[..., :2], axis=0), axis=-1).sum(axis=0)
    assert np.median(walked) > 60.0  # of 96 m, with pauses before crosswalks
    assert walked.min() > 10.0
    assert np.median(speeds) == pytest.approx(1.6, abs=0.1)
    on_crosswalk = shapely.contains(walkways(name_of(town), WalkArea.CROSSWALK), points)
    assert on_crosswalk.any(axis=0).sum() >= 3
    feet = at[..., 2] - np.array(height)
    above = feet - ground_heights(name_of(town), at)
    assert np.abs(above).max() < 0.3  # a kerb is 0.15 m


def ground_heights(name: str, at: np.ndarray) -> np.ndarray:
    """(..., 3) -> (...) height of the town's surface under places."""
    rays = RayScene(load_town(name).mesh, [])
    nobody = Instances(np.zeros(0, np.int32), np.zeros((0, 4, 4)), np.zeros(0, np.uint32), np.zeros((0, 3)))
    down = np.broadcast_to((0.0, 0.0, -1.0), at.shape).reshape(-1, 3)
    hits = rays.cast(rays.frame(nobody), at.reshape(-1, 3), down, 5.0)
    return at[..., 2] - hits.distance.reshape(at.shape[:-1])


def test_go_to_location_arrives(
    town: carla.World, crowd: tuple[list[carla.Walker], list[carla.WalkerAIController]]
) -> None:
    walkers, controllers = crowd
    goals = {}
    for walker, controller in zip(walkers, controllers, strict=True):
        for _ in range(400):
            place = town.get_random_location_from_navigation()
            if 8.0 < place.distance(walker.get_location()) < 25.0:
                controller.set_max_speed(3.0)
                controller.go_to_location(place)
                goals[walker.id] = place
                break
    assert len(goals) >= 4
    arrived = set()
    for _ in range(1600):
        town.tick()
        arrived |= {w.id for w in walkers if w.id in goals and goals[w.id].distance(w.get_location()) < 2.5}
    assert len(arrived) >= 0.6 * len(goals)  # others wait at a crosswalk, have far to go, or live on another island


def opposite_kerbs(world: carla.World) -> tuple[carla.Location, carla.Location]:
    """Two places that face each other across a road, far from any crosswalk."""
    crosswalks = walkways("Gridley", WalkArea.CROSSWALK)
    sidewalks = walkways("Gridley", WalkArea.SIDEWALK).buffer(-0.45)
    for pose in sorted(world.get_map().get_spawn_points(), key=lambda pose: -crosswalks.distance(point_of(pose))):
        right, found = pose.get_right_vector(), []
        for side in (-1.0, 1.0):
            ways = (pose.location + carla.Location(side * reach * right) for reach in range(2, 16))
            found += [way for way in ways if sidewalks.contains(shapely.Point(way.x, way.y))][:1]
        if len(found) == 2:
            return found[0], found[1]
    raise AssertionError("no such place")


def point_of(pose: carla.Transform) -> shapely.Point:
    return shapely.Point(pose.location.x, pose.location.y)


def test_the_cross_factor_lets_walkers_onto_the_road(world: carla.World) -> None:
    """Without it they take the crosswalk, however far it is."""
    library = world.get_blueprint_library()
    roads = walkways("Gridley", WalkArea.ROAD).difference(walkways("Gridley", *ON_FOOT).buffer(1.0))
    start, goal = opposite_kerbs(world)
    crossed = []
    for factor in (0.0, 1.0):
        world.set_pedestrians_cross_factor(factor)
        walker = world.spawn_actor(
            library.filter("walker.pedestrian.*")[0], carla.Transform(start + carla.Location(z=1))
        )
        world.tick()
        controller = world.spawn_actor(library.find("controller.ai.walker"), carla.Transform(), attach_to=walker)
        world.tick()
        controller.start()
        controller.go_to_location(goal)
        controller.set_max_speed(3.0)
        track = []
        for _ in range(300):
            world.tick()
            track.append(places([walker])[0][:2])
        crossed.append(bool(shapely.contains(roads, shapely.points(np.array(track))).any()))
        controller.stop()
        controller.destroy()
        walker.destroy()
    assert crossed == [False, True]


def test_a_second_client_has_the_mesh_too(world: carla.World, world_port: int) -> None:
    """It joins a world that stands still: nothing ticks while it loads."""
    other = carla.Client("127.0.0.1", world_port)
    other.set_timeout(10.0)
    assert other.get_world().get_random_location_from_navigation() is not None


def test_led_walkers_stop_with_their_controller(world: carla.World) -> None:
    library = world.get_blueprint_library()
    place = world.get_random_location_from_navigation()
    walker = world.spawn_actor(library.filter("walker.pedestrian.*")[0], carla.Transform(place + carla.Location(z=1)))
    world.tick()
    controller = world.spawn_actor(library.find("controller.ai.walker"), carla.Transform(), attach_to=walker)
    world.tick()
    controller.start()
    controller.go_to_location(world.get_random_location_from_navigation())
    for _ in range(40):
        world.tick()
    assert walker.get_velocity().length() > 0.5
    controller.stop()
    for _ in range(3):
        world.tick()
    before = walker.get_location()
    for _ in range(10):
        world.tick()
    assert walker.get_location().distance(before) < 0.01
    assert walker.get_velocity().length() < 0.01
    controller.destroy()
    walker.destroy()
