"""How vehicles and walkers move: a planar single-track ("bicycle") model of a passenger car, stepped by numba.

Lateral: each axle is a tyre whose side force grows linearly with its slip angle up to the friction limit (R. Rajamani,
Vehicle Dynamics and Control, 2nd ed., sections 2.3 and 13.3). Both side forces are found implicitly, as the impulses
of two damped constraints on the axles' side velocities: that is stable at any step, and as the speed goes to zero
it becomes the kinematic bicycle, so one model serves parking and motorway speeds alike.

Longitudinal: m dv/dt = drive - brake - rolling resistance - 1/2 rho Cd A v^2; drive is limited by the torque of first
gear below and by the engine's power above, brakes and drive by the tyres' grip.

Angles grow from x towards y, which in CARLA's left-handed axes is clockwise seen from above: steer > 0 is to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from numba import njit

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.collision import resolve_contacts

Vec3 = tuple[float, float, float]
F64 = npt.NDArray[np.float64]

GRAVITY_M_S2 = 9.81
AIR_DENSITY = 1.225  # [kg/m3] at sea level, 15 deg C
GRIP = 1.0  # friction of dry asphalt, here of CARLA's default tyre; its traffic manager corners at up to 0.7 g
DEFAULT_TIRE_FRICTION = 3.5  # CARLA's default number for that tyre; grip scales with it
ROLLING_COEFFICIENT = 0.012  # car tyres on asphalt, Rajamani table 4-1 ff.
ENGINE_BRAKE_M_S2 = 0.5  # closed throttle in gear
ENGINE_BRAKE_THROTTLE = 0.1  # throttle from which the engine no longer holds back
DRIVELINE_EFFICIENCY = 0.9
CORNERING_FRONT, CORNERING_REAR = 10.0, 11.5  # axle side force / (load x slip angle) [1/rad]: slight understeer
SLOW = 0.3  # [m/s] slip angles are taken against at least this speed
PEAK_SLIP = 0.18  # [rad] slip angle up to which the wheel is turned; the side force peaks at half of it
PEAK_SLIP_FROM = 4.0  # [m/s] slower than this the cap opens: nothing slides while parking
STEER_RATE = 4.0  # [1/s] of full lock; a fast driver needs about a quarter of a second from centre to lock
WALKER_ACCELERATION = 10.0  # [m/s2]
LATERAL_GRIP_FLOOR = 0.35  # share of the side grip left under full braking (the anti-lock's doing)
MAX_SUBSTEP_S = 0.01
SIMPLE_SHIFT_KMH = (0.0, 20.0, 40.0, 60.0, 85.0, 115.0)  # speed from which each gear is reported


@dataclass(frozen=True)
class Gear:
    """carla.GearPhysicsControl."""

    ratio: float
    down_ratio: float  # rpm / max_rpm below which the box shifts down
    up_ratio: float  # rpm / max_rpm above which the box shifts up


@dataclass(frozen=True)
class Wheel:
    """carla.WheelPhysicsControl; order front left, front right, rear left, rear right."""

    tire_friction: float
    damping_rate: float
    max_steer_angle: float  # [deg]
    radius: float  # [cm]
    max_brake_torque: float  # [N m]
    max_handbrake_torque: float  # [N m]
    lat_stiff_max_load: float
    lat_stiff_value: float
    long_stiff_value: float
    position: Vec3  # [cm] world


@dataclass(frozen=True)
class VehiclePhysics:
    """carla.VehiclePhysicsControl: 17 fields in the order of the wire."""

    torque_curve: tuple[tuple[float, float], ...]  # (rpm, N m)
    max_rpm: float
    moi: float  # [kg m2] of the engine
    damping_rate_full_throttle: float
    damping_rate_zero_throttle_clutch_engaged: float
    damping_rate_zero_throttle_clutch_disengaged: float
    use_gear_autobox: bool
    gear_switch_time: float  # [s]
    clutch_strength: float
    final_ratio: float
    forward_gears: tuple[Gear, ...]
    mass: float  # [kg]
    drag_coefficient: float
    center_of_mass: Vec3  # [m]
    steering_curve: tuple[tuple[float, float], ...]  # (km/h, factor)
    wheels: tuple[Wheel, ...]
    use_sweep_wheel_collision: bool


# Per prototype: mass [kg], power [W/kg], first-gear acceleration [m/s2]. Order of magnitude of
# current cars of each class.
_CLASSES = {
    "car_sedan": (1700.0, 90.0, 5.5),
    "car_hatch": (1250.0, 70.0, 5.0),
    "suv": (2100.0, 80.0, 5.0),
    "van": (2500.0, 50.0, 4.0),
    "truck": (7500.0, 25.0, 3.0),
    "hgv": (16000.0, 18.0, 2.2),
    "bus": (11000.0, 18.0, 2.4),
    "pickup": (3000.0, 120.0, 5.5),
    "microlino": (550.0, 25.0, 3.0),
    "motorbike": (280.0, 250.0, 6.5),
    "scooter": (190.0, 45.0, 4.0),
    "bicycle": (90.0, 4.0, 1.5),
}
WHEELBASE_SHARE = 0.59  # of the length, typical of cars from 3.6 to 5 m
WHEEL_RADIUS_CM = 35.0
RATIOS = (3.6, 2.2, 1.5, 1.1, 0.87, 0.69)
FINAL_RATIO = 3.4
PEAK_RPM, MAX_RPM = 5000.0, 6000.0
FULL_BRAKE_M_S2 = 8.5


def default_physics(prototype: str, extent: Vec3) -> VehiclePhysics:
    """What CARLA would report of such a car; `vehicle_parameters` turns it into forces."""
    mass, power_per_kg, launch = _CLASSES[prototype]
    radius = WHEEL_RADIUS_CM / 100.0
    torque = launch * mass * radius / (RATIOS[0] * FINAL_RATIO * DRIVELINE_EFFICIENCY)
    torque_at_peak = power_per_kg * mass / (PEAK_RPM * math.pi / 30.0)
    half_base, half_track = WHEELBASE_SHARE * extent[0], 0.84 * extent[1]
    brake_torque = FULL_BRAKE_M_S2 * mass * radius / 4.0
    wheels = tuple(
        Wheel(
            DEFAULT_TIRE_FRICTION,
            0.25,
            70.0 if front else 0.0,
            WHEEL_RADIUS_CM,
            brake_torque,
            0.0 if front else 2.0 * brake_torque,
            2.0,
            17.0,
            1000.0,
            (100.0 * (half_base if front else -half_base), 100.0 * side * half_track, WHEEL_RADIUS_CM),
        )
        for front in (True, False)
        for side in (-1.0, 1.0)
    )
    return VehiclePhysics(
        torque_curve=((0.0, torque), (1500.0, torque), (PEAK_RPM, torque_at_peak), (MAX_RPM, 0.9 * torque_at_peak)),
        max_rpm=MAX_RPM,
        moi=1.0,
        damping_rate_full_throttle=0.15,
        damping_rate_zero_throttle_clutch_engaged=2.0,
        damping_rate_zero_throttle_clutch_disengaged=0.35,
        use_gear_autobox=True,
        gear_switch_time=0.0,
        clutch_strength=10.0,
        final_ratio=FINAL_RATIO,
        forward_gears=tuple(Gear(r, 0.5, 0.65) for r in RATIOS),
        mass=mass,
        drag_coefficient=0.3,
        center_of_mass=(0.0, 0.0, 0.4),
        steering_curve=((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7)),
        wheels=wheels,
        use_sweep_wheel_collision=False,
    )


def place_wheels(physics: VehiclePhysics, matrix: F64) -> VehiclePhysics:
    """The same physics with the wheels' positions turned from the vehicle's frame to the world (cm)."""
    wheels = []
    for wheel in physics.wheels:
        world = matrix[:3, :3] @ np.array(wheel.position) + 100.0 * matrix[:3, 3]
        wheels.append(replace(wheel, position=(float(world[0]), float(world[1]), float(world[2]))))
    return replace(physics, wheels=tuple(wheels))


def keep_wheel_places(new: VehiclePhysics, old: VehiclePhysics) -> VehiclePhysics:
    """`new` with the wheel positions of `old`, which are in the vehicle's frame (a client sends world positions)."""
    if len(new.wheels) != len(old.wheels):
        raise ValueError(f"this vehicle has {len(old.wheels)} wheels, got {len(new.wheels)}")
    wheels = (replace(wheel, position=at.position) for wheel, at in zip(new.wheels, old.wheels, strict=True))
    return replace(new, wheels=tuple(wheels))


def vehicle_parameters(physics: VehiclePhysics, extent: Vec3) -> dict[int, float]:
    """The `param` columns that follow from the physics control."""
    if physics.mass <= 0.0 or len(physics.wheels) < 4:
        raise ValueError(f"a vehicle needs mass > 0 and 4 wheels, got {physics.mass} kg, {len(physics.wheels)} wheels")
    length, width, height = 2 * extent[0], 2 * extent[1], 2 * extent[2]
    front = rear = WHEELBASE_SHARE * extent[0]
    mass = physics.mass
    radius = max(0.05, physics.wheels[0].radius / 100.0)
    grips = [max(0.0, wheel.tire_friction) / DEFAULT_TIRE_FRICTION * GRIP for wheel in physics.wheels]
    torque = max((t for _, t in physics.torque_curve), default=0.0)
    power = max((t * rpm * math.pi / 30.0 for rpm, t in physics.torque_curve), default=0.0)
    first = physics.forward_gears[0].ratio if physics.forward_gears else 1.0
    lock = max(wheel.max_steer_angle for wheel in physics.wheels)
    values = {
        c.INV_MASS: 1.0 / mass,
        c.INV_INERTIA: 12.0 / (mass * (length**2 + width**2)),  # of a uniform box
        c.MASS: mass,
        c.FRONT: front,
        c.REAR: rear,
        c.C_FRONT: CORNERING_FRONT * mass * GRAVITY_M_S2 * rear / (front + rear),
        c.C_REAR: CORNERING_REAR * mass * GRAVITY_M_S2 * front / (front + rear),
        c.FRICTION: sum(grips) / len(grips),
        c.DRIVE_MAX: torque * first * physics.final_ratio * DRIVELINE_EFFICIENCY / radius,
        c.POWER: power * DRIVELINE_EFFICIENCY,
        c.BRAKE_MAX: sum(wheel.max_brake_torque for wheel in physics.wheels) / radius,
        c.HAND_BRAKE_MAX: sum(wheel.max_handbrake_torque for wheel in physics.wheels) / radius,
        # 0.85: a car's outline fills about so much of its box (rounded corners, gap to the ground)
        c.DRAG: 0.5 * AIR_DENSITY * physics.drag_coefficient * 0.85 * width * height,
        c.ROLLING: ROLLING_COEFFICIENT * mass * GRAVITY_M_S2,
        c.ENGINE_BRAKE: ENGINE_BRAKE_M_S2 * mass,
        c.LOCK: math.radians(min(80.0, max(0.0, lock))),
    }
    curve = sorted(physics.steering_curve) or [(0.0, 1.0)]
    speeds, factors = [speed / 3.6 for speed, _ in curve], [factor for _, factor in curve]
    table = np.interp(np.arange(c.STEER_TABLE_SIZE) * c.STEER_TABLE_STEP, speeds, factors)
    values.update({c.STEER_TABLE + k: float(value) for k, value in enumerate(table)})
    return values


@njit(cache=True, nogil=True)
def steering_factor(param, i, speed):
    """The steering curve at a speed [m/s], linear between its samples."""
    place = min(max(0.0, speed / c.STEER_TABLE_STEP), c.STEER_TABLE_SIZE - 1.001)
    k = int(place)
    a, b = param[i, c.STEER_TABLE + k], param[i, c.STEER_TABLE + k + 1]
    return a + (place - k) * (b - a)


@njit(cache=True, nogil=True)
def drive_vehicle(state, param, control, i, dt):
    """Advance the velocities of vehicle i by dt under its control; the caller moves it."""
    heading_x, heading_y = np.cos(state[i, c.YAW]), np.sin(state[i, c.YAW])
    u = state[i, c.VX] * heading_x + state[i, c.VY] * heading_y  # forward
    v = state[i, c.VY] * heading_x - state[i, c.VX] * heading_y  # to the right
    r = state[i, c.YAW_RATE]
    mass, inv_mass, inv_inertia = param[i, c.MASS], param[i, c.INV_MASS], param[i, c.INV_INERTIA]
    front, rear = param[i, c.FRONT], param[i, c.REAR]

    wanted = min(1.0, max(-1.0, control[i, c.STEERING]))
    turn = STEER_RATE * dt
    state[i, c.STEER] += min(turn, max(-turn, wanted - state[i, c.STEER]))
    angle = state[i, c.STEER] * param[i, c.LOCK] * steering_factor(param, i, abs(u))
    # Past its peak a steered tyre does little but brake, so nobody turns the wheel further than that from its course.
    course = np.arctan2(v + front * r, abs(u)) * (1.0 if u >= 0.0 else -1.0)
    cap = PEAK_SLIP * max(1.0, PEAK_SLIP_FROM / max(0.1, abs(u)))
    angle = min(max(angle, min(course - cap, 0.0)), max(course + cap, 0.0))
    state[i, c.WHEEL_ANGLE] = angle

    # Longitudinal: what pushes first, then what only ever slows down, so that it ends at rest and not beyond.
    throttle, direction = min(1.0, max(0.0, control[i, c.THROTTLE])), control[i, c.DIRECTION]
    grip = param[i, c.FRICTION] * mass * GRAVITY_M_S2
    push = throttle * direction * min(param[i, c.DRIVE_MAX], param[i, c.POWER] / max(1.0, abs(u)))
    push = min(grip, max(-grip, push))
    brake = min(1.0, max(0.0, control[i, c.BRAKE])) * param[i, c.BRAKE_MAX]
    brake += control[i, c.HAND_BRAKE] * min(param[i, c.HAND_BRAKE_MAX], grip * front / (front + rear))
    closed = max(0.0, 1.0 - throttle / ENGINE_BRAKE_THROTTLE)
    hold = param[i, c.ROLLING] + closed * abs(direction) * param[i, c.ENGINE_BRAKE] * min(1.0, abs(u) / 3.0)
    hold = min(grip, brake + hold) + param[i, c.DRAG] * u * u
    u += push * inv_mass * dt
    slowed = max(0.0, abs(u) - hold * inv_mass * dt)
    u = slowed if u > 0.0 else -slowed
    along = min(grip, abs(push) + min(grip, brake))

    # Lateral: impulses p_f, p_r of the axles solve (W + 1/(K dt)) p = -n, where n is an axle's side velocity, W the
    # inverse mass seen by the axles, and K = cornering stiffness / axle speed the damping of a linear tyre.
    ca, sa = np.cos(angle), np.sin(angle)
    n_f = (v + front * r) * ca - u * sa
    n_r = v - rear * r
    softness_f = max(SLOW, np.hypot(u, v + front * r)) / (param[i, c.C_FRONT] * dt)
    softness_r = max(SLOW, np.hypot(u, v - rear * r)) / (param[i, c.C_REAR] * dt)
    w_ff = inv_mass + front * front * ca * ca * inv_inertia + softness_f
    w_rr = inv_mass + rear * rear * inv_inertia + softness_r
    w_fr = ca * (inv_mass - front * rear * inv_inertia)
    determinant = w_ff * w_rr - w_fr * w_fr
    p_f = (-n_f * w_rr + n_r * w_fr) / determinant
    p_r = (-n_r * w_ff + n_f * w_fr) / determinant
    share = 0.0 if grip <= 0.0 else along / grip
    side = grip * dt * max(LATERAL_GRIP_FLOOR, np.sqrt(max(0.0, 1.0 - share * share)))
    limit_f, limit_r = side * rear / (front + rear), side * front / (front + rear)
    if abs(p_f) > limit_f:  # a sliding axle pushes with its limit; the other one answers to that
        p_f = limit_f if p_f > 0.0 else -limit_f
        p_r = (-n_r - w_fr * p_f) / w_rr
        p_r = min(limit_r, max(-limit_r, p_r))
    elif abs(p_r) > limit_r:
        p_r = limit_r if p_r > 0.0 else -limit_r
        p_f = (-n_f - w_fr * p_r) / w_ff
        p_f = min(limit_f, max(-limit_f, p_f))
    u -= p_f * sa * inv_mass
    v += (p_f * ca + p_r) * inv_mass
    r += (front * ca * p_f - rear * p_r) * inv_inertia
    if push == 0.0 and abs(u) + abs(v) + abs(r) < 1e-3 and grip > 0.0:
        u, v, r = 0.0, 0.0, 0.0  # at rest is at rest
    state[i, c.VX] = u * heading_x - v * heading_y
    state[i, c.VY] = u * heading_y + v * heading_x
    state[i, c.YAW_RATE] = r


@njit(cache=True, nogil=True)
def advance(state, param, control, boxes, starts, items, origin, shape, cell_m, pairs, impulses, substeps, dt):
    """`substeps` steps of dt of every body, with contacts; returns the number of recorded contact pairs."""
    n = len(state)
    count = 0
    for _ in range(substeps):
        for i in range(n):
            if param[i, c.INV_MASS] == 0.0:
                continue
            airborne = state[i, c.Z] > param[i, c.FLOOR] + 1e-6
            if airborne and param[i, c.GRAVITY] != 0.0:
                state[i, c.VZ] -= GRAVITY_M_S2 * dt
            if param[i, c.KIND] == c.VEHICLE:
                if not airborne:
                    drive_vehicle(state, param, control, i, dt)
                if param[i, c.CONSTANT] != 0.0:
                    cy, sy = np.cos(state[i, c.YAW]), np.sin(state[i, c.YAW])
                    state[i, c.VX] = param[i, c.CONSTANT_VX] * cy - param[i, c.CONSTANT_VY] * sy
                    state[i, c.VY] = param[i, c.CONSTANT_VX] * sy + param[i, c.CONSTANT_VY] * cy
            elif param[i, c.KIND] == c.WALKER:
                dvx, dvy = control[i, c.WALK_X] - state[i, c.VX], control[i, c.WALK_Y] - state[i, c.VY]
                change, most = np.hypot(dvx, dvy), WALKER_ACCELERATION * dt
                part = 1.0 if change <= most else most / change
                state[i, c.VX] += part * dvx
                state[i, c.VY] += part * dvy
            state[i, c.X] += state[i, c.VX] * dt
            state[i, c.Y] += state[i, c.VY] * dt
            state[i, c.Z] += state[i, c.VZ] * dt
            if state[i, c.Z] <= param[i, c.FLOOR]:
                state[i, c.Z] = param[i, c.FLOOR]
                state[i, c.VZ] = max(0.0, state[i, c.VZ])
            state[i, c.YAW] += state[i, c.YAW_RATE] * dt
        count = resolve_contacts(state, param, boxes, starts, items, origin, shape, cell_m, pairs, impulses, count)
    return count


def reported_gear(speed_forward: float, direction: float) -> int:
    """The gear an automatic box would be in: -1 reverse, 0 neutral, 1.. by speed."""
    if direction == 0.0:
        return 0
    if direction < 0.0:
        return -1
    return max(1, sum(3.6 * speed_forward >= threshold for threshold in SIMPLE_SHIFT_KMH))
