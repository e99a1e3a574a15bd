"""Speed and steering angle instead of pedals: carla.VehicleAckermannControl.

Two loops in a row, as CARLA documents them: one turns the speed error into a wanted acceleration, the other the
acceleration error into a pedal. CARLA's gains are per tick; here a tick is worth 1/TICKS_PER_S of a second, so that the
result does not depend on the step. The pedal starts from what the vehicle's own physics says is needed, and the second
loop corrects that: without it the default gains swing for minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from carla_bridge.embedded.vehicle_physics import DRIVELINE_EFFICIENCY, VehiclePhysics

TICKS_PER_S = 20.0
STANDING_M_S = 0.1  # slower than this a vehicle may change its direction, or is held at rest
MOST_ACCELERATION, MOST_DECELERATION = 3.0, 8.0  # [m/s2] where the control does not say


@dataclass(frozen=True)
class AckermannTarget:
    """carla.VehicleAckermannControl, in wire order. 0 in all but steer and speed: no limit of one's own."""

    steer: float = 0.0  # [rad] > 0 to the right
    steer_speed: float = 0.0  # [rad/s]
    speed: float = 0.0  # [m/s] < 0 backwards
    acceleration: float = 0.0  # [m/s2]
    jerk: float = 0.0  # [m/s3]


@dataclass(frozen=True)
class AckermannGains:
    """carla.AckermannControllerSettings, in wire order, with CARLA's defaults."""

    speed_kp: float = 0.15
    speed_ki: float = 0.0
    speed_kd: float = 0.25
    accel_kp: float = 0.01
    accel_ki: float = 0.0
    accel_kd: float = 0.01


@dataclass(frozen=True)
class Capability:
    """What the vehicle can do at its present speed."""

    lock: float  # [rad] of the wheels at full steering input
    drive: float  # [m/s2] at full throttle
    brake: float  # [m/s2] at full braking
    drag: float  # [m/s2] of what always slows it down
    coast: float  # [m/s2] more of that with the throttle closed


@dataclass(frozen=True)
class Pedals:
    throttle: float
    steer: float  # -1..1
    brake: float
    reverse: bool


class AckermannController:
    """The memory of one vehicle's loops, from the first Ackermann control to the next ordinary one."""

    def __init__(self, steer: float, speed: float) -> None:
        """steer [rad]: of the wheels at the moment; speed [m/s]: forward."""
        self._steer, self._speed, self._acceleration = steer, speed, 0.0
        self._reverse = speed < -STANDING_M_S
        self._rest()

    def _rest(self) -> None:
        self._wanted = 0.0  # [m/s2] in the direction of travel
        self._trim = 0.0  # -1..1, the second loop's correction of the pedal
        self._speed_sum = self._acceleration_sum = 0.0

    def step(self, target: AckermannTarget, gains: AckermannGains, can: Capability, speed: float, dt: float) -> Pedals:
        """The pedals for the next dt seconds. speed [m/s]: forward."""
        steer = self._turn(target, can, dt)
        acceleration = (speed - self._speed) / dt
        self._speed = speed
        if abs(speed) < STANDING_M_S:
            if target.speed == 0.0:
                self._rest()
                return Pedals(0.0, steer, 1.0, self._reverse)
            if self._reverse != (target.speed < 0.0):
                self._reverse = target.speed < 0.0
                self._rest()
        sign = -1.0 if self._reverse else 1.0
        goal = max(0.0, sign * target.speed)  # against the direction of travel: stop first
        pedal = self._pedal(target, gains, can, (goal, sign * speed, sign * acceleration), dt)
        return Pedals(max(0.0, pedal), steer, max(0.0, -pedal), self._reverse)

    def _turn(self, target: AckermannTarget, can: Capability, dt: float) -> float:
        wanted = min(can.lock, max(-can.lock, target.steer))
        most = abs(target.steer_speed) * dt if target.steer_speed else math.inf
        self._steer += min(most, max(-most, wanted - self._steer))
        return min(1.0, max(-1.0, self._steer / can.lock)) if can.lock > 0.0 else 0.0

    def _pedal(
        self,
        target: AckermannTarget,
        gains: AckermannGains,
        can: Capability,
        motion: tuple[float, float, float],
        dt: float,
    ) -> float:
        """-1..1: brake or throttle. motion: wanted speed, speed, acceleration in the direction of travel."""
        goal, speed, acceleration = motion
        ticks = TICKS_PER_S * dt
        error = goal - speed
        self._speed_sum += error * dt
        change = gains.speed_kp * error + gains.speed_ki * self._speed_sum - gains.speed_kd * acceleration
        change *= ticks
        if target.jerk:
            change = min(abs(target.jerk) * dt, max(-abs(target.jerk) * dt, change))
        up, down = (abs(target.acceleration),) * 2 if target.acceleration else (MOST_ACCELERATION, MOST_DECELERATION)
        up = min(up, max(0.0, can.drive - can.drag))  # no more than there is, or it would be late to let go
        self._wanted = min(up, max(-down, self._wanted + change))

        miss = self._wanted - acceleration
        self._acceleration_sum += miss * dt
        jump = (acceleration - self._acceleration) / dt
        self._acceleration = acceleration
        trim = gains.accel_kp * miss + gains.accel_ki * self._acceleration_sum - gains.accel_kd * jump * dt
        needed = _needed(self._wanted + can.drag, can)
        if (
            -1.0 < needed + self._trim < 1.0 or (needed + self._trim) * trim < 0.0
        ):  # not while the pedal is on the floor
            self._trim = min(1.0, max(-1.0, self._trim + ticks * trim))
        return min(1.0, max(-1.0, needed + self._trim))


def _needed(push: float, can: Capability) -> float:
    """-1..1: the pedal that gives this acceleration [m/s2], with what the closed throttle does for nothing."""
    if push >= 0.0:
        return push / can.drive if can.drive > 0.0 else 1.0
    braking = max(0.0, -push - can.coast)
    return -braking / can.brake if can.brake > 0.0 else -1.0


def drive_acceleration(physics: VehiclePhysics, speed: float) -> float:
    """[m/s2] at full throttle in the best gear: engine torque x ratio / wheel radius / mass."""
    if not physics.torque_curve or not physics.forward_gears:
        return 0.0
    curve = sorted(physics.torque_curve)
    radius = max(0.05, physics.wheels[0].radius / 100.0)
    best = 0.0
    for gear in physics.forward_gears:
        ratio = gear.ratio * physics.final_ratio
        rpm = abs(speed) / radius * ratio * 30.0 / math.pi
        if rpm <= physics.max_rpm:
            torque = float(np.interp(rpm, [x for x, _ in curve], [y for _, y in curve]))
            best = max(best, torque * ratio * DRIVELINE_EFFICIENCY / (radius * physics.mass))
    return best
