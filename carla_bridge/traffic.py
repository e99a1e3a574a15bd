"""Everybody else: cars driven by the client library's own TrafficManager, pedestrians led by its AI controllers, and
what has been left standing on the road."""

from __future__ import annotations

import math
from dataclasses import dataclass

import carla
import numpy as np

from bev import Pose2D
from carla_bridge.convert import Pose3D, location_to_carla, pose_from_carla, pose_to_carla
from carla_bridge.lanes import LaneGraph
from carla_bridge.process import SessionError, free_port
from carla_bridge.routes import Route

CLEAR_AHEAD_M = 25.0  # no car this near to the ego's start
# Plain cars and vans are the traffic of the first shipped network, which takes the back of a taxi for a free road.
MAKES = ("car", "van")
SLOWER_PERCENT = 30.0  # below the speed limit: faster, TrafficManager takes right turns beyond the grip of the tyres
TOP_MPS = 8.0  # on fast roads: our own car's speed classes end soon after
CHECK_TICKS = 10  # between two looks at the speed limits
# With variety: the share of each make; special ones (police, taxi, ambulance, fire engine) are among them.
SHARES = {"car": 0.63, "van": 0.12, "truck": 0.07, "bus": 0.03, "motorcycle": 0.10, "bicycle": 0.05}
LONG = ("vehicle.carlamotors.firetruck", "vehicle.carlamotors.european_hgv", "vehicle.mitsubishi.fusorosa")
LONG_LANE_M = 3.4  # TrafficManager cuts corners with long vehicles where lanes are narrower than this
CROSSING_SHARE = 0.25  # of the pedestrians that may cross a road where there is no crosswalk
WALKER_NEAR_M = 45.0  # of the route, where those who walk begin
WALKER_CLEAR_M = 4.0
CAR_NEAR_M = 90.0
HURRIED_SHARE = 0.15  # run
OBSTACLE_SPACING_M = 70.0
LIGHT_QUEUE_M = 25.0  # more before lights, where a standing car would be taken for the end of a queue
OBSTACLE_FREE_M = 32.0  # of straight road before and behind


@dataclass(frozen=True)
class ObstaclePlan:
    """Things that stand on the route: blueprint ids and where. ISO 8855, world frame."""

    parts: tuple[tuple[str, Pose2D], ...]


@dataclass(frozen=True)
class TrafficExtras:
    """What there is beside plain cars. variety: vehicles of every kind. near: places along the route, around which the
    pedestrians begin, and a share of the cars."""

    walkers: int = 0
    variety: bool = False
    obstacles: tuple[ObstaclePlan, ...] = ()
    near: tuple[tuple[float, float], ...] = ()
    near_share: float = 0.0  # of the cars that begin within CAR_NEAR_M of those places


def plan_extras(
    route: Route,
    graph: LaneGraph,
    *,
    walkers: int = 0,
    variety: bool = False,
    obstacles: int = 0,
    near_share: float = 0.0,
    seed: int = 0,
) -> TrafficExtras:
    """The extras for a drive along a route. Same seed, same plan; fewer obstacles where there is no room for more."""
    near = tuple((float(x), float(y)) for x, y in route.points_at(np.arange(0.0, route.length_m, 20.0)))
    return TrafficExtras(walkers, variety, plan_obstacles(route, graph, obstacles, seed), near, near_share)


def plan_obstacles(route: Route, graph: LaneGraph, count: int, seed: int) -> tuple[ObstaclePlan, ...]:
    """Broken-down cars and construction sites in the route's lane, on straight stretches with a lane to the left."""
    rng = np.random.default_rng([seed, count, 11])
    plans: list[ObstaclePlan] = []
    taken: list[float] = []
    arcs = np.arange(45.0, route.length_m - 40.0, 5.0)
    for arc in rng.permutation(arcs).tolist():
        if len(plans) == count:
            break
        if all(abs(arc - other) > OBSTACLE_SPACING_M for other in taken) and _has_room(route, graph, arc):
            taken.append(arc)
            plans.append(_broken_down(route, arc, rng) if rng.random() < 0.6 else _construction(route, arc))
    return tuple(plans)


def _has_room(route: Route, graph: LaneGraph, arc_m: float) -> bool:
    low, high = arc_m - OBSTACLE_FREE_M, arc_m + OBSTACLE_FREE_M
    for span in route.junctions:
        if span.entry_m < high + (LIGHT_QUEUE_M if span.signalised else 0.0) and span.exit_m > low:
            return False
    yaws = np.interp(np.linspace(low, high, 9), route.arc_m, route.yaws)
    if np.ptp(yaws) > math.radians(12.0):
        return False
    pose = route.pose_at(arc_m)
    waypoint = graph.map.get_waypoint(location_to_carla(pose.x, pose.y), lane_type=carla.LaneType.Driving)
    left = None if waypoint is None else waypoint.get_left_lane()
    return left is not None and left.lane_type == carla.LaneType.Driving


def _broken_down(route: Route, arc_m: float, rng: np.random.Generator) -> ObstaclePlan:
    """Half of them nearly off the lane."""
    makes = ("vehicle.audi.etron", "vehicle.seat.leon", "vehicle.mercedes.sprinter", "vehicle.nissan.patrol")
    aside = -0.3 if rng.random() < 0.5 else -1.0
    return ObstaclePlan(((makes[int(rng.integers(len(makes)))], _beside(route, arc_m, aside)),))


def _construction(route: Route, arc_m: float) -> ObstaclePlan:
    """Two barriers across the lane's right half, cones along its left edge."""
    parts = [("static.prop.streetbarrier", _beside(route, arc_m, side, math.pi / 2.0)) for side in (-0.2, -1.3)]
    parts += [("static.prop.trafficcone01", _beside(route, arc_m + ahead, 0.3)) for ahead in (2.5, 5.0, 7.5)]
    parts.append(("static.prop.streetbarrier", _beside(route, arc_m + 9.0, -0.6, math.pi / 2.0)))
    return ObstaclePlan(tuple(parts))


def _beside(route: Route, arc_m: float, left_m: float, turn_rad: float = 0.0) -> Pose2D:
    pose = route.pose_at(arc_m)
    x, y = pose.transform_from_local(np.array([[0.0, left_m]]))[0]
    return Pose2D(float(x), float(y), pose.yaw + turn_rad)


class Traffic:
    """`count` cars at spawn points drawn by the seed, away from the ego's start, and the extras. Same seed, same
    traffic. `ticked` has to follow every tick of the world."""

    def __init__(
        self,
        client: carla.Client,
        world: carla.World,
        count: int,
        seed: int,
        keep_clear: Pose2D,
        extras: TrafficExtras | None = None,
    ) -> None:
        self._client, self._world = client, world
        self.actors: list[int] = []
        self._walking: list[tuple[carla.WalkerAIController, carla.Location, float]] = []
        self._to_start = True
        self._with_lamps = extras is not None and extras.variety
        self._cars: dict[int, tuple[carla.Vehicle, float]] = {}  # with the speed limit [km/h] last told of
        self._ticks = 0
        self._manager: carla.TrafficManager | None = None
        extras = extras or TrafficExtras()
        try:
            for number, plan in enumerate(extras.obstacles):
                self._put_down(plan, number)
            if count > 0:
                self._add_cars(count, seed, keep_clear, extras)
            if extras.walkers > 0:
                self._add_walkers(extras, seed, keep_clear)
        except SessionError:
            self.close()
            raise

    def ticked(self) -> None:
        """Everybody sets out once the world knows them; nobody is faster than TOP_MPS on a fast road."""
        if self._to_start:
            self._set_out()
        if self._ticks % CHECK_TICKS == 0:
            self._hold_back()
        self._ticks += 1

    def _set_out(self) -> None:
        """Cars not before the first tick: until then TrafficManager's thread may still be in a round that it began
        before it was told to wait for ticks. A car that such a round meets, and that no snapshot shows yet, is taken
        for destroyed and never moves: seen once in 50 drives on a busy machine."""
        self._to_start = False
        for car, _ in self._cars.values():
            assert self._manager is not None
            car.set_autopilot(True, self._manager.get_port())
            self._manager.auto_lane_change(car, False)
            if self._with_lamps:
                self._manager.update_vehicle_lights(car, True)
        for controller, goal, speed in self._walking:
            controller.start()
            controller.go_to_location(goal)
            controller.set_max_speed(speed)
            controller.parent.set_collisions(True)  # the library makes walkers of controllers immaterial

    def _hold_back(self) -> None:
        """TrafficManager takes away cars that have been stuck for 90 s; to ask one of those anything is an error."""
        alive = self._world.get_snapshot()
        self._cars = {number: entry for number, entry in self._cars.items() if alive.has_actor(number)}
        for number, (car, told) in self._cars.items():
            limit = car.get_speed_limit()
            if self._manager is None or limit == told or limit <= 0.0:
                continue
            wanted = min((1.0 - SLOWER_PERCENT / 100.0) * limit, 3.6 * TOP_MPS)
            self._manager.vehicle_percentage_speed_difference(car, 100.0 * (1.0 - wanted / limit))
            self._cars[number] = (car, limit)

    def close(self) -> None:
        self._cars = {}
        # the manager first: its thread ends the process when it meets a car that is gone
        if self._manager is not None:
            self._manager.shut_down()
            self._manager = None
        for controller, *_ in self._walking:
            controller.stop()
        self._walking = []
        if self.actors:
            self._client.apply_batch_sync([carla.command.DestroyActor(actor) for actor in self.actors], False)
        self.actors = []

    def _add_cars(self, count: int, seed: int, keep_clear: Pose2D, extras: TrafficExtras) -> None:
        standing = [pose for plan in extras.obstacles for _, pose in plan.parts]
        free = [
            point
            for point in self._world.get_map().get_spawn_points()
            if _distance(pose_from_carla(point).flat, keep_clear) > CLEAR_AHEAD_M
            and all(_distance(pose_from_carla(point).flat, pose) > CLEAR_AHEAD_M for pose in standing)
        ]
        if len(free) < count:
            raise SessionError(f"{count} cars asked for, but only {len(free)} spawn points lie off the ego's start")
        rng = np.random.default_rng([seed, count])
        points = _near_first([free[i] for i in rng.permutation(len(free))], extras, count)
        blueprints = self._blueprints(extras.variety)
        makes = sorted(blueprints)
        shares = np.array([SHARES[make] if extras.variety else float(len(blueprints[make])) for make in makes])
        self._manager = self._client.get_trafficmanager(free_port())
        self._manager.set_synchronous_mode(True)
        self._manager.set_random_device_seed(int(rng.integers(1, 2**31)))
        self._manager.set_hybrid_physics_mode(False)
        self._manager.set_global_distance_to_leading_vehicle(2.5)
        self._manager.global_percentage_speed_difference(SLOWER_PERCENT)
        spawned = 0
        for point in points:
            if spawned == count:
                break
            if extras.variety:
                of_make = blueprints[makes[int(rng.choice(len(makes), p=shares / shares.sum()))]]
            else:
                of_make = sorted((one for make in makes for one in blueprints[make]), key=lambda one: one.id)
            spawned += self._add_car(of_make[int(rng.integers(len(of_make)))], point, rng)
        if spawned < count:
            raise SessionError(f"{count} cars asked for, but there was room for {spawned} only")

    def _blueprints(self, variety: bool) -> dict[str, list[carla.ActorBlueprint]]:
        too_long = LONG if self._lane_width_m() < LONG_LANE_M else ()
        found: dict[str, list[carla.ActorBlueprint]] = {}
        for blueprint in sorted(self._world.get_blueprint_library().filter("vehicle.*"), key=lambda one: one.id):
            make = blueprint.get_attribute("base_type").as_str()
            special = blueprint.get_attribute("special_type").as_str()
            if blueprint.id in too_long:
                continue
            if make in (SHARES if variety else MAKES) and (variety or not special):
                found.setdefault(make, []).append(blueprint)
        return found

    def _lane_width_m(self) -> float:
        """The usual one of this map."""
        town = self._world.get_map()
        return float(np.median([town.get_waypoint(point.location).lane_width for point in town.get_spawn_points()]))

    def _add_car(self, blueprint: carla.ActorBlueprint, point: carla.Transform, rng: np.random.Generator) -> bool:
        blueprint.set_attribute("role_name", "autopilot")
        if blueprint.has_attribute("color"):
            colours = blueprint.get_attribute("color").recommended_values
            blueprint.set_attribute("color", colours[int(rng.integers(len(colours)))])
        actor = self._world.try_spawn_actor(blueprint, point)
        if actor is None:
            return False
        self.actors.append(actor.id)
        self._cars[actor.id] = (actor, 0.0)
        return True

    def _add_walkers(self, extras: TrafficExtras, seed: int, keep_clear: Pose2D) -> None:
        rng = np.random.default_rng([seed, extras.walkers, 5])
        self._world.set_pedestrians_seed(int(rng.integers(1, 2**31)))
        self._world.set_pedestrians_cross_factor(CROSSING_SHARE)
        library = self._world.get_blueprint_library()
        kinds = sorted(library.filter("walker.pedestrian.*"), key=lambda one: one.id)
        mind = library.find("controller.ai.walker")
        near = extras.near or ((keep_clear.x, keep_clear.y),)
        count = 0
        for _ in range(3 * extras.walkers):
            if count == extras.walkers:
                break
            start, goal = self._place(near, keep_clear), self._place(near, keep_clear)
            kind = kinds[int(rng.integers(len(kinds)))]
            speed = float(rng.uniform(2.0, 2.8) if rng.random() < HURRIED_SHARE else rng.uniform(1.0, 1.7))
            if start is None or goal is None:
                continue
            walker = self._world.try_spawn_actor(kind, carla.Transform(start + carla.Location(z=1.0)))
            if walker is None:
                continue
            controller = self._world.spawn_actor(mind, carla.Transform(), attach_to=walker)
            self.actors += [controller.id, walker.id]
            self._walking.append((controller, goal, speed))
            count += 1
        if count < extras.walkers:
            raise SessionError(f"{extras.walkers} pedestrians asked for, but there was room for {count} only")

    def _place(self, near: tuple[tuple[float, float], ...], keep_clear: Pose2D) -> carla.Location | None:
        """Somewhere on the navigation mesh by the route; None for a world without one."""
        places = np.array(near)
        found = None
        for _ in range(200):
            found = self._world.get_random_location_from_navigation()
            if found is None:
                return None
            gap = float(np.hypot(places[:, 0] - found.x, places[:, 1] + found.y).min())
            if gap < WALKER_NEAR_M and math.hypot(keep_clear.x - found.x, keep_clear.y + found.y) > WALKER_CLEAR_M:
                return found
        return found

    def _put_down(self, plan: ObstaclePlan, number: int) -> None:
        """What does not fit is left out: a part, not the drive."""
        for name, pose in plan.parts:
            blueprint = self._world.get_blueprint_library().find(name)
            road = self._world.get_map().get_waypoint(location_to_carla(pose.x, pose.y))
            height = road.transform.location.z + (0.3 if name.startswith("vehicle.") else 0.05)
            place = pose_to_carla(Pose3D(pose.x, pose.y, height, yaw=pose.yaw))
            actor = self._world.try_spawn_actor(blueprint, place)
            if actor is None:
                continue
            self.actors.append(actor.id)
            if name.startswith("vehicle."):
                actor.apply_control(carla.VehicleControl(hand_brake=True))
                actor.set_light_state(carla.VehicleLightState(carla.VehicleLightState.RightBlinker))


def _distance(one: Pose2D, other: Pose2D) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def _near_first(points: list[carla.Transform], extras: TrafficExtras, count: int) -> list[carla.Transform]:
    """The same points, as many of those near the route before the others as the share of `count` says."""
    places = np.array(extras.near).reshape(-1, 2)
    near: list[int] = []
    for i, point in enumerate(points):
        if len(near) >= round(extras.near_share * count):
            break
        pose = pose_from_carla(point)
        if np.hypot(places[:, 0] - pose.x, places[:, 1] - pose.y).min(initial=math.inf) < CAR_NEAR_M:
            near.append(i)
    taken = set(near)
    return [points[i] for i in near] + [point for i, point in enumerate(points) if i not in taken]
