"""What a vehicle is made of: carla.VehiclePhysicsControl, its values for each blueprint, and the kernels' parameters.

How the 17 fields are read: dynamics.py and engine.py say what each does; `use_sweep_wheel_collision` does nothing, for
each wheel always finds the ground under it. What the control has no field for (which wheels are driven, how far they
can be turned, the governor) comes from the blueprint's `Model`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded import columns as c

Vec3 = tuple[float, float, float]
F64 = npt.NDArray[np.float64]

GRAVITY_M_S2 = 9.81
LEAST_MASS_KG, MOST_MASS_KG = 1e-3, 1e9  # of a vehicle, whatever a client asks for
AIR_DENSITY = 1.225  # [kg/m3] at sea level, 15 deg C
# Friction of CARLA's default tyre on dry asphalt. Above a road tyre's 0.9 to 1.0, as CARLA's own cars are: its traffic
# manager takes a right turn of 7 m radius at 30 km/h, which asks for 0.95 g.
GRIP = 1.2
DEFAULT_TIRE_FRICTION = 3.5  # CARLA's default number for that tyre; grip scales with it
ROLLING_COEFFICIENT = 0.012  # car tyres on asphalt, Rajamani table 4-1 ff.
ENGINE_BRAKE_M_S2 = 0.5  # closed throttle in gear, at CARLA's default damping rate of the engine:
DEFAULT_ENGINE_DAMPING = 2.0
DEFAULT_WHEEL_DAMPING = 0.25  # what the bearings take is in the rolling resistance up to this rate
DRIVELINE_EFFICIENCY = 0.9
CORNERING_FRONT, CORNERING_REAR = 10.0, 11.5  # axle side force / (load x slip angle) [1/rad]: slight understeer
DEFAULT_LAT_STIFFNESS, DEFAULT_LONG_STIFFNESS = 17.0, 1000.0  # CARLA's numbers for such tyres
KAPPA_STIFFNESS = 15.0  # axle force / (load x slip ratio), usual for car tyres (Rajamani, section 4.1.2)
WHEELBASE_SHARE = 0.59  # of the length, typical of cars from 3.6 to 5 m
WHEEL_RADIUS_CM = 35.0
RATIOS = (3.6, 2.2, 1.5, 1.1, 0.87, 0.69)
FINAL_RATIO = 3.4
FULL_BRAKE_M_S2 = 8.5
FRONT_BRAKE_SHARE = 0.64  # follows the load under full braking, so that no axle locks much before the other


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
    center_of_mass: Vec3  # [m] before, right of and above the origin, which is on the ground
    steering_curve: tuple[tuple[float, float], ...]  # (km/h, factor)
    wheels: tuple[Wheel, ...]
    use_sweep_wheel_collision: bool


@dataclass(frozen=True)
class Model:
    """What a vehicle's physics follow from."""

    mass: float  # [kg]
    power: float  # [W/kg] at the peak
    launch: float  # [m/s2] that the engine gives in first gear
    drag: float = 0.30
    com_height: float = 0.55  # [m]
    drive_front: float = 0.5  # share of the drive at the front wheels
    ratios: tuple[float, ...] = RATIOS
    final: float = FINAL_RATIO
    idle_rpm: float = 800.0
    peak_rpm: float = 5000.0
    max_rpm: float = 6000.0
    switch_time: float = 0.0  # [s]
    governor_kmh: float = math.inf
    radius_cm: float = WHEEL_RADIUS_CM
    wheelbase: float = 0.0  # [m]; 0: WHEELBASE_SHARE of the length
    turning_circle: float = 0.0  # [m] between kerbs; 0: as far as max_steer_angle goes
    leans: bool = False  # a two-wheeler
    brake: float = FULL_BRAKE_M_S2


_LORRY_RATIOS = (7.0, 4.1, 2.5, 1.6, 1.0, 0.76)
# Order of magnitude of current vehicles of each class.
_CLASSES = {
    "car_sedan": Model(1700.0, 90.0, 5.5),
    "car_hatch": Model(1250.0, 70.0, 5.0, drag=0.32),
    "suv": Model(2100.0, 80.0, 5.0, drag=0.36, com_height=0.68),
    "van": Model(2500.0, 50.0, 4.0, drag=0.36, com_height=0.8, drive_front=0.0, governor_kmh=160.0, brake=7.8),
    "truck": Model(7500.0, 25.0, 3.0, 0.6, 1.1, 0.0, _LORRY_RATIOS, 3.9, 600.0, 2200.0, 2600.0, 0.3, 100.0, 45.0,
                   brake=7.0),
    "hgv": Model(16000.0, 18.0, 2.2, 0.65, 1.3, 0.0, _LORRY_RATIOS, 3.9, 550.0, 1800.0, 2200.0, 0.4, 90.0, 50.0,
                 brake=6.5),
    "bus": Model(11000.0, 18.0, 2.4, 0.6, 1.2, 0.0, _LORRY_RATIOS, 3.9, 600.0, 2100.0, 2500.0, 0.3, 100.0, 48.0,
                 brake=6.5),
    "pickup": Model(3000.0, 120.0, 5.5, drag=0.35, com_height=0.75, ratios=(1.0,), final=8.0, idle_rpm=0.0,
                    peak_rpm=7000.0, max_rpm=13000.0, radius_cm=44.0),
    "microlino": Model(550.0, 25.0, 3.0, drag=0.4, ratios=(1.0,), final=9.0, idle_rpm=0.0, peak_rpm=5000.0,
                       max_rpm=8000.0, governor_kmh=90.0, radius_cm=28.0, drive_front=0.0),
    "motorbike": Model(280.0, 250.0, 6.5, drag=0.7, com_height=0.6, drive_front=0.0, idle_rpm=1100.0,
                       peak_rpm=9500.0, max_rpm=12000.0, radius_cm=31.0, final=5.5, leans=True),
    "scooter": Model(190.0, 45.0, 4.0, drag=0.8, com_height=0.6, drive_front=0.0, ratios=(2.2, 1.4, 0.9), final=6.0,
                     idle_rpm=1500.0, peak_rpm=7500.0, max_rpm=9000.0, governor_kmh=110.0, radius_cm=25.0, leans=True),
    # The rider's legs are the engine: 300 W at 90 turns of the pedals a minute.
    "bicycle": Model(90.0, 3.4, 1.5, drag=0.9, com_height=0.9, drive_front=0.0, ratios=(1.2, 0.8, 0.55, 0.4),
                     final=1.0, idle_rpm=0.0, peak_rpm=90.0, max_rpm=130.0, governor_kmh=45.0, leans=True, brake=5.0),
}  # fmt: skip
# What the manufacturers publish, as far as a blueprint has a counterpart.
_BLUEPRINTS = {
    # 2020 2.0T AWD: 245 hp, 3739 lb, 112.2 in wheelbase, 0-60 mph in 6 to 7 s, limited to about 130 mph. Mass and pull
    # are those with which the shipped network learned to drive, its box has 112 in between the axles.
    "vehicle.lincoln.mkz_2020": replace(_CLASSES["car_sedan"], governor_kmh=210.0, turning_circle=11.5),
    # Standard Range Plus: rear wheel drive, one gear of 9:1, 0-100 km/h 5.6 s, 225 km/h, drag 0.23, 2.875 m wheelbase.
    "vehicle.tesla.model3": Model(1645.0, 120.0, 5.5, 0.23, 0.46, 0.0, (1.0,), 9.0, 0.0, 6200.0, 18000.0,
                                  governor_kmh=225.0, radius_cm=33.4, wheelbase=2.875, turning_circle=11.6),
    # 45 TFSI quattro: 180 kW, 370 N m, 0-100 km/h 5.2 s, limited to 250 km/h, 2.505 m wheelbase.
    "vehicle.audi.tt": Model(1435.0, 125.0, 6.9, 0.30, 0.50, 0.4, switch_time=0.05, governor_kmh=250.0,
                             wheelbase=2.505, turning_circle=11.0),
}  # fmt: skip


def model_of(type_id: str, physics_class: str) -> Model:
    """The model of a blueprint, by itself or by its class of vehicle."""
    return _BLUEPRINTS.get(type_id, _CLASSES[physics_class])


def default_physics(model: Model, extent: Vec3) -> VehiclePhysics:
    """What CARLA would report of such a vehicle; `vehicle_parameters` turns it into forces."""
    mass, radius = model.mass, model.radius_cm / 100.0
    torque = model.launch * mass * radius / (model.ratios[0] * model.final * DRIVELINE_EFFICIENCY)
    at_peak = model.power * mass / (model.peak_rpm * math.pi / 30.0)
    knee = 0.3 * model.peak_rpm
    curve = [(0.0, torque), (knee, torque), (model.peak_rpm, at_peak), (model.max_rpm, 0.9 * at_peak)]
    if len(model.ratios) == 1:  # an electric motor: constant torque, then constant power
        base = min(model.peak_rpm, at_peak * model.peak_rpm / torque)
        above = np.linspace(base, model.max_rpm, 8)
        curve = [(0.0, torque), *((float(rpm), torque * base / float(rpm)) for rpm in above)]
    half_base, half_track = (model.wheelbase or 2.0 * WHEELBASE_SHARE * extent[0]) / 2.0, 0.84 * extent[1]
    brake = model.brake * mass * radius / 2.0
    wheels = tuple(
        Wheel(
            DEFAULT_TIRE_FRICTION,
            DEFAULT_WHEEL_DAMPING,
            70.0 if front else 0.0,
            model.radius_cm,
            brake * (FRONT_BRAKE_SHARE if front else 1.0 - FRONT_BRAKE_SHARE),
            0.0 if front else 1.2 * brake,
            2.0,
            DEFAULT_LAT_STIFFNESS,
            DEFAULT_LONG_STIFFNESS,
            (100.0 * (half_base if front else -half_base), 100.0 * side * half_track, model.radius_cm),
        )
        for front in (True, False)
        for side in (-1.0, 1.0)
    )
    return VehiclePhysics(
        torque_curve=tuple(curve),
        max_rpm=model.max_rpm,
        moi=1.0,
        damping_rate_full_throttle=0.15,
        damping_rate_zero_throttle_clutch_engaged=DEFAULT_ENGINE_DAMPING,
        damping_rate_zero_throttle_clutch_disengaged=0.35,
        use_gear_autobox=True,
        gear_switch_time=model.switch_time,
        clutch_strength=10.0,
        final_ratio=model.final,
        forward_gears=tuple(Gear(ratio, 0.5, 0.65) for ratio in model.ratios),
        mass=mass,
        drag_coefficient=model.drag,
        center_of_mass=(0.0, 0.0, model.com_height),
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


def _numbers(physics: VehiclePhysics) -> list[float]:
    """All that a physics control says, in one row."""
    single = [value for value in vars(physics).values() if not isinstance(value, tuple)]
    wheels = (value for wheel in physics.wheels for value in (*tuple(vars(wheel).values())[:-1], *wheel.position))
    gears = (value for gear in physics.forward_gears for value in vars(gear).values())
    curves = (value for point in (*physics.torque_curve, *physics.steering_curve) for value in point)
    return [float(value) for value in (*single, *physics.center_of_mass, *wheels, *gears, *curves)]


def vehicle_parameters(physics: VehiclePhysics, extent: Vec3, model: Model) -> dict[int, float]:
    """The `param` columns that follow from the physics control."""
    if not np.isfinite(_numbers(physics)).all():
        raise ValueError("a physics control holds finite numbers only")
    if not LEAST_MASS_KG <= physics.mass <= MOST_MASS_KG or len(physics.wheels) < 4:
        raise ValueError(
            f"a vehicle needs 4 wheels and a mass of {LEAST_MASS_KG:g} to {MOST_MASS_KG:g} kg, "
            f"got {len(physics.wheels)} wheels and {physics.mass} kg"
        )
    length, width, height = 2 * extent[0], 2 * extent[1], 2 * extent[2]
    mass = physics.mass
    values = {
        c.INV_MASS: 1.0 / mass,
        c.INV_INERTIA: 12.0 / (mass * (length**2 + width**2)),  # of a uniform box
        c.MASS: mass,
        # 0.85: a car's outline fills about so much of its box (rounded corners, gap to the ground)
        c.DRAG: 0.5 * AIR_DENSITY * max(0.0, physics.drag_coefficient) * 0.85 * width * height,
        c.ROLLING: ROLLING_COEFFICIENT * mass * GRAVITY_M_S2,
    }
    values.update(_chassis(physics, extent, model))
    values.update(_engine(physics, model))
    curve = sorted(physics.steering_curve) or [(0.0, 1.0)]
    speeds, factors = [speed / 3.6 for speed, _ in curve], [factor for _, factor in curve]
    table = np.interp(np.arange(c.STEER_TABLE_SIZE) * c.STEER_TABLE_STEP, speeds, factors)
    values.update({c.STEER_TABLE + k: float(value) for k, value in enumerate(table)})
    return values


def _chassis(physics: VehiclePhysics, extent: Vec3, model: Model) -> dict[int, float]:
    """Axles, tyres, brakes. The wheels of one axle count with their mean."""
    mass, wheels = physics.mass, physics.wheels
    base = model.wheelbase or 2.0 * WHEELBASE_SHARE * extent[0]
    com_x = min(0.4 * base, max(-0.4 * base, physics.center_of_mass[0]))
    front, rear = base / 2.0 - com_x, base / 2.0 + com_x
    radius = max(0.05, wheels[0].radius / 100.0)
    axles = (wheels[:2], wheels[2:])
    grip = [sum(max(0.0, w.tire_friction) for w in axle) / len(axle) / DEFAULT_TIRE_FRICTION * GRIP for axle in axles]
    mean = (grip[0] + grip[1]) / 2.0
    stiff = [sum(max(0.0, w.lat_stiff_value) for w in axle) / len(axle) / DEFAULT_LAT_STIFFNESS for axle in axles]
    lock = math.radians(min(80.0, max(0.0, *(wheel.max_steer_angle for wheel in wheels))))
    stop = lock
    if model.turning_circle:
        # The outer front wheel rolls on half the turning circle; its track's middle half a track further in.
        stop = math.asin(base / (model.turning_circle / 2.0 - 0.84 * extent[1]))
    return {
        c.FRONT: front,
        c.REAR: rear,
        c.COM_X: com_x,
        c.COM_HEIGHT: max(0.0, physics.center_of_mass[2]),
        c.TRACK: 0.0 if model.leans else 2.0 * 0.84 * extent[1],
        c.RADIUS: radius,
        c.C_FRONT: max(1e-6, CORNERING_FRONT * stiff[0]) * mass * GRAVITY_M_S2 * rear / base,
        c.C_REAR: max(1e-6, CORNERING_REAR * stiff[1]) * mass * GRAVITY_M_S2 * front / base,
        c.C_MAX_FRONT: max(0.1, wheels[0].lat_stiff_max_load),
        c.C_MAX_REAR: max(0.1, wheels[-1].lat_stiff_max_load),
        c.FRICTION: mean,
        c.FRICTION_F: grip[0] / mean if mean > 0.0 else 1.0,
        c.FRICTION_R: grip[1] / mean if mean > 0.0 else 1.0,
        c.BRAKE_F: sum(max(0.0, wheel.max_brake_torque) for wheel in axles[0]) / radius,
        c.BRAKE_R: sum(max(0.0, wheel.max_brake_torque) for wheel in axles[1]) / radius,
        c.HAND_BRAKE_MAX: sum(max(0.0, wheel.max_handbrake_torque) for wheel in wheels) / radius,
        c.BEARING: sum(max(0.0, wheel.damping_rate - DEFAULT_WHEEL_DAMPING) for wheel in wheels) / radius**2,
        c.KAPPA_STIFFNESS: max(0.1, KAPPA_STIFFNESS * wheels[0].long_stiff_value / DEFAULT_LONG_STIFFNESS),
        c.LOCK: lock,
        c.LOCK_STOP: stop,
    }


def _engine(physics: VehiclePhysics, model: Model) -> dict[int, float]:
    """Engine and gearbox."""
    curve = sorted(physics.torque_curve) or [(0.0, 0.0)]
    max_rpm = max(1.0, physics.max_rpm)
    gears = physics.forward_gears[: c.MAX_GEARS] or (Gear(1.0, 0.0, 1.0),)
    rpms, torques = [rpm for rpm, _ in curve], [torque for _, torque in curve]
    table = np.interp(np.linspace(0.0, max_rpm, c.TORQUE_TABLE_SIZE), rpms, torques)
    damping = max(0.0, physics.damping_rate_zero_throttle_clutch_engaged) / DEFAULT_ENGINE_DAMPING
    values = {
        c.ENGINE_BRAKE: ENGINE_BRAKE_M_S2 * physics.mass * damping,
        c.DRIVE_F: model.drive_front,
        c.AUTOBOX: float(physics.use_gear_autobox),
        c.IDLE_RPM: min(model.idle_rpm, 0.5 * max_rpm),
        c.MAX_RPM: max_rpm,
        c.MOI: max(0.01, physics.moi),
        c.DAMP_FULL: max(0.0, physics.damping_rate_full_throttle),
        c.DAMP_CLOSED: max(0.0, physics.damping_rate_zero_throttle_clutch_disengaged),
        c.CLUTCH: max(0.0, physics.clutch_strength),
        c.SHIFT_TIME: max(0.0, physics.gear_switch_time),
        c.GOVERNOR: min(model.governor_kmh, 1e4) / 3.6,
        c.GEARS: float(len(gears)),
    }
    for k, gear in enumerate(gears):
        entry = (gear.ratio * physics.final_ratio, gear.down_ratio, gear.up_ratio)
        values.update({c.GEAR_TABLE + 3 * k + j: value for j, value in enumerate(entry)})
    values.update({c.TORQUE_TABLE + k: float(value) for k, value in enumerate(table)})
    return values
