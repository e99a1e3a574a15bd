"""What clients are told about the bodies after a step: one row of numbers for each, written for all of them at once.

An actor with a body reads its row when it is asked, so that nothing is done for the many that nobody asks about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor, LightState, Vec3, VehicleControl, WalkerControl
from carla_bridge.embedded.types import Pose

if TYPE_CHECKING:
    from carla_bridge.embedded.bodies import Bodies

F64 = npt.NDArray[np.float64]
# Columns. Pose: x, y, z, pitch, yaw, roll [m, deg]; velocity [m/s], angular velocity [deg/s], acceleration [m/s2].
POSE, VELOCITY, ANGULAR, ACCELERATION = slice(0, 6), slice(6, 9), slice(9, 12), slice(12, 15)
PITCH, YAW, ROLL, YAW_RATE = 3, 4, 5, 11
CONTROL = slice(15, 22)  # of vehicles, in the order of VehicleControl
HAND_BRAKE, REVERSE, MANUAL, GEAR = 18, 19, 20, 21
SPEED_LIMIT, LIGHT_STATE, LIGHT_ID = 22, 23, 24  # of vehicles [km/h], LightState, the light's actor or 0
WALK = slice(25, 30)  # of walkers: direction, speed [m/s], whether it jumps
WALK_X, WALK_Y, WALK_SPEED, WALK_JUMP = 25, 26, 28, 29
COLUMNS = 30


class Embodied(Actor):
    """An actor whose place and motion are those of its row in `Bodies.report`; its own row before and after that."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        self._own = np.zeros(COLUMNS)
        self._bodies: Bodies | None = None
        super().__init__(*args, **fields)

    def bind(self, bodies: Bodies) -> F64:
        """From now on its numbers are in `bodies`; returns what they are at the moment."""
        self._bodies = bodies
        return self._own

    def release(self) -> None:
        """Keep what was told last."""
        self._own, self._bodies = self._row().copy(), None

    def _row(self) -> F64:
        bodies = self._bodies
        return self._own if bodies is None else bodies.report[bodies.row_of[self.id]]

    def _vector(self, columns: slice) -> Vec3:
        x, y, z = self._row()[columns].tolist()
        return (x, y, z)

    @property
    def pose(self) -> Pose:
        return Pose(*self._row()[POSE].tolist())

    @pose.setter
    def pose(self, pose: Pose) -> None:
        self._row()[POSE] = pose.x, pose.y, pose.z, pose.pitch, pose.yaw, pose.roll

    @property
    def velocity(self) -> Vec3:
        return self._vector(VELOCITY)

    @velocity.setter
    def velocity(self, velocity: Vec3) -> None:
        self._row()[VELOCITY] = velocity

    @property
    def angular_velocity(self) -> Vec3:
        return self._vector(ANGULAR)

    @angular_velocity.setter
    def angular_velocity(self, degrees_s: Vec3) -> None:
        self._row()[ANGULAR] = degrees_s

    @property
    def acceleration(self) -> Vec3:
        return self._vector(ACCELERATION)

    @acceleration.setter
    def acceleration(self, acceleration: Vec3) -> None:
        self._row()[ACCELERATION] = acceleration

    @property
    def control(self) -> VehicleControl:
        throttle, steer, brake, hand_brake, reverse, manual, gear = self._row()[CONTROL].tolist()
        return VehicleControl(throttle, steer, brake, bool(hand_brake), bool(reverse), bool(manual), int(gear))

    @control.setter
    def control(self, control: VehicleControl) -> None:
        self._row()[CONTROL] = (
            control.throttle,
            control.steer,
            control.brake,
            control.hand_brake,
            control.reverse,
            control.manual_gear_shift,
            control.gear,
        )

    @property
    def speed_limit_kmh(self) -> float:
        return float(self._row()[SPEED_LIMIT])

    @speed_limit_kmh.setter
    def speed_limit_kmh(self, limit: float) -> None:
        self._row()[SPEED_LIMIT] = limit

    @property
    def at_light_id(self) -> int:
        return int(self._row()[LIGHT_ID])

    @at_light_id.setter
    def at_light_id(self, actor_id: int) -> None:
        self._row()[LIGHT_ID] = actor_id

    @property
    def at_light_state(self) -> LightState:
        return LightState(int(self._row()[LIGHT_STATE]))

    @at_light_state.setter
    def at_light_state(self, state: LightState) -> None:
        self._row()[LIGHT_STATE] = state

    @property
    def walker(self) -> WalkerControl:
        x, y, z, speed, jump = self._row()[WALK].tolist()
        return WalkerControl((x, y, z), speed, bool(jump))

    @walker.setter
    def walker(self, control: WalkerControl) -> None:
        self._row()[WALK] = (*control.direction, control.speed, control.jump)
