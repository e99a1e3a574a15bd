"""Engine, clutch and gearbox of vehicles, stepped by numba.

The pedal of a car with an automatic box asks for a share of the most that any gear could give at this speed; the gear
that is in gives what it can of it. The box shifts up past up_ratio of max_rpm when the next gear gives what is asked
for, and at the latest at LIMIT; it shifts down below down_ratio, and when the gear cannot give what is asked for. A
driver who shifts by hand gets the torque curve times the pedal. While a gear is being changed nothing is driven.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.vehicle_physics import DRIVELINE_EFFICIENCY

LIMIT = 0.95  # of max_rpm
CALM = 0.9  # of the up-shift's rpm: the box shifts down only to below it, so that it does not shift up at once
LATENCY_S = 0.5  # between two shifts that can wait
RAD_S = np.pi / 30.0  # of one turn per minute


@njit(cache=True, nogil=True)
def engine_torque(param, i, rpm):
    """[N m] at full throttle; nothing past max_rpm, and below idling speed the clutch slips."""
    most = param[i, c.MAX_RPM]
    if rpm > most:
        return 0.0
    place = min(max(rpm, param[i, c.IDLE_RPM]) / most * (c.TORQUE_TABLE_SIZE - 1), c.TORQUE_TABLE_SIZE - 1.001)
    k = int(place)
    a, b = param[i, c.TORQUE_TABLE + k], param[i, c.TORQUE_TABLE + k + 1]
    clutch = param[i, c.CLUTCH] * most * RAD_S  # a clutch that slips passes on no more than this
    return min(a + (place - k) * (b - a), clutch)


@njit(cache=True, nogil=True)
def gear_force(param, i, gear, turns):
    """[N] at the wheels in a forward gear at full throttle; turns: of the wheels [rpm]."""
    ratio = param[i, c.GEAR_TABLE + 3 * (gear - 1)]
    return engine_torque(param, i, turns * abs(ratio)) * ratio * DRIVELINE_EFFICIENCY / param[i, c.RADIUS]


@njit(cache=True, nogil=True)
def next_gear(state, param, control, i, turns, asked):
    """The gear that shall be in. asked: force at the wheels [N]."""
    gear, gears, direction = int(state[i, c.GEAR]), int(param[i, c.GEARS]), control[i, c.DIRECTION]
    if direction <= 0.0:
        return -1 if direction < 0.0 else 0
    if control[i, c.MANUAL] != 0.0:
        return min(gears, max(1, int(control[i, c.WANTED_GEAR])))
    if gear < 1 or param[i, c.AUTOBOX] == 0.0 or state[i, c.SHIFT_LEFT] > 0.0:
        return max(1, gear)
    at = c.GEAR_TABLE + 3 * (gear - 1)
    share = turns * param[i, at] / param[i, c.MAX_RPM]
    calm = state[i, c.SHIFTED_AGO] >= LATENCY_S
    high = calm and share > param[i, at + 2]
    if gear < gears and (share > LIMIT or (high and gear_force(param, i, gear + 1, turns) >= asked)):
        return gear + 1
    if gear > 1 and calm:
        below = turns * param[i, at - 3] / param[i, c.MAX_RPM]
        weak = asked > 1.02 * gear_force(param, i, gear, turns) and below < CALM * LIMIT
        weak = weak and gear_force(param, i, gear - 1, turns) > gear_force(param, i, gear, turns)
        if weak or (share < param[i, at + 1] and below < CALM * param[i, at - 1]):
            return gear - 1
    return gear


@njit(cache=True, nogil=True)
def drive_force(state, param, control, i, speed, throttle, dt):
    """The force of the engine at the wheels [N], forwards; shifts, and turns the engine. speed: forward [m/s]."""
    turns = abs(speed) / param[i, c.RADIUS] / RAD_S
    best = gear_force(param, i, 1, turns)
    for gear in range(2, int(param[i, c.GEARS]) + 1):
        best = max(best, gear_force(param, i, gear, turns))
    asked = throttle * best
    before, gear = int(state[i, c.GEAR]), next_gear(state, param, control, i, turns, asked)
    state[i, c.SHIFTED_AGO] += dt
    state[i, c.SHIFT_LEFT] = max(0.0, state[i, c.SHIFT_LEFT] - dt)
    if gear != before:
        state[i, c.GEAR], state[i, c.SHIFTED_AGO] = gear, 0.0
        if gear > 0 and before > 0:
            state[i, c.SHIFT_LEFT] = param[i, c.SHIFT_TIME]
    idle, most, rpm = param[i, c.IDLE_RPM], param[i, c.MAX_RPM], state[i, c.RPM]
    if gear == 0 or state[i, c.SHIFT_LEFT] > 0.0:  # the engine turns on its own
        damping = param[i, c.DAMP_CLOSED] + throttle * (param[i, c.DAMP_FULL] - param[i, c.DAMP_CLOSED])
        gain = throttle * engine_torque(param, i, min(rpm, most)) / RAD_S
        rpm = (rpm + gain * dt / param[i, c.MOI]) / (1.0 + damping * dt / param[i, c.MOI])
        state[i, c.RPM] = min(most, max(idle, rpm))
        return 0.0
    first = max(1, gear)
    coupled = min(most, max(idle, turns * abs(param[i, c.GEAR_TABLE + 3 * (first - 1)])))
    state[i, c.RPM] = rpm + (coupled - rpm) * min(1.0, dt * (1.0 + param[i, c.CLUTCH] / param[i, c.MOI]))
    force = throttle * gear_force(param, i, first, turns)
    if gear > 0 and control[i, c.MANUAL] == 0.0 and param[i, c.AUTOBOX] != 0.0:
        force = min(asked, gear_force(param, i, first, turns))
    if abs(speed) >= param[i, c.GOVERNOR]:
        force = 0.0
    return force if gear > 0 else -force
