"""What the renderer draws on top of the town."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.actors import LIGHT_PROTOTYPE, LightState
from carla_bridge.embedded.bodies import Bodies
from carla_bridge.embedded.carried import CarriedProps
from carla_bridge.embedded.gait import prototype_of
from carla_bridge.embedded.lights import LightBoard
from carla_bridge.embedded.sliding import Sliders
from carla_bridge.embedded.types import Instances


class Stage:
    def __init__(
        self,
        prototype_index: Mapping[str, int],
        lights: LightBoard,
        bodies: Bodies,
        carried: CarriedProps,
        sliders: Sliders,
    ) -> None:
        self._prototype_index, self._sliders = prototype_index, sliders
        self._lights, self._bodies, self._carried = lights, bodies, carried
        self._light_prototypes = np.array([self._prototype_index[LIGHT_PROTOTYPE[s]] for s in LightState], np.int32)
        self._head_matrices = np.array([light.head.matrix() for light in lights.placements], np.float32).reshape(
            -1, 4, 4
        )

    def instances(self) -> Instances:
        """Lamp housings, then bodies, then attached props."""
        lights, bodies, carried = self._lights, self._bodies, self._carried
        actors = [*lights.actors, *bodies.actors, *carried.actors]
        lamps = self._light_prototypes[np.array([status.state for status in lights.statuses], np.int64)]
        prototypes = [a.prototype for a in (*bodies.actors, *carried.actors)]
        for row in np.flatnonzero(bodies.param[:, c.KIND] == c.WALKER).tolist():
            state = bodies.state[row]
            speed = 0.0 if self._sliders.is_down(bodies.actors[row].id) else math.hypot(state[c.VX], state[c.VY])
            name = prototype_of(bodies.actors[row], float(state[c.WALKED]), speed)
            prototypes[row] = self._prototype_index.get(name or "", prototypes[row])
        now = (self._head_matrices, bodies.matrices(), carried.matrices())
        before = (self._head_matrices, bodies.matrices_before(), carried.matrices_before())
        return Instances(
            np.concatenate([lamps, np.array(prototypes, np.int32)]),
            np.concatenate([part.astype(np.float32) for part in now]),
            np.array([a.id for a in actors], np.uint32),
            np.array([a.tint for a in actors], np.float32).reshape(-1, 3),
            previous=np.concatenate([part.astype(np.float32) for part in before]),
            light_flags=np.array([a.light_flags for a in actors], np.uint32),
        )
