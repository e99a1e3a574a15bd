"""Names of the columns of the arrays that the contact and dynamics kernels share: one row for each body.

numba keeps compiled kernels by the date of their own file: after a change here, touch collision.py and dynamics.py (or
delete the compiled cache), and after a change in collision.py touch dynamics.py.
"""

# fmt: off
# state: what moves. World frame, metres, radians, seconds. WALKED: distance since spawning, of walkers [m].
# PITCH, ROLL: of the body over the ground under it (nose up, right side down) and their rates; GROUND_PITCH,
# GROUND_ROLL: of that ground; HEAVE: of the body over its wheels, after a kerb [m]; ON_GROUND 1 or 0. GEAR: -1, 0, 1..;
# SHIFT_LEFT: time until it is engaged; SHIFTED_AGO; RPM of the engine. AX, AY: felt by the body, forward and to the
# right [m/s2], smoothed. Per axle (F front, R rear): SLIP: slip angle, KAPPA: longitudinal slip ratio (-1 locked), LOAD
# [N], FX, FY: forces on the car in the wheels' frame [N]; SIDE_LOAD: load that has moved from the right wheels to the
# left ones, both axles together [N].
(
    X, Y, Z, YAW, VX, VY, VZ, YAW_RATE, STEER, WHEEL_ANGLE, WALKED,
    PITCH, ROLL, PITCH_RATE, ROLL_RATE, GROUND_PITCH, GROUND_ROLL, HEAVE, ON_GROUND,
    GEAR, SHIFT_LEFT, SHIFTED_AGO, RPM, AX, AY,
    SLIP_F, SLIP_R, KAPPA_F, KAPPA_R, LOAD_F, LOAD_R, FX_F, FX_R, FY_F, FY_R, SIDE_LOAD,
) = range(36)
STATE_COLUMNS = 36
# control: what is asked for. STEERING -1..1; DIRECTION 1 forwards, -1 reverse, 0 neutral; WALK_X, WALK_Y [m/s];
# MANUAL 1: the driver shifts, to WANTED_GEAR.
THROTTLE, STEERING, BRAKE, HAND_BRAKE, DIRECTION, WALK_X, WALK_Y, MANUAL, WANTED_GEAR = range(9)
CONTROL_COLUMNS = 9
# param: what stays. EX, EY, EZ: half sizes; CZ: box centre above the actor's origin; FLOOR: height of the origin over
# the ground at rest; INV_MASS 0: immovable; CONSTANT: hold the velocity that follows; FRONT, REAR: axles from the mass'
# centre [m], which is COM_X before the origin and COM_HEIGHT over the ground; TRACK [m], 0: it leans; C_FRONT, C_REAR:
# cornering stiffness at rest [N/rad]; C_MAX_*: most that it grows to with the load; FRICTION of both axles, and
# FRICTION_F, FRICTION_R of each, as multiples of it; RADIUS: of the wheels [m]; BRAKE_F, BRAKE_R, HAND_BRAKE_MAX,
# ROLLING, ENGINE_BRAKE: forces [N]; DRAG [N s2/m2]; BEARING [N s/m]; DRIVE_F: share of the drive that goes to the
# front; KAPPA_STIFFNESS: per unit of slip and load; LOCK: what full steering asks for, LOCK_STOP: as far as the wheels
# turn [rad]; AUTOBOX 1 or 0; IDLE_RPM, MAX_RPM; MOI [kg m2], DAMP_FULL, DAMP_CLOSED [N m s] of the engine on its own;
# CLUTCH [N m s]; SHIFT_TIME [s]; GOVERNOR [m/s]: the engine pushes no faster; GEARS: how many; GEAR_TABLE: of each
# forward gear ratio with the final drive, down_ratio, up_ratio; TORQUE_TABLE: full throttle at 0..MAX_RPM [N m], evenly
# spaced; STEER_TABLE: the first of the samples of the steering curve, one every STEER_TABLE_STEP.
(
    KIND, INV_MASS, INV_INERTIA, EX, EY, EZ, CZ, COLLIDES, GRAVITY, CONSTANT, CONSTANT_VX, CONSTANT_VY,
    MASS, FRONT, REAR, COM_X, COM_HEIGHT, TRACK, C_FRONT, C_REAR, C_MAX_FRONT, C_MAX_REAR, FRICTION, FRICTION_F,
    FRICTION_R, RADIUS, BRAKE_F, BRAKE_R, HAND_BRAKE_MAX, DRAG, BEARING, ROLLING, ENGINE_BRAKE, DRIVE_F,
    KAPPA_STIFFNESS, LOCK, LOCK_STOP, FLOOR, AUTOBOX, IDLE_RPM, MAX_RPM, MOI, DAMP_FULL, DAMP_CLOSED, CLUTCH,
    SHIFT_TIME, GOVERNOR, GEARS, GEAR_TABLE,
) = range(49)
MAX_GEARS = 8
TORQUE_TABLE = GEAR_TABLE + 3 * MAX_GEARS
TORQUE_TABLE_SIZE = 33
STEER_TABLE = TORQUE_TABLE + TORQUE_TABLE_SIZE
STEER_TABLE_SIZE = 32
STEER_TABLE_STEP = 5.0 / 3.6  # [m/s]
PARAM_COLUMNS = STEER_TABLE + STEER_TABLE_SIZE
VEHICLE, WALKER, PROP = 0.0, 1.0, 2.0  # values of KIND
# solids: the static boxes; centre, cosine and sine of the yaw, half sizes, bottom and top.
SX, SY, SCOS, SSIN, SEX, SEY, SLOW, SHIGH = range(8)
