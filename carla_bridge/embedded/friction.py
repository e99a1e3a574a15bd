"""static.trigger.friction: boxes in which tyres have another friction, as CARLA's FrictionTrigger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.bodies import Bodies
from carla_bridge.embedded.vehicle_physics import DEFAULT_TIRE_FRICTION, GRIP

F64 = npt.NDArray[np.float64]
TYPE_ID = "static.trigger.friction"
_DRY = (c.FRICTION_F, c.FRICTION_R)


@dataclass(frozen=True)
class _Trigger:
    actor: Actor
    grip: float  # as param's FRICTION
    extent: tuple[float, float, float]  # half sizes [m]


class FrictionTriggers:
    """Gives each axle the friction of the trigger that its middle is in, and its own again when it has left."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._triggers: dict[int, _Trigger] = {}
        self._own: dict[int, tuple[float, float]] = {}  # of vehicles inside: what param's columns are outside

    def add(self, actor: Actor) -> None:
        """ValueError for attributes that are no numbers."""
        friction = max(0.0, float(actor.attribute("friction", str(DEFAULT_TIRE_FRICTION))))
        x, y, z = (float(actor.attribute(f"extent_{axis}", "1.0")) / 100.0 for axis in "xyz")
        self._triggers[actor.id] = _Trigger(actor, friction / DEFAULT_TIRE_FRICTION * GRIP, (x, y, z))

    def forget(self, actor_id: int) -> None:
        """A trigger or a vehicle is gone."""
        self._triggers.pop(actor_id, None)
        self._own.pop(actor_id, None)

    def leave(self, actor_id: int) -> None:
        """Give a vehicle its own friction back until the next step, before its physics is changed."""
        if actor_id in self._own:
            self._bodies.param[self._bodies.row_of[actor_id], list(_DRY)] = self._own.pop(actor_id)

    def step(self) -> None:
        """Before the dynamics of a step."""
        if not self._triggers and not self._own:
            return
        bodies = self._bodies
        for actor_id in list(self._own):
            self.leave(actor_id)
        vehicles = np.flatnonzero((bodies.param[:, c.KIND] == c.VEHICLE) & (bodies.param[:, c.FRICTION] > 0.0))
        state, param = bodies.state[vehicles], bodies.param[vehicles]
        heading = np.stack([np.cos(state[:, c.YAW]), np.sin(state[:, c.YAW])], axis=1)
        for column, ahead in ((c.FRICTION_F, param[:, c.FRONT]), (c.FRICTION_R, -param[:, c.REAR])):
            middle = state[:, [c.X, c.Y, c.Z]]
            middle[:, :2] += ahead[:, None] * heading
            for trigger in self._triggers.values():  # of those that overlap the last one decides
                for row in vehicles[_inside(trigger, middle)].tolist():
                    dry = bodies.param[row, list(_DRY)].tolist()
                    self._own.setdefault(int(bodies.ids[row]), (dry[0], dry[1]))
                    bodies.param[row, column] = trigger.grip / bodies.param[row, c.FRICTION]


def _inside(trigger: _Trigger, points: F64) -> npt.NDArray[np.bool_]:
    """(N,) which world points [m] are in the trigger's box."""
    world = trigger.actor.pose.matrix()
    local = (points - world[:3, 3]) @ world[:3, :3]
    return np.asarray((np.abs(local) <= np.array(trigger.extent)).all(axis=1))
