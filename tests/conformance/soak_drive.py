"""Traffic and pedestrians for some simulated minutes; prints what happened as one line of JSON.

usage: soak_drive.py PORT MINUTES
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time
from collections import Counter

import carla

TICK_S = 0.05
CARS, WALKERS = 30, 20
LOOK_EVERY = 10  # ticks between two measurements of where everybody is
ROLLING_M_S = 0.5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def add_cars(world: carla.World, manager: carla.TrafficManager, rng: random.Random) -> list[carla.Actor]:
    blueprints = [b for b in world.get_blueprint_library().filter("vehicle.*") if b.get_attribute("base_type") == "car"]
    points = world.get_map().get_spawn_points()
    rng.shuffle(points)
    cars: list[carla.Actor] = []
    for point in points:
        if len(cars) == CARS:
            break
        car = world.try_spawn_actor(rng.choice(blueprints), point)
        if car is not None:
            car.set_autopilot(True, manager.get_port())
            cars.append(car)
    return cars


def add_walkers(world: carla.World, rng: random.Random) -> list[carla.Actor]:
    library = world.get_blueprint_library()
    walkers: list[carla.Actor] = []
    for _ in range(40 * WALKERS):
        if len(walkers) == WALKERS:
            break
        place = world.get_random_location_from_navigation()
        place.z += 1.0
        walker = world.try_spawn_actor(rng.choice(library.filter("walker.pedestrian.*")), carla.Transform(place))
        if walker is not None:
            walkers.append(walker)
    mind = library.find("controller.ai.walker")
    minds = [world.spawn_actor(mind, carla.Transform(), attach_to=walker) for walker in walkers]
    world.tick()
    for controller in minds:
        controller.start()
        controller.go_to_location(world.get_random_location_from_navigation())
        controller.set_max_speed(1.4)
    return walkers


def is_there(actor: carla.Actor) -> bool:
    """TrafficManager takes a car away that is stuck for long; a walker that was run over is gone after some seconds."""
    return bool(actor.is_alive)


def off_road_m(town: carla.Map, place: carla.Location) -> float:
    """How far beyond the edge of the nearest driving lane."""
    waypoint = town.get_waypoint(place)
    centre = waypoint.transform.location
    distance = ((centre.x - place.x) ** 2 + (centre.y - place.y) ** 2) ** 0.5
    return max(0.0, distance - waypoint.lane_width / 2.0)


class RedLights:
    """Counts cars that leave a light's stopping zone into the junction while the lamp is red.

    A car that the lamp turned red upon with its front already over the line is none: it has left the zone before.
    """

    def __init__(self, town: carla.Map) -> None:
        self._town = town
        self._held_by: dict[int, carla.TrafficLight] = {}
        self.violations: list[str] = []

    def look(self, car: carla.Actor) -> None:
        before = self._held_by.pop(car.id, None)
        light = car.get_traffic_light()
        if light is not None and light.get_state() == carla.TrafficLightState.Red:
            self._held_by[car.id] = light
        elif before is not None and light is None and before.get_state() == carla.TrafficLightState.Red:
            at, speed = car.get_transform(), car.get_velocity().length()
            ahead = at.location + carla.Location(at.get_forward_vector() * car.bounding_box.extent.x)
            if speed > ROLLING_M_S and self._town.get_waypoint(ahead).is_junction:
                self.violations.append(
                    f"{car.type_id} at ({at.location.x:.1f}, {at.location.y:.1f}) with {speed:.1f} m/s, "
                    f"{before.get_elapsed_time():.2f} s into red"
                )


def main(port: int, minutes: float) -> None:
    rng = random.Random(7)
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(60.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, TICK_S
    world.apply_settings(settings)
    town = world.get_map()
    manager = client.get_trafficmanager(free_port())
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(2)
    world.set_pedestrians_seed(1)
    world.set_pedestrians_cross_factor(0.3)
    cars, walkers = add_cars(world, manager, rng), add_walkers(world, rng)
    world.tick()
    lights = RedLights(town)
    off_road: Counter[int] = Counter()
    worst, looks, started = 0.0, 0, time.perf_counter()
    driven: dict[int, float] = {}
    walked: dict[int, float] = {}
    last = {actor.id: actor.get_location() for actor in (*cars, *walkers)}
    ticks = int(minutes * 60.0 / TICK_S)
    for tick in range(ticks):
        world.tick()
        for car in filter(is_there, cars):
            lights.look(car)
        if tick % LOOK_EVERY:
            continue
        looks += 1
        for actor in filter(is_there, (*cars, *walkers)):
            place = actor.get_location()
            moved, last[actor.id] = place.distance(last[actor.id]), place
            if actor in cars:
                away = off_road_m(town, place)
                off_road[actor.id] += away
                worst = max(worst, away)
                if tick > 2 * ticks // 3:
                    driven[actor.id] = driven.get(actor.id, 0.0) + moved
            else:
                walked[actor.id] = walked.get(actor.id, 0.0) + moved
    found = {
        "cars": len(cars),
        "walkers": len(walkers),
        "simulated_min": minutes,
        "wall_s": round(time.perf_counter() - started, 1),
        "worst_mean_off_road_m": round(max(off_road[car.id] for car in cars) / looks, 3),
        "worst_off_road_m": round(worst, 2),
        "red_light_violations": len(lights.violations),
        "cars_taken_away": sum(not car.is_alive for car in cars),
        "walkers_run_over": sum(not walker.is_alive for walker in walkers),
        "where": lights.violations[:5],
        "cars_that_drove_in_the_last_third": sum(driven.get(car.id, 0.0) > 30.0 for car in cars),
        "walkers_that_walked": sum(walked.get(walker.id, 0.0) > 20.0 for walker in walkers),
    }
    manager.shut_down()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
