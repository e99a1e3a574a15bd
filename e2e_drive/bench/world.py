"""How fast the embedded world is, seen from a client: ticks, pictures and lidar sweeps a second, start-up, memory.

Every figure is taken through the unmodified client library on sockets, server and client sharing the machine; each case
has a world process of its own. The named reference of the run is the rate of the shortest remote call
(`rpc_round_trips_per_s`): on a slower machine both fall.
"""

from __future__ import annotations

import statistics
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from carla_bridge.probe import WorldProbe, probed_world

TICK_S = 0.05
CARS = (1, 10, 30, 100, 300)
CAMERA_CARS = 30
LIDAR_HZ = 10
LIDAR = {"channels": 32, "points_per_second": 32 * 1024 * LIDAR_HZ, "rotation_frequency": LIDAR_HZ, "range": 80}


@dataclass(frozen=True)
class WorldBenchConfig:
    town: str = "Gridley"
    seed: int = 0
    warm_up_ticks: int = 60  # until the cars roll
    measure_s: float = 5.0  # wall clock, for each case

    def __post_init__(self) -> None:
        if not self.measure_s > 0.0:
            raise ValueError(f"measure_s must be positive, received {self.measure_s}")
        if self.warm_up_ticks < 1:
            raise ValueError(f"warm_up_ticks must be at least 1, received {self.warm_up_ticks}")

    def world(self, tick_s: float = TICK_S) -> AbstractContextManager[WorldProbe]:
        return probed_world(self.town, self.seed, tick_s)

    def rate(self, probe: WorldProbe) -> float:
        return probe.ticks_per_s(self.warm_up_ticks, self.measure_s)


def run(config: WorldBenchConfig) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": one for each number of cars}."""
    with config.world() as probe:  # the first start may compile kernels; the second one is timed
        metrics: dict[str, Any] = {"rpc_round_trips_per_s": probe.round_trips_per_s()}
    with config.world() as probe:
        metrics["startup_s"] = probe.startup_s
    rows = []
    for cars in CARS:
        with config.world() as probe:
            probe.add_cars(cars)
            rate = config.rate(probe)
        metrics[f"ticks_per_s_{cars}"] = rate
        rows.append({"cars": cars, "ticks_per_s": rate, "car_ticks_per_s": rate * cars})
    # 1 = the cost of a tick grows like the number of cars; below 1 it grows less
    metrics["cost_growth_10_to_300"] = metrics["ticks_per_s_10"] / metrics["ticks_per_s_300"] / 30.0
    metrics["ticks_30_per_round_trip"] = metrics["ticks_per_s_30"] / metrics["rpc_round_trips_per_s"]
    for width, height in ((384, 192), (800, 600)):
        with config.world() as probe:
            probe.add_cars(CAMERA_CARS)
            for yaw_deg in (0.0, 90.0, 180.0, 270.0):
                probe.add_sensor("sensor.camera.rgb", {"image_size_x": width, "image_size_y": height}, 1.6, yaw_deg)
            metrics[f"camera4_{width}x{height}_steps_per_s"] = config.rate(probe)
            metrics["rss_mb"] = probe.rss_mb()  # of the last and largest
    metrics["lidar_ms_per_sweep"] = _lidar_ms(config)
    return {"metrics": metrics, "rows": rows}


def _lidar_ms(config: WorldBenchConfig) -> float:
    """What a sweep adds to a step, its delivery included: steps with the lidar less steps without, in turns."""
    with config.world(1.0 / LIDAR_HZ) as probe:
        probe.add_cars(CAMERA_CARS)
        config.rate(probe)
        differences = []
        for _ in range(3):
            without = 1.0 / config.rate(probe)
            lidar = probe.add_sensor("sensor.lidar.ray_cast", LIDAR, 2.4)
            differences.append(1.0 / config.rate(probe) - without)
            probe.remove(lidar)
        return 1000.0 * statistics.median(differences)
