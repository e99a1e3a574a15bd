"""How everything moves in a step: vehicles drive, walkers walk, all of them stand on the ground or fall, and collide.

Angles grow from x towards y, which in CARLA's left-handed axes is clockwise seen from above: steer > 0 is to the right.

On a ground that is not flat a vehicle stands on four wheels: its height, pitch and roll are those of the plane under
them. What comes suddenly (a kerb) goes into the springs at first: the body follows within a few tenths of a second. It
falls when no wheel has anything below it that the wheel could reach by dropping.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.chassis import drive_vehicle
from carla_bridge.embedded.collision import resolve_contacts
from carla_bridge.embedded.ground import NOTHING, ground_at
from carla_bridge.embedded.vehicle_physics import GRAVITY_M_S2

WALKER_ACCELERATION = 10.0  # [m/s2]
MAX_SUBSTEP_S = 0.01
DROP = 0.03  # [m] that a wheel drops in one substep to stay on the ground
STEP_DOWN = 0.35  # [m] that a walker steps down without falling
HEAVE_RATE = 12.0  # [1/s] at which the body comes after its wheels
SUDDEN, SUDDEN_ANGLE = 0.01, 0.006  # [m], [rad] in one substep: more than any smooth road changes
MOST_HEAVE, MOST_KICK = 0.15, 0.1  # [m], [rad] that the springs take


@njit(cache=True, nogil=True)
def stand_vehicle(state, param, terrain, i, dt):
    """Put vehicle i on the ground under its wheels, or let it fall; after it has moved."""
    cy, sy = np.cos(state[i, c.YAW]), np.sin(state[i, c.YAW])
    tan_pitch, tan_roll = np.tan(state[i, c.GROUND_PITCH]), np.tan(state[i, c.GROUND_ROLL])
    forward = (state[i, c.VX] * cy + state[i, c.VY] * sy) * dt
    right = (state[i, c.VY] * cy - state[i, c.VX] * sy) * dt
    was_standing = state[i, c.ON_GROUND] != 0.0
    # Where the bottom would be if the ground went on as it was.
    base = state[i, c.Z] - state[i, c.HEAVE]
    if was_standing:
        base += forward * tan_pitch - right * tan_roll
    half_track = max(0.1, 0.5 * param[i, c.TRACK])
    long_f, long_r = param[i, c.COM_X] + param[i, c.FRONT], param[i, c.COM_X] - param[i, c.REAR]
    touching, sum_f, sum_r, sum_left, sum_right = 0, 0.0, 0.0, 0.0, 0.0
    for k in range(4):
        lx = long_f if k < 2 else long_r
        ly = -half_track if k % 2 == 0 else half_track
        hub = base + lx * tan_pitch - ly * tan_roll
        h, _, _ = ground_at(terrain, state[i, c.X] + cy * lx - sy * ly, state[i, c.Y] + sy * lx + cy * ly, hub)
        reach = hub - (DROP if was_standing else 0.0)
        if h >= reach:
            touching += 1
        else:
            h = hub - DROP if was_standing else hub
        if k < 2:
            sum_f += h
        else:
            sum_r += h
        if k % 2 == 0:
            sum_left += h
        else:
            sum_right += h
    if touching == 0:
        state[i, c.ON_GROUND] = 0.0
        state[i, c.Z] += state[i, c.VZ] * dt
        return
    slope = 0.5 * (sum_f - sum_r) / (long_f - long_r)
    pitch, roll = np.arctan(slope), np.arctan(0.25 * (sum_left - sum_right) / half_track)
    floor = 0.25 * (sum_f + sum_r) - 0.5 * (long_f + long_r) * slope
    turned_p, turned_r, risen = pitch - state[i, c.GROUND_PITCH], roll - state[i, c.GROUND_ROLL], floor - base
    if abs(turned_p) > SUDDEN_ANGLE:
        state[i, c.PITCH] = min(MOST_KICK, max(-MOST_KICK, state[i, c.PITCH] - turned_p))
    if abs(turned_r) > SUDDEN_ANGLE:
        state[i, c.ROLL] = min(MOST_KICK, max(-MOST_KICK, state[i, c.ROLL] - turned_r))
    if abs(risen) > SUDDEN:
        state[i, c.HEAVE] = min(MOST_HEAVE, max(-MOST_HEAVE, state[i, c.HEAVE] - risen))
    state[i, c.HEAVE] *= 1.0 - min(1.0, HEAVE_RATE * dt)
    if abs(state[i, c.HEAVE]) < 1e-5:
        state[i, c.HEAVE] = 0.0
    state[i, c.GROUND_PITCH], state[i, c.GROUND_ROLL], state[i, c.ON_GROUND] = pitch, roll, 1.0
    state[i, c.Z] = floor + state[i, c.HEAVE]
    state[i, c.VZ] = (forward * slope - right * np.tan(roll)) / dt


@njit(cache=True, nogil=True)
def stand_upright(state, param, terrain, i, dt):
    """Put a walker or a prop on the ground, or let it fall; after it has moved."""
    feet = state[i, c.Z] - param[i, c.FLOOR]
    h, slope_x, slope_y = ground_at(terrain, state[i, c.X], state[i, c.Y], feet)
    reach = STEP_DOWN if state[i, c.ON_GROUND] != 0.0 else 0.0
    feet += state[i, c.VZ] * dt
    if h == NOTHING or h < feet - reach:
        state[i, c.ON_GROUND] = 0.0
        state[i, c.Z] += state[i, c.VZ] * dt
        return
    rising = state[i, c.VX] * slope_x + state[i, c.VY] * slope_y
    if state[i, c.ON_GROUND] == 0.0 and state[i, c.VZ] > max(0.0, rising):  # it has been thrown up
        state[i, c.Z] += state[i, c.VZ] * dt
        return
    state[i, c.ON_GROUND], state[i, c.Z], state[i, c.VZ] = 1.0, h + param[i, c.FLOOR], rising


@njit(cache=True, nogil=True)
def stand(state, param, terrain, i, dt):
    """Move body i in height, and put it on the ground where it meets it."""
    if len(terrain.triangles) == 0:
        state[i, c.Z] += state[i, c.VZ] * dt
        if state[i, c.Z] <= param[i, c.FLOOR]:
            state[i, c.Z] = param[i, c.FLOOR]
            state[i, c.VZ] = max(0.0, state[i, c.VZ])
    elif param[i, c.KIND] == c.VEHICLE:
        stand_vehicle(state, param, terrain, i, dt)
    else:
        stand_upright(state, param, terrain, i, dt)


@njit(cache=True, nogil=True)
def advance(state, param, control, terrain, boxes, starts, items, origin, shape, cell_m, pairs, impulses, substeps, dt):
    """`substeps` steps of dt of every body, with contacts; returns the number of recorded contact pairs."""
    n = len(state)
    count = 0
    flat = len(terrain.triangles) == 0
    for _ in range(substeps):
        for i in range(n):
            if param[i, c.INV_MASS] == 0.0:
                continue
            if flat:
                state[i, c.ON_GROUND] = 0.0 if state[i, c.Z] > param[i, c.FLOOR] + 1e-6 else 1.0
            airborne = state[i, c.ON_GROUND] == 0.0
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
            stand(state, param, terrain, i, dt)
            state[i, c.YAW] += state[i, c.YAW_RATE] * dt
        count = resolve_contacts(state, param, boxes, starts, items, origin, shape, cell_m, pairs, impulses, count)
    return count
