"""What clients ask of single bodies besides pedals and places: Ackermann control, forces, jumps, death.

The world calls `begin_step` before the dynamics of each step; all of it acts on the arrays of `Bodies`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.ackermann import (
    AckermannController,
    AckermannGains,
    AckermannTarget,
    Capability,
    drive_acceleration,
)
from carla_bridge.embedded.actors import Actor, ActorKind, Vec3, VehicleControl
from carla_bridge.embedded.bodies import Bodies
from carla_bridge.embedded.chassis import steering_factor
from carla_bridge.embedded.telemetry import VehicleTelemetry, telemetry
from carla_bridge.embedded.vehicle_physics import VehiclePhysics

F64 = npt.NDArray[np.float64]
# Angular impulses and torques reach CARLA's physics as degrees of its own units: kg cm2 deg/s and kg cm2 deg/s2.
ANGULAR_UNIT = math.radians(1.0) * 1e-4  # [kg m2 rad]
JUMP_M_S = 4.2  # upwards, as Unreal's characters by default: 0.9 m high


@dataclass
class _Driver:
    target: AckermannTarget
    controller: AckermannController


class ActorCommands:
    """Open requests of one episode. KeyError for an unknown actor, TypeError for one that cannot do that."""

    def __init__(self, bodies: Bodies, actors: Mapping[int, Actor], physics: Mapping[int, VehiclePhysics]) -> None:
        self._bodies, self._actors, self._physics = bodies, actors, physics
        self._drivers: dict[int, _Driver] = {}
        self._gains: dict[int, AckermannGains] = {}
        # What acts during the next step: force x, y, z [N] at the middle, torque about z [N m].
        self._pushes: dict[int, F64] = {}
        self._jumpers: set[int] = set()
        self._dead: set[int] = set()
        self._wheel_pitch: dict[tuple[int, int], float] = {}

    # --- from the world ---------------------------------------------------------------------------------------------

    def takes(self, actor_id: int) -> bool:
        """An ordinary control has come for a vehicle, which ends the Ackermann one; False: it is dead."""
        self._drivers.pop(actor_id, None)
        return actor_id not in self._dead

    def walks(self, actor_id: int, *, jump: bool) -> bool:
        """A control has come for a walker; False: it is dead."""
        if jump:
            self._jumpers.add(actor_id)
        else:
            self._jumpers.discard(actor_id)
        return actor_id not in self._dead

    def forget(self, actor_id: int) -> None:
        """The actor is gone."""
        for table in (self._drivers, self._gains, self._pushes):
            table.pop(actor_id, None)
        self._jumpers.discard(actor_id)
        self._dead.discard(actor_id)
        for wheel in range(4):
            self._wheel_pitch.pop((actor_id, wheel), None)

    def begin_step(self, delta_s: float) -> None:
        """Before the dynamics of a step."""
        for actor_id, driver in self._drivers.items():
            self._drive(actor_id, driver, delta_s)
        for actor_id, push in self._pushes.items():
            self._strike(self._bodies.row_of[actor_id], push * delta_s)
        self._pushes.clear()
        self._jump()

    # --- forces -----------------------------------------------------------------------------------------------------

    def add_force(self, actor_id: int, force: Vec3, location: Vec3 | None = None) -> None:
        """force [N], world, during the next step; at its middle or at a place in the world."""
        self._push(actor_id, self._wrench(actor_id, force, location))

    def add_torque(self, actor_id: int, torque: Vec3) -> None:
        """CARLA's unit, during the next step; an upright body only turns about z."""
        self._body(actor_id)
        self._push(actor_id, np.array([0.0, 0.0, 0.0, torque[2] * ANGULAR_UNIT]))

    def add_impulse(self, actor_id: int, impulse: Vec3, location: Vec3 | None = None) -> None:
        """impulse [N s], world, at once."""
        self._strike(self._body(actor_id), self._wrench(actor_id, impulse, location))

    def add_angular_impulse(self, actor_id: int, impulse: Vec3) -> None:
        """CARLA's unit, at once; an upright body only turns about z."""
        self._strike(self._body(actor_id), np.array([0.0, 0.0, 0.0, impulse[2] * ANGULAR_UNIT]))

    def _wrench(self, actor_id: int, force: Vec3, location: Vec3 | None) -> F64:
        """(4,) a force or impulse and what it turns about z, from where it acts in the world."""
        row = self._body(actor_id)
        if location is None:
            return np.array([*force, 0.0])
        dx, dy = location[0] - self._bodies.state[row, c.X], location[1] - self._bodies.state[row, c.Y]
        return np.array([*force, dx * force[1] - dy * force[0]])

    def _push(self, actor_id: int, push: F64) -> None:
        self._pushes[actor_id] = self._pushes.get(actor_id, np.zeros(4)) + push

    def _strike(self, row: int, impulse: F64) -> None:
        """impulse (4,): x, y, z [N s], and about z [kg m2 rad/s]; a body that cannot move does not."""
        state, param = self._bodies.state, self._bodies.param
        state[row, [c.VX, c.VY, c.VZ]] += impulse[:3] * param[row, c.INV_MASS]
        state[row, c.YAW_RATE] += impulse[3] * param[row, c.INV_INERTIA]
        if impulse[2] > 0.0:
            state[row, c.ON_GROUND] = 0.0  # until the next step finds it there

    # --- Ackermann --------------------------------------------------------------------------------------------------

    def steer_to(self, actor_id: int, target: AckermannTarget) -> None:
        """Hold this speed and wheel angle until the next ordinary control."""
        row = self._vehicle(actor_id)
        if actor_id in self._dead:
            return
        if actor_id in self._drivers:
            self._drivers[actor_id].target = target
            return
        controller = AckermannController(float(self._bodies.state[row, c.WHEEL_ANGLE]), self._forward(row))
        self._drivers[actor_id] = _Driver(target, controller)

    def gains(self, actor_id: int) -> AckermannGains:
        self._vehicle(actor_id)
        return self._gains.get(actor_id, AckermannGains())

    def set_gains(self, actor_id: int, gains: AckermannGains) -> None:
        self._vehicle(actor_id)
        self._gains[actor_id] = gains

    def _drive(self, actor_id: int, driver: _Driver, delta_s: float) -> None:
        row = self._bodies.row_of[actor_id]
        speed, gains = self._forward(row), self._gains.get(actor_id, AckermannGains())
        pedals = driver.controller.step(driver.target, gains, self._capability(actor_id, speed), speed, delta_s)
        direction = -1.0 if pedals.reverse else 1.0
        columns = [c.THROTTLE, c.STEERING, c.BRAKE, c.HAND_BRAKE, c.DIRECTION, c.MANUAL]
        self._bodies.control[row, columns] = pedals.throttle, pedals.steer, pedals.brake, 0.0, direction, 0.0
        actor = self._actors[actor_id]
        gear = -1 if pedals.reverse else max(1, actor.control.gear)
        actor.control = VehicleControl(pedals.throttle, pedals.steer, pedals.brake, False, pedals.reverse, False, gear)

    def _capability(self, actor_id: int, speed: float) -> Capability:
        row = self._bodies.row_of[actor_id]
        param, physics = self._bodies.param[row], self._physics[actor_id]
        torques = sum(wheel.max_brake_torque / max(0.05, wheel.radius / 100.0) for wheel in physics.wheels)
        return Capability(
            lock=float(param[c.LOCK] * steering_factor(self._bodies.param, row, abs(speed))),
            drive=drive_acceleration(physics, speed),
            brake=torques / physics.mass,
            drag=float(param[c.DRAG] * speed * speed + param[c.ROLLING]) / physics.mass,
            coast=float(param[c.ENGINE_BRAKE]) / physics.mass,
        )

    # --- walkers ----------------------------------------------------------------------------------------------------

    def _jump(self) -> None:
        """Who stands and wants to jump leaves the ground; again and again while it wants to."""
        state, param = self._bodies.state, self._bodies.param
        for actor_id in sorted(self._jumpers):
            row = self._bodies.row_of[actor_id]
            if param[row, c.INV_MASS] > 0.0 and state[row, c.ON_GROUND] != 0.0:
                state[row, [c.VZ, c.ON_GROUND]] = JUMP_M_S, 0.0

    # --- the rest ---------------------------------------------------------------------------------------------------

    def kill(self, actor_id: int) -> None:
        """A vehicle coasts from now on, a walker lies where it is; neither takes a control any more."""
        row, actor = self._body(actor_id), self._actors[actor_id]
        if actor_id in self._dead:
            return
        self._dead.add(actor_id)
        self._drivers.pop(actor_id, None)
        self._jumpers.discard(actor_id)
        self._bodies.control[row] = 0.0
        if actor.kind is ActorKind.VEHICLE:
            actor.control = VehicleControl(gear=0, manual_gear_shift=True)
            self._bodies.control[row, c.MANUAL] = 1.0
        elif actor.kind is ActorKind.WALKER:
            actor.walker = replace(actor.walker, speed=0.0, jump=False)
            self._bodies.set_mobile(actor_id, False)
            self._bodies.param[row, c.COLLIDES] = 0.0
            pose = actor.pose
            lying = replace(pose, z=pose.z - actor.extent[2] + actor.extent[1], roll=90.0)
            actor.pose = lying
            self._bodies.place(actor_id, lying)

    def telemetry(self, actor_id: int) -> VehicleTelemetry:
        row = self._vehicle(actor_id)
        control = self._actors[actor_id].control
        return telemetry(self._bodies.state[row], self._bodies.param[row], self._physics[actor_id], control)

    def wheel_pitch(self, actor_id: int, wheel: int) -> float:
        """[deg] as it was set: like CARLA's, it is the picture's and not that of the physics."""
        self._vehicle(actor_id)
        return self._wheel_pitch.get((actor_id, _wheel(wheel)), 0.0)

    def set_wheel_pitch(self, actor_id: int, wheel: int, degrees: float) -> None:
        self._vehicle(actor_id)
        self._wheel_pitch[actor_id, _wheel(wheel)] = degrees

    def _body(self, actor_id: int) -> int:
        """The actor's row."""
        actor = self._actors[actor_id]
        if actor_id not in self._bodies.row_of:
            raise TypeError(f"a {actor.type_id} without a body of its own cannot do that")
        return self._bodies.row_of[actor_id]

    def _vehicle(self, actor_id: int) -> int:
        actor = self._actors[actor_id]
        if actor.kind is not ActorKind.VEHICLE:
            raise TypeError(f"a {actor.type_id} is no vehicle")
        return self._body(actor_id)

    def _forward(self, row: int) -> float:
        state = self._bodies.state[row]
        return float(state[c.VX] * np.cos(state[c.YAW]) + state[c.VY] * np.sin(state[c.YAW]))


def _wheel(wheel: int) -> int:
    if not 0 <= wheel < 4:
        raise TypeError(f"there is no wheel {wheel}")
    return wheel
