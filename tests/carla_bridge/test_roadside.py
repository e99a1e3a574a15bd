"""What the roadside units see of a car: heights on a hill, vehicles and houses in the way, who serves."""

from __future__ import annotations

import math
from collections.abc import Iterator

import carla
import pytest

from bev import Pose2D
from carla_bridge.convert import location_to_carla, pose_from_carla
from carla_bridge.probe import WorldProbe, probed_world
from carla_bridge.roadside import HEIGHT_M, ROOF_GAP_M, RadioEye, RoadsideUnit, RoadsideUnits
from carla_bridge.truth import Body, TruthReader

EGO, TRUCK, CAR = "vehicle.lincoln.mkz_2020", "vehicle.carlamotors.firetruck", "vehicle.tesla.model3"


@pytest.fixture(scope="module")
def probe() -> Iterator[WorldProbe]:
    with probed_world("Larkhill", 0, 0.05) as opened:  # rolling ground
        yield opened


def body_at(waypoint: carla.Waypoint, speed_mps: float = 0.0) -> Body:
    pose = pose_from_carla(waypoint.transform).flat
    return Body(1, EGO, pose, speed_mps, 0.0, 2.4, 0.9, 1.5)


def towards_a_unit(units: RoadsideUnits, world_map: carla.Map) -> tuple[carla.Waypoint, RoadsideUnit]:
    """A place on a straight road 25 to 60 m before a unit, facing it."""
    for waypoint in world_map.generate_waypoints(3.0):
        pose = pose_from_carla(waypoint.transform).flat
        for unit in units.units:
            ahead, aside = pose.transform_to_local([[unit.x, unit.y]])[0]
            if 25.0 < ahead < 60.0 and abs(aside) < 2.5 and not waypoint.is_junction:
                further = waypoint.next(9.0)
                if further and abs(pose_from_carla(further[0].transform).yaw - pose.yaw) < 0.03:
                    return waypoint, unit
    raise AssertionError("no straight road leads to a unit")


def test_distances_count_the_height_of_the_ground(probe: WorldProbe) -> None:
    world_map = probe.world.get_map()
    units = RoadsideUnits(probe.world, world_map)
    heights = []
    for point in world_map.get_spawn_points()[::7]:
        waypoint = world_map.get_waypoint(point.location)
        seen = units.geometry(body_at(waypoint, speed_mps=-3.0))
        unit, at = units.units[seen.rsu], waypoint.transform.location
        antenna = (at.x, -at.y, at.z + 1.5 + ROOF_GAP_M)
        assert seen.distance_m == pytest.approx(math.dist(antenna, (unit.x, unit.y, unit.z)), abs=0.05)
        assert seen.speed_mps == 3.0
        heights.append(at.z)
    assert max(heights) - min(heights) > 2.0  # else it says nothing about hills
    for unit in units.units:
        ground = world_map.get_waypoint(location_to_carla(unit.x, unit.y)).transform.location.z
        assert unit.z == pytest.approx(ground + HEIGHT_M, abs=1.5)


@pytest.mark.parametrize(("blueprint", "blocks"), [(TRUCK, True), (CAR, False)])
def test_a_fire_engine_just_ahead_stands_in_the_way_and_a_car_does_not(
    probe: WorldProbe, blueprint: str, blocks: bool
) -> None:
    """The ray leaves the roof at 1.7 m and climbs towards 6 m: a saloon is below it, a fire engine is not."""
    world_map = probe.world.get_map()
    units = RoadsideUnits(probe.world, world_map)
    place, unit = towards_a_unit(units, world_map)
    ego = body_at(place)
    alone = next(g for g in [units.geometry(ego)] if g.rsu == unit.number)
    assert alone.line_of_sight
    assert alone.blocking_vehicles == 0
    ahead = place.next(9.0)[0].transform
    ahead.location.z += 0.3
    blocker = probe.world.spawn_actor(probe.world.get_blueprint_library().find(blueprint), ahead)
    try:
        for _ in range(10):
            probe.step()
        seen = units.geometry(ego)
        assert seen.rsu == unit.number
        assert seen.blocking_vehicles == int(blocks)
        if blocks:
            height_m = TruthReader(probe.world).body(blocker).height_m
            assert 2.0 < seen.blocker_height_m <= max(3.0, height_m + 0.5)
    finally:
        blocker.destroy()
        probe.step()


def test_the_serving_unit_is_kept_until_another_is_clearly_better(probe: WorldProbe) -> None:
    """Driven there and back between two units, the changes happen at different places."""
    world_map = probe.world.get_map()
    units = RoadsideUnits(probe.world, world_map)
    one, two = sorted(
        ((a, b) for a in units.units for b in units.units if a.number < b.number),
        key=lambda pair: math.dist((pair[0].x, pair[0].y), (pair[1].x, pair[1].y)),
    )[0]

    def serving(parts: list[float]) -> list[int]:
        found = []
        for t in parts:
            pose = Pose2D(one.x + t * (two.x - one.x), one.y + t * (two.y - one.y), 0.0)
            found.append(units.geometry(Body(1, EGO, pose, 0.0, 0.0, 2.4, 0.9, 1.5)).rsu)
        return found

    parts = [i / 40 for i in range(41)]
    there, back = serving(parts), serving(parts[::-1])[::-1]
    assert there[0] == back[0] == one.number
    assert there[-1] == back[-1] == two.number
    assert there != back


def test_a_car_that_somebody_else_drives_is_found_by_its_role(probe: WorldProbe) -> None:
    eye = RadioEye(probe.client)
    assert eye.geometry().rsu == -1  # there is no such car yet
    blueprint = probe.world.get_blueprint_library().find(EGO)
    blueprint.set_attribute("role_name", "hero")
    place = probe.world.get_map().get_spawn_points()[0]
    hero = probe.world.spawn_actor(blueprint, place)
    try:
        probe.step()
        at = pose_from_carla(place).flat
        seen, nearest = eye.geometry(), min(math.dist((u.x, u.y), (at.x, at.y)) for u in eye.units)
        assert seen.rsu >= 0
        assert seen.distance_m >= nearest - 1.0
    finally:
        hero.destroy()
        probe.step()
