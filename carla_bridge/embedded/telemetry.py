"""carla.VehicleTelemetryData: what the tyres and the engine of one vehicle are doing.

The dynamics knows axles; a wheel's share of its axle's force is that of its load, and its load is half the axle's, more
or less what has moved across (columns.py: SIDE_LOAD, from the right to the left).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.actors import VehicleControl
from carla_bridge.embedded.vehicle_physics import GRAVITY_M_S2, VehiclePhysics

F64 = npt.NDArray[np.float64]
_FRONT = (c.SLIP_F, c.KAPPA_F, c.LOAD_F, c.FX_F, c.FY_F)
_REAR = (c.SLIP_R, c.KAPPA_R, c.LOAD_R, c.FX_R, c.FY_R)


@dataclass(frozen=True)
class WheelTelemetry:
    """carla.WheelTelemetryData, in wire order."""

    tire_friction: float
    lat_slip: float  # [rad]
    long_slip: float  # slip ratio: -1 locked, 0 rolling
    omega: float  # [rad/s]
    tire_load: float  # [N]
    normalized_tire_load: float  # of that at rest
    torque: float  # [N m] of engine and brakes
    long_force: float  # [N]
    lat_force: float  # [N]
    normalized_long_force: float  # of the load
    normalized_lat_force: float


@dataclass(frozen=True)
class VehicleTelemetry:
    """carla.VehicleTelemetryData, in wire order."""

    speed: float  # [m/s] forward
    steer: float
    throttle: float
    brake: float
    engine_rpm: float
    gear: int
    drag: float  # [N]
    wheels: tuple[WheelTelemetry, ...]  # front left, front right, rear left, rear right


def telemetry(state: F64, param: F64, physics: VehiclePhysics, control: VehicleControl) -> VehicleTelemetry:
    """state, param: the vehicle's rows."""
    cosine, sine = np.cos(state[c.YAW]), np.sin(state[c.YAW])
    forward = float(state[c.VX] * cosine + state[c.VY] * sine)
    sideways = float(state[c.VY] * cosine - state[c.VX] * sine)
    wheels = []
    for wheel, spec in enumerate(physics.wheels[:4]):
        front, left = wheel < 2, wheel % 2 == 0
        wheels.append(_wheel(state, param, spec.tire_friction, (forward, sideways), front=front, left=left))
    drag = float(param[c.DRAG]) * forward * forward
    rpm, gear = float(state[c.RPM]), control.gear
    return VehicleTelemetry(forward, control.steer, control.throttle, control.brake, rpm, gear, drag, tuple(wheels))


def _wheel(
    state: F64, param: F64, friction: float, velocity: tuple[float, float], *, front: bool, left: bool
) -> WheelTelemetry:
    columns = _FRONT if front else _REAR
    slip, kappa, load, along, across = (float(state[column]) for column in columns)
    both = float(state[c.LOAD_F] + state[c.LOAD_R])
    moved = float(state[c.SIDE_LOAD]) * load / both if both > 0.0 else 0.0
    share = min(1.0, max(0.0, 0.5 + (moved if left else -moved) / load)) if load > 0.0 else 0.5
    own_load = share * load
    at_x, at_y = float(param[c.FRONT] if front else -param[c.REAR]), float(param[c.TRACK]) * (-0.5 if left else 0.5)
    vx, vy = velocity[0] - state[c.YAW_RATE] * at_y, velocity[1] + state[c.YAW_RATE] * at_x
    angle = float(state[c.WHEEL_ANGLE]) if front else 0.0
    rolling = float(vx * np.cos(angle) + vy * np.sin(angle))
    radius = max(0.05, float(param[c.RADIUS]))
    base = float(param[c.FRONT] + param[c.REAR])
    rest = 0.5 * float(param[c.MASS]) * GRAVITY_M_S2 * float(param[c.REAR] if front else param[c.FRONT]) / base
    return WheelTelemetry(
        tire_friction=friction,
        lat_slip=slip,
        long_slip=kappa,
        omega=rolling * (1.0 + kappa) / radius,
        tire_load=own_load,
        normalized_tire_load=own_load / rest,
        torque=share * along * radius,
        long_force=share * along,
        lat_force=share * across,
        normalized_long_force=share * along / own_load if own_load > 0.0 else 0.0,
        normalized_lat_force=share * across / own_load if own_load > 0.0 else 0.0,
    )
