"""Things that are seen but have no body of their own: props and the like that hang on another actor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor, Shape
from carla_bridge.embedded.bodies import model_matrix
from carla_bridge.embedded.types import Pose

F64 = npt.NDArray[np.float64]


class CarriedProps:
    """The carried actors in the order of spawning, and where each was at the end of the last two steps."""

    def __init__(self) -> None:
        self._actors: dict[int, Actor] = {}
        self._models: dict[int, F64] = {}
        self._now: dict[int, Pose] = {}
        self._before: dict[int, Pose] = {}

    @property
    def actors(self) -> list[Actor]:
        return list(self._actors.values())

    def add(self, actor: Actor, shape: Shape) -> None:
        self._actors[actor.id] = actor
        self._models[actor.id] = model_matrix(actor, shape)
        self._now[actor.id] = self._before[actor.id] = actor.pose

    def remove(self, actor_id: int) -> None:
        if actor_id in self._actors:
            for table in (self._actors, self._models, self._now, self._before):
                del table[actor_id]

    def remember(self) -> None:
        """A step has ended."""
        if self._actors:
            self._before, self._now = self._now, {actor.id: actor.pose for actor in self._actors.values()}

    def matrices(self) -> F64:
        """(N, 4, 4) prototype's frame -> world."""
        return self._matrices({actor.id: actor.pose for actor in self._actors.values()})

    def matrices_before(self) -> F64:
        """(N, 4, 4) the same at the end of the step before the last one."""
        return self._matrices(self._before)

    def _matrices(self, poses: dict[int, Pose]) -> F64:
        world = [poses[actor_id].matrix() @ model for actor_id, model in self._models.items()]
        return np.array(world, np.float64).reshape(-1, 4, 4)
