"""Names of the columns of the arrays that the contact and dynamics kernels share: one row for each body.

numba keeps compiled kernels by the date of their own file: after a change here, touch collision.py and dynamics.py (or
delete the compiled cache), and after a change in collision.py touch dynamics.py.
"""

# fmt: off
# state: what moves. World frame, metres, radians, seconds.
X, Y, Z, YAW, VX, VY, VZ, YAW_RATE, STEER, WHEEL_ANGLE = range(10)
STATE_COLUMNS = 10
# control: what is asked for. STEERING -1..1; DIRECTION 1 forwards, -1 reverse, 0 neutral; WALK_X, WALK_Y [m/s].
THROTTLE, STEERING, BRAKE, HAND_BRAKE, DIRECTION, WALK_X, WALK_Y = range(7)
CONTROL_COLUMNS = 7
# param: what stays. EX, EY, EZ: half sizes; CZ: box centre above the actor's origin; FLOOR: height of the origin at
# rest; INV_MASS 0: immovable; CONSTANT: hold the velocity that follows; FRONT, REAR: axles from the centre of mass [m];
# C_FRONT, C_REAR: cornering stiffness [N/rad]; *_MAX, ROLLING, ENGINE_BRAKE: forces [N]; POWER [W]; DRAG [N s2/m2];
# LOCK [rad]; STEER_TABLE: the first of the samples of the steering curve, one every STEER_TABLE_STEP.
(
    KIND, INV_MASS, INV_INERTIA, EX, EY, EZ, CZ, COLLIDES, GRAVITY, CONSTANT, CONSTANT_VX, CONSTANT_VY,
    MASS, FRONT, REAR, C_FRONT, C_REAR, FRICTION, DRIVE_MAX, POWER, BRAKE_MAX, HAND_BRAKE_MAX, DRAG, ROLLING,
    ENGINE_BRAKE, LOCK, FLOOR, STEER_TABLE,
) = range(28)
STEER_TABLE_SIZE = 32
STEER_TABLE_STEP = 5.0 / 3.6  # [m/s]
PARAM_COLUMNS = STEER_TABLE + STEER_TABLE_SIZE
VEHICLE, WALKER, PROP = 0.0, 1.0, 2.0  # values of KIND
# solids: the static boxes; centre, cosine and sine of the yaw, half sizes, bottom and top.
SX, SY, SCOS, SSIN, SEX, SEY, SLOW, SHIGH = range(8)
