"""What is knocked about and slides to rest: props that a person could lift, and walkers that a vehicle has hit hard."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.actors import Actor, ActorKind, prototype_name
from carla_bridge.embedded.bodies import WALKER_MASS_KG, Bodies
from carla_bridge.embedded.collision import CURB_HEIGHT

F64 = npt.NDArray[np.float64]

GRAVITY_M_S2 = 9.81
# Plastic and cardboard on asphalt are about 0.5; bodies of pedestrians slide with 0.4 to 0.7 (J. A. Searle, The Physics
# of Throw Distance in Accident Reconstruction, SAE 930659).
SLIDING_FRICTION = 0.5
FALL_FROM_M_S = 3.0  # a push that changes a walker's speed by this much throws it down
LYING_M = 0.15  # height of the middle of a body on the ground
LYING_S = 10.0  # as CARLA takes dead walkers away (Carla/Walker/WalkerBase.h, life time after death)
DENSITY_KG_M3 = 250.0  # small things weigh at most this much for their box
# Typical masses [kg] of what can be knocked over, by mesh. Everything else is anchored or too heavy.
_MASS_KG = {
    "bag": 3.0,
    "ball": 1.0,
    "barrel": 12.0,
    "barrier": 20.0,
    "bin": 15.0,
    "box": 6.0,
    "case": 8.0,
    "chair": 4.0,
    "cone": 5.0,
    "delineator": 5.0,
    "trolley": 18.0,
    "warning_sign": 12.0,
}


def prop_parameters(actor: Actor) -> dict[int, float]:
    """The param columns of a prop. It keeps its height: it does not fall from where a script has put it."""
    length, width, height = (2.0 * size for size in actor.extent)
    kg = _MASS_KG.get(prototype_name(actor.type_id) or "")
    if kg is None:
        return {c.COLLIDES: float(height > CURB_HEIGHT)}
    mass = min(kg, DENSITY_KG_M3 * length * width * height)
    inertia = mass * (length * length + width * width) / 12.0
    return {c.MASS: mass, c.INV_MASS: 1.0 / mass, c.INV_INERTIA: 1.0 / inertia, c.GRAVITY: 0.0}


class Sliders:
    """Slows down, step by step, what nothing but the ground's friction acts on."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._down: dict[int, float] = {}  # walkers that lie on the ground, and how long they still do [s]

    def is_down(self, actor_id: int) -> bool:
        return actor_id in self._down

    def lying(self) -> npt.NDArray[np.bool_]:
        """(N,) which bodies are walkers that lie on the ground."""
        down = np.zeros(len(self._bodies.actors), np.bool_)
        down[[self._bodies.row_of[actor_id] for actor_id in self._down]] = True
        return down

    def forget(self, actor_id: int) -> None:
        self._down.pop(actor_id, None)

    def knock_down(self, actor: Actor, impulse_n_s: float) -> None:
        """A vehicle has pushed a walker with this impulse in one step: a hard push throws it down for good."""
        bodies = self._bodies
        if actor.kind != ActorKind.WALKER or actor.id in self._down:
            return
        if impulse_n_s < FALL_FROM_M_S * WALKER_MASS_KG:
            return
        row = bodies.row_of[actor.id]
        self._down[actor.id] = LYING_S
        bodies.set_mobile(actor.id, True)
        bodies.param[row, c.COLLIDES] = 0.0  # lying flat it is driven over, and not pushed along for ever
        on_its_back = np.array(
            [[0.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
        )
        on_its_back[2, 3] = LYING_M - actor.extent[2]
        bodies.model[row] = on_its_back @ bodies.model[row]

    def taken_away(self, delta_s: float) -> list[int]:
        """Who has lain long enough; let delta_s pass for the others."""
        self._down = {actor_id: left - delta_s for actor_id, left in self._down.items()}
        return [actor_id for actor_id, left in self._down.items() if left < 0.0]

    def slow(self, delta_s: float) -> None:
        """Before a step: what it loses of its speed and spin in delta_s."""
        state, param, control = self._bodies.state, self._bodies.param, self._bodies.control
        loss = SLIDING_FRICTION * GRAVITY_M_S2 * delta_s
        moving = (param[:, c.KIND] == c.PROP) & (param[:, c.INV_MASS] > 0.0)
        moving &= (state[:, c.VX] != 0.0) | (state[:, c.VY] != 0.0) | (state[:, c.YAW_RATE] != 0.0)
        for row in np.flatnonzero(moving).tolist():
            share = _left(math.hypot(state[row, c.VX], state[row, c.VY]), loss)
            state[row, c.VX : c.VY + 1] *= share
            # Friction under a flat foot: torque mu m g x (2/3 radius) against I = 1 / INV_INERTIA.
            arm = math.hypot(param[row, c.EX], param[row, c.EY]) / 1.5
            state[row, c.YAW_RATE] *= _left(
                abs(state[row, c.YAW_RATE]), loss * arm * param[row, c.MASS] * param[row, c.INV_INERTIA]
            )
        for actor_id in self._down:
            row = self._bodies.row_of[actor_id]
            share = _left(math.hypot(state[row, c.VX], state[row, c.VY]), loss)
            control[row, c.WALK_X : c.WALK_Y + 1] = share * state[row, c.VX : c.VY + 1]


def _left(amount: float, loss: float) -> float:
    """The share that is left of an amount after a loss."""
    return 0.0 if amount <= loss else 1.0 - loss / amount
