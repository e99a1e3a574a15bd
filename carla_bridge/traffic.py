"""Other cars, driven by the client library's own TrafficManager."""

from __future__ import annotations

import math

import carla
import numpy as np

from bev import Pose2D
from carla_bridge.convert import pose_from_carla
from carla_bridge.process import SessionError, free_port

CLEAR_AHEAD_M = 25.0  # no car this near to the ego's start
# Plain cars and vans, as in the shipped network's training data: it takes the back of a taxi for a free road. Lorries
# and buses would swing out of their lane in right turns.
MAKES = ("car", "van")
SLOWER_PERCENT = 30.0  # below the speed limit: faster, TrafficManager takes right turns beyond the grip of the tyres


class Traffic:
    """`count` cars at spawn points drawn by the seed, away from the ego's start. Same seed, same traffic."""

    def __init__(self, client: carla.Client, world: carla.World, count: int, seed: int, keep_clear: Pose2D) -> None:
        self._client = client
        self.actors: list[int] = []
        self._manager: carla.TrafficManager | None = None
        if count == 0:
            return
        free = [
            point
            for point in world.get_map().get_spawn_points()
            if _distance(pose_from_carla(point).flat, keep_clear) > CLEAR_AHEAD_M
        ]
        if len(free) < count:
            raise SessionError(f"{count} cars asked for, but only {len(free)} spawn points lie off the ego's start")
        rng = np.random.default_rng([seed, count])
        points = [free[i] for i in rng.permutation(len(free))]
        blueprints = sorted(
            (
                blueprint
                for blueprint in world.get_blueprint_library().filter("vehicle.*")
                if blueprint.get_attribute("base_type").as_str() in MAKES
                and not blueprint.get_attribute("special_type").as_str()
            ),
            key=lambda found: found.id,
        )
        self._manager = client.get_trafficmanager(free_port())
        self._manager.set_synchronous_mode(True)
        self._manager.set_random_device_seed(int(rng.integers(1, 2**31)))
        self._manager.set_hybrid_physics_mode(False)
        self._manager.set_global_distance_to_leading_vehicle(2.5)
        self._manager.global_percentage_speed_difference(SLOWER_PERCENT)
        for point in points:
            if len(self.actors) == count:
                break
            blueprint = blueprints[int(rng.integers(len(blueprints)))]
            blueprint.set_attribute("role_name", "autopilot")
            if blueprint.has_attribute("color"):
                colours = blueprint.get_attribute("color").recommended_values
                blueprint.set_attribute("color", colours[int(rng.integers(len(colours)))])
            actor = world.try_spawn_actor(blueprint, point)
            if actor is not None:
                actor.set_autopilot(True, self._manager.get_port())
                self._manager.auto_lane_change(actor, False)
                self.actors.append(actor.id)
        if len(self.actors) < count:
            self.close()
            raise SessionError(f"{count} cars asked for, but there was room for {len(self.actors)} only")

    def close(self) -> None:
        if self._manager is None:
            return
        # the manager first: its thread ends the process when it meets a car that is gone
        self._manager.shut_down()
        self._client.apply_batch_sync([carla.command.DestroyActor(actor) for actor in self.actors], False)
        self._manager = None
        self.actors = []


def _distance(one: Pose2D, other: Pose2D) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)
