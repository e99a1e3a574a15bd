"""Tyres, steering, load transfer and the body's pitch and roll of a vehicle, stepped by numba.

A single-track ("bicycle") model: each axle is one tyre whose side force grows with its slip angle and saturates at the
friction that the longitudinal force leaves (the friction ellipse; R. Rajamani, Vehicle Dynamics and Control, 2nd ed.,
sections 2.3, 13.3 and 13.9): F = C a / (1 + (C a / F_max)^4)^(1/4), which is linear to a tenth of a percent up to a
third of F_max. Both side forces are found implicitly, as the impulses of two damped constraints on the axles' side
velocities: that is stable at any step, and as the speed goes to zero it becomes the kinematic bicycle, so one model
serves parking and motorway speeds alike.

Loads move to the rear axle with m a_x h / L, and from side to side with m a_y h / track; the wheels of an axle that is
unevenly loaded hold together a little less (LOAD_SENSITIVITY). Service brakes have an anti-lock; the hand brake locks
the rear wheels, and a locked wheel only ever pushes against the direction in which it slides.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.engine import drive_force
from carla_bridge.embedded.vehicle_physics import GRAVITY_M_S2

ENGINE_BRAKE_THROTTLE = 0.1  # throttle from which the engine no longer holds back
SLOW = 0.3  # [m/s] slip angles are taken against at least this speed
PEAK_SLIP = 0.22  # [rad] slip angle up to which the wheel is turned; more would only brake
PEAK_SLIP_FROM = 4.0  # [m/s] slower than this the cap opens: nothing slides while parking
STEER_RATE = 4.0  # [1/s] of full lock; a fast driver needs about a quarter of a second from centre to lock
LATERAL_GRIP_FLOOR = 0.35  # share of the side grip left under full braking (the anti-lock's doing)
LOAD_SENSITIVITY = 0.04  # loss of friction of an axle all of whose load is on one wheel; tyres lose 3..10 %
PARKED = 0.02  # [m/s] what is held by its brakes and slower than this sideways stands
# The body on its springs: about 1.5 Hz, half of critically damped, and what it leans for each m/s2.
BODY_RATE, BODY_DAMPING = 9.0, 0.5  # [rad/s], share of critical
PITCH_PER_ACCELERATION, ROLL_PER_ACCELERATION = 0.0032, 0.0055  # [rad s2/m]: 1.6 and 2.8 degrees at 9 m/s2
FELT_S = 0.05  # [s] loads follow accelerations with this lag


@njit(cache=True, nogil=True)
def steering_factor(param, i, speed):
    """The steering curve at a speed [m/s], linear between its samples."""
    place = min(max(0.0, speed / c.STEER_TABLE_STEP), c.STEER_TABLE_SIZE - 1.001)
    k = int(place)
    a, b = param[i, c.STEER_TABLE + k], param[i, c.STEER_TABLE + k + 1]
    return a + (place - k) * (b - a)


@njit(cache=True, nogil=True)
def steer(state, param, control, i, u, v_front, dt):
    """Turn the wheel; the angle of the front wheels [rad]. v_front: side velocity of the front axle [m/s]."""
    wanted = min(1.0, max(-1.0, control[i, c.STEERING]))
    turn = STEER_RATE * dt
    state[i, c.STEER] += min(turn, max(-turn, wanted - state[i, c.STEER]))
    angle = state[i, c.STEER] * param[i, c.LOCK] * steering_factor(param, i, abs(u))
    angle = min(param[i, c.LOCK_STOP], max(-param[i, c.LOCK_STOP], angle))
    # Past its peak a steered tyre does little but brake, so nobody turns the wheel further than that from its course.
    course = np.arctan2(v_front, abs(u)) * (1.0 if u >= 0.0 else -1.0)
    cap = PEAK_SLIP * max(1.0, PEAK_SLIP_FROM / max(0.1, abs(u)))
    angle = min(max(angle, min(course - cap, 0.0)), max(course + cap, 0.0))
    state[i, c.WHEEL_ANGLE] = angle
    return angle


@njit(cache=True, nogil=True)
def share_loads(state, param, i):
    """Loads of the axles [N], and what is left of an axle's friction by uneven loads of its wheels."""
    base = param[i, c.FRONT] + param[i, c.REAR]
    slope = np.cos(state[i, c.GROUND_PITCH]) * np.cos(state[i, c.GROUND_ROLL])
    weight = param[i, c.MASS] * GRAVITY_M_S2 * slope
    height = param[i, c.COM_HEIGHT]
    to_rear = param[i, c.MASS] * state[i, c.AX] * height / base
    at_rest = weight * param[i, c.REAR] / base
    front = min(weight, max(0.0, at_rest - to_rear))
    state[i, c.LOAD_F], state[i, c.LOAD_R], state[i, c.SIDE_LOAD] = front, weight - front, 0.0
    if param[i, c.TRACK] == 0.0:
        return 1.0
    moved = param[i, c.MASS] * state[i, c.AY] * height / param[i, c.TRACK]
    moved = min(0.5 * weight, max(-0.5 * weight, moved))
    state[i, c.SIDE_LOAD] = moved
    part = 2.0 * moved / weight
    return 1.0 - LOAD_SENSITIVITY * part * part


@njit(cache=True, nogil=True)
def stiffness(rest, load, rest_load, most, slip_speed, speed, limit):
    """Force for each m/s of side slip [N s/m]: the secant of the saturating law at this slip."""
    grown = rest * min(max(0.05, load / rest_load), most)
    x = grown * slip_speed / speed / max(limit, 1e-9)
    return grown / (1.0 + x * x * x * x) ** 0.25 / speed


@njit(cache=True, nogil=True)
def lean_body(state, param, i, resting, dt):
    """The body pitches and rolls on its springs; a two-wheeler leans into its turn."""
    pitch = PITCH_PER_ACCELERATION * state[i, c.AX]
    roll = -ROLL_PER_ACCELERATION * state[i, c.AY]
    if param[i, c.TRACK] == 0.0:
        pitch, roll = 0.0, np.arctan(state[i, c.AY] / GRAVITY_M_S2)
    for angle, rate, aim in ((c.PITCH, c.PITCH_RATE, pitch), (c.ROLL, c.ROLL_RATE, roll)):
        pull = BODY_RATE * BODY_RATE * (aim - state[i, angle]) - 2.0 * BODY_DAMPING * BODY_RATE * state[i, rate]
        state[i, rate] += pull * dt
        state[i, angle] += state[i, rate] * dt
    if resting:
        moves = abs(state[i, c.PITCH_RATE]) + abs(state[i, c.ROLL_RATE]) + abs(state[i, c.AX]) + abs(state[i, c.AY])
        if moves + abs(state[i, c.PITCH]) + abs(state[i, c.ROLL]) < 2e-3:
            for column in (c.PITCH, c.ROLL, c.PITCH_RATE, c.ROLL_RATE, c.AX, c.AY):
                state[i, column] = 0.0


@njit(cache=True, nogil=True)
def drive_vehicle(state, param, control, i, dt):
    """Advance the velocities of vehicle i, on the ground, by dt under its control; the caller moves it."""
    heading_x, heading_y = np.cos(state[i, c.YAW]), np.sin(state[i, c.YAW])
    along_slope, across_slope = np.cos(state[i, c.GROUND_PITCH]), np.cos(state[i, c.GROUND_ROLL])
    r = state[i, c.YAW_RATE]
    # Of the centre of mass, in the plane of the ground: forward, and to the right.
    u = (state[i, c.VX] * heading_x + state[i, c.VY] * heading_y) / along_slope
    v = (state[i, c.VY] * heading_x - state[i, c.VX] * heading_y) / across_slope + param[i, c.COM_X] * r
    u_before, v_before = u, v
    mass, inv_mass, inv_inertia = param[i, c.MASS], param[i, c.INV_MASS], param[i, c.INV_INERTIA]
    front, rear = param[i, c.FRONT], param[i, c.REAR]
    angle = steer(state, param, control, i, u, v + front * r, dt)
    ca, sa = np.cos(angle), np.sin(angle)

    friction = param[i, c.FRICTION] * share_loads(state, param, i)
    limit_f = friction * param[i, c.FRICTION_F] * state[i, c.LOAD_F]
    limit_r = friction * param[i, c.FRICTION_R] * state[i, c.LOAD_R]

    # Longitudinal: what pushes first, then what only ever slows down, so that it ends at rest and not beyond.
    throttle, direction = min(1.0, max(0.0, control[i, c.THROTTLE])), control[i, c.DIRECTION]
    push = drive_force(state, param, control, i, u, throttle, dt)
    push_f, push_r = push * param[i, c.DRIVE_F], push * (1.0 - param[i, c.DRIVE_F])
    push_f, push_r = min(limit_f, max(-limit_f, push_f)), min(limit_r, max(-limit_r, push_r))
    pedal = min(1.0, max(0.0, control[i, c.BRAKE]))
    brake_f = min(limit_f, pedal * param[i, c.BRAKE_F])
    brake_r = min(limit_r, pedal * param[i, c.BRAKE_R])
    n_r = v - rear * r
    sliding = np.hypot(u, n_r)
    hand = control[i, c.HAND_BRAKE] * param[i, c.HAND_BRAKE_MAX]
    locked = hand > 0.0 and hand + brake_r >= limit_r and sliding > SLOW
    brake_r = min(limit_r, brake_r + hand)
    if locked:
        brake_r, push_r = limit_r * abs(u) / sliding, 0.0
    closed = max(0.0, 1.0 - throttle / ENGINE_BRAKE_THROTTLE)
    hold = param[i, c.ROLLING] + closed * abs(direction) * param[i, c.ENGINE_BRAKE] * min(1.0, abs(u) / 3.0)
    hold = min(limit_f + limit_r, brake_f + brake_r + hold) + param[i, c.DRAG] * u * u + param[i, c.BEARING] * abs(u)
    u += (push_f + push_r) * inv_mass * dt - GRAVITY_M_S2 * np.sin(state[i, c.GROUND_PITCH]) * dt
    v += GRAVITY_M_S2 * np.sin(state[i, c.GROUND_ROLL]) * along_slope * dt
    slowed = max(0.0, abs(u) - hold * inv_mass * dt)
    u = slowed if u > 0.0 else -slowed

    # What that leaves for the side forces.
    used_f = min(1.0, (abs(push_f) + brake_f) / max(limit_f, 1e-9))
    used_r = min(1.0, (abs(push_r) + brake_r) / max(limit_r, 1e-9))
    side_f = limit_f * max(LATERAL_GRIP_FLOOR, np.sqrt(1.0 - used_f * used_f))
    side_r = limit_r * max(LATERAL_GRIP_FLOOR, np.sqrt(1.0 - used_r * used_r))
    if locked:
        side_r = limit_r * abs(n_r) / sliding

    # Lateral: impulses p_f, p_r of the axles solve (W + 1/(K dt)) p = -n, where n is an axle's side velocity, W the
    # inverse mass seen by the axles, and K = cornering stiffness / axle speed the damping of the tyre.
    n_f = (v + front * r) * ca - u * sa
    n_r = v - rear * r
    speed_f, speed_r = max(SLOW, np.hypot(u, v + front * r)), max(SLOW, np.hypot(u, n_r))
    rest = mass * GRAVITY_M_S2 / (front + rear)
    k_f = stiffness(
        param[i, c.C_FRONT], state[i, c.LOAD_F], rest * rear, param[i, c.C_MAX_FRONT], abs(n_f), speed_f, side_f
    )
    k_r = stiffness(
        param[i, c.C_REAR], state[i, c.LOAD_R], rest * front, param[i, c.C_MAX_REAR], abs(n_r), speed_r, side_r
    )
    w_ff = inv_mass + front * front * ca * ca * inv_inertia + 1.0 / (k_f * dt)
    w_rr = inv_mass + rear * rear * inv_inertia + 1.0 / (k_r * dt)
    w_fr = ca * (inv_mass - front * rear * inv_inertia)
    determinant = w_ff * w_rr - w_fr * w_fr
    p_f = (-n_f * w_rr + n_r * w_fr) / determinant
    p_r = (-n_r * w_ff + n_f * w_fr) / determinant
    most_f, most_r = side_f * dt, side_r * dt
    if abs(p_f) > most_f:  # a sliding axle pushes with its limit; the other one answers to that
        p_f = most_f if p_f > 0.0 else -most_f
        p_r = (-n_r - w_fr * p_f) / w_rr
        p_r = min(most_r, max(-most_r, p_r))
    elif abs(p_r) > most_r:
        p_r = most_r if p_r > 0.0 else -most_r
        p_f = (-n_f - w_fr * p_r) / w_ff
        p_f = min(most_f, max(-most_f, p_f))
    u -= p_f * sa * inv_mass
    v += (p_f * ca + p_r) * inv_mass
    r += (front * ca * p_f - rear * p_r) * inv_inertia
    resting = False
    if push == 0.0 and limit_f + limit_r > 0.0:
        resting = abs(u) + abs(v) + abs(r) < 1e-3 or (u == 0.0 and abs(v) + abs(r) < PARKED)
        if resting:
            u, v, r = 0.0, 0.0, 0.0  # at rest is at rest

    sign = 1.0 if u_before > 0.0 else (-1.0 if u_before < 0.0 else 0.0)
    state[i, c.SLIP_F], state[i, c.SLIP_R] = np.arctan(n_f / speed_f), np.arctan(n_r / speed_r)
    state[i, c.FX_F], state[i, c.FX_R] = push_f - sign * brake_f, push_r - sign * brake_r
    state[i, c.FY_F], state[i, c.FY_R] = p_f / dt, p_r / dt
    steep = param[i, c.KAPPA_STIFFNESS]
    state[i, c.KAPPA_F] = state[i, c.FX_F] / (steep * max(1.0, state[i, c.LOAD_F]))
    state[i, c.KAPPA_R] = -sign if locked else state[i, c.FX_R] / (steep * max(1.0, state[i, c.LOAD_R]))
    felt_x = (u - u_before) / dt + GRAVITY_M_S2 * np.sin(state[i, c.GROUND_PITCH])
    felt_y = (v - v_before) / dt - GRAVITY_M_S2 * np.sin(state[i, c.GROUND_ROLL]) * along_slope
    if resting:
        felt_x, felt_y = 0.0, 0.0  # the springs do not show what a parked car's brakes hold
    part = min(1.0, dt / FELT_S)
    state[i, c.AX] += part * (felt_x - state[i, c.AX])
    state[i, c.AY] += part * (felt_y - state[i, c.AY])
    lean_body(state, param, i, resting, dt)
    u, v = u * along_slope, (v - param[i, c.COM_X] * r) * across_slope
    state[i, c.VX] = u * heading_x - v * heading_y
    state[i, c.VY] = u * heading_y + v * heading_x
    state[i, c.YAW_RATE] = r
