"""A world of its own with one client that puts things into it and steps it: for benchmarks and soak runs."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import carla
import psutil

from carla_bridge.process import WorldProcess, free_port, library_muted

START_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 30.0
SPAWN_SPACING_M = 9.0
SPAWN_HEIGHT_M = 0.4


@contextmanager
def probed_world(town: str, seed: int, tick_s: float) -> Iterator[WorldProbe]:
    """A fresh embedded world in synchronous mode and a client in it; both end with the block."""
    started = time.perf_counter()
    process = WorldProcess(town, seed, tick_s, START_TIMEOUT_S)
    try:
        client = carla.Client("127.0.0.1", process.port)
        client.set_timeout(ANSWER_TIMEOUT_S)
        with library_muted():  # it warns that the server's version is not its own
            world = client.get_world()
        probe = WorldProbe(process, client, world, seed, time.perf_counter() - started)
        try:
            yield probe
        finally:
            probe.close()
    finally:
        process.stop()


class WorldProbe:
    """One client's hold on a world: what it put in, and how fast it steps."""

    def __init__(
        self, process: WorldProcess, client: carla.Client, world: carla.World, seed: int, startup_s: float
    ) -> None:
        """startup_s: from starting the process to a client that holds the world [s]."""
        self.startup_s = startup_s
        self.client, self.world = client, world
        self._process, self._seed = process, seed
        self._manager: carla.TrafficManager | None = None
        self.cars: list[carla.Vehicle] = []
        self._sensors: list[tuple[carla.Sensor, queue.SimpleQueue[int]]] = []

    def round_trips_per_s(self) -> float:
        count, started = 0, time.perf_counter()
        while (now := time.perf_counter()) < started + 1.0:
            self.client.get_server_version()
            count += 1
        return count / (now - started)

    def add_cars(self, count: int) -> None:
        """Cars of several makes on the lanes, driven by TrafficManager; ValueError where the town has no room."""
        places = [
            waypoint.transform
            for waypoint in self.world.get_map().generate_waypoints(SPAWN_SPACING_M)
            if not waypoint.is_junction
        ]
        rng = random.Random(self._seed)
        rng.shuffle(places)
        blueprints = sorted(
            (
                blueprint
                for blueprint in self.world.get_blueprint_library().filter("vehicle.*")
                if blueprint.get_attribute("base_type").as_str() == "car"
            ),
            key=lambda blueprint: blueprint.id,
        )
        self._manager = self.client.get_trafficmanager(free_port())
        self._manager.set_synchronous_mode(True)
        self._manager.set_random_device_seed(self._seed + 1)
        for place in places:
            place.location.z += SPAWN_HEIGHT_M
            car = self.world.try_spawn_actor(rng.choice(blueprints), place)
            if car is not None:
                car.set_autopilot(True, self._manager.get_port())
                self.cars.append(car)
            if len(self.cars) == count:
                return
        raise ValueError(f"{self.world.get_map().name} has room for {len(self.cars)} cars only, {count} were asked for")

    def set_lights(self, state: carla.VehicleLightState) -> None:
        """Of all cars, from the next step on."""
        self.client.apply_batch([carla.command.SetVehicleLightState(car.id, state) for car in self.cars])

    def remove(self, number: int) -> None:
        sensor, _ = self._sensors.pop(number)
        sensor.stop()
        sensor.destroy()

    def ticks_per_s(self, warm_up_ticks: int, measure_s: float) -> float:
        """Steps a second of wall clock, each with the data of every sensor received."""
        for _ in range(warm_up_ticks):
            self.step()
        count, started = 0, time.perf_counter()
        while (now := time.perf_counter()) < started + measure_s:
            self.step()
            count += 1
        return count / (now - started)

    def rss_mb(self) -> float:
        return float(psutil.Process(self._process.pid).memory_info().rss / 1e6)

    def close(self) -> None:
        for sensor, _ in self._sensors:
            sensor.stop()
        if self._manager is not None:
            self._manager.shut_down()  # before the world goes: its threads end the process of an orphaned client

    def add_sensor(self, kind: str, attributes: Mapping[str, float], height_m: float, yaw_deg: float = 0.0) -> int:
        """On the first car; returns the number by which `remove` knows it."""
        blueprint = self.world.get_blueprint_library().find(kind)
        for name, value in attributes.items():
            blueprint.set_attribute(name, str(value))
        mount = carla.Transform(carla.Location(x=0.7, z=height_m), carla.Rotation(yaw=yaw_deg))
        sensor = self.world.spawn_actor(blueprint, mount, attach_to=self.cars[0])
        frames: queue.SimpleQueue[int] = queue.SimpleQueue()
        sensor.listen(lambda data: frames.put(data.frame))
        self._sensors.append((sensor, frames))
        return len(self._sensors) - 1

    def step(self) -> None:
        """One tick; returns when every sensor has said its part about it."""
        frame = self.world.tick(ANSWER_TIMEOUT_S)
        for _, frames in self._sensors:
            while frames.get(timeout=ANSWER_TIMEOUT_S) < frame:
                pass
