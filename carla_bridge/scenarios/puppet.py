"""A road user in the world that plays a role. It moves by the client API alone: walkers by their control, vehicles by
steering along their line (pure pursuit: Coulter, CMU-RI-TR-92-01, 1992) with their speed set each tick, as CARLA's
ScenarioRunner does: speeds are exact on any server, whatever its engines and gears."""

from __future__ import annotations

import math
from typing import Any

import carla

from carla_bridge.convert import location_to_carla, wrap_angle
from carla_bridge.scenarios.behaviours import Moment
from carla_bridge.scenarios.script import Role
from carla_bridge.truth import Body, LightColour

REAR_SHARE = 0.3  # of the length, from the middle to the rear axle
MAX_STEER_RAD = math.radians(70.0)  # CARLA's usual lock
STEER_SHARE = ((0.0, 1.0), (6.0, 0.9), (17.0, 0.8))  # its usual steering curve: speed [m/s], share of the lock
LOOK_M, LOOK_S = 3.0, 0.5
KEEP_M, KEEP_S = 3.0, 0.8  # to those ahead: a gap, and a time gap
SEEN_M, SAME_WAY_RAD = 45.0, 0.6
STOP_BEFORE_M = 2.0
END_M = 2.0  # so near to the end of its line it has arrived
COMFORT_MPS2, EMERGENCY_MPS2 = 3.0, 6.0
PASS_MPS2 = 4.0  # who had to brake harder for a light than this goes on


class Puppet:
    """Made when its actor has been spawned; knows its own body from the tick after."""

    def __init__(self, role: Role, actor: carla.Actor, now_s: float) -> None:
        self.role, self.actor = role, actor
        self.is_walker = role.blueprint.startswith("walker.")
        self.arc_m = self.began_m = role.start_m
        self.speed_mps = 0.0
        self.began_s = now_s
        self.arrived = False
        self.held_up = False  # by somebody ahead who is in its way
        self._step = 0
        self._door_shut = role.opens_door

    def command(self, now: Moment, body: Body, others: list[Body]) -> list[Any]:
        """What to tell the server for the next tick; body: itself; others: who may be in its way."""
        self.arc_m, side = self.role.line.project(body.pose.x, body.pose.y)
        self.arrived = self.arc_m >= self.role.line.length_m - END_M
        if self._step < len(self.role.behaviours) and self._behaviour.until(self, now):
            self._step, self.began_s, self.began_m = self._step + 1, now.time_s, self.arc_m
        wanted = 0.0 if self._step >= len(self.role.behaviours) else self._behaviour.speed(self, now)
        limit = 5.0 if self._step >= len(self.role.behaviours) else self._behaviour.acceleration_mps2
        allowed = self._allowed(now, body, others)
        self.held_up = allowed < 0.5 * wanted
        brake = limit if wanted <= allowed else max(limit, EMERGENCY_MPS2)
        change = min(wanted, allowed) - self.speed_mps
        self.speed_mps += min(max(change, -brake * now.tick_s), limit * now.tick_s)
        if self.is_walker:
            return [self._walk(body)]
        return self._drive(body, side)

    @property
    def _behaviour(self) -> Any:
        return self.role.behaviours[self._step]

    def _allowed(self, now: Moment, body: Body, others: list[Body]) -> float:
        """The speed that bends, red lights and those ahead leave."""
        if self.is_walker:
            return math.inf
        line, front = self.role.line, self.arc_m + body.half_length_m
        speed = line.cap_mps(self.arc_m, 2.0 + 0.6 * self.speed_mps)
        for at_m, light in self.role.stops:
            room = at_m - STOP_BEFORE_M - front
            can_stop = room > self.speed_mps**2 / (2.0 * PASS_MPS2) or (room > -1.0 and self.speed_mps < 1.0)
            if can_stop and now.truth.lights.get(light) in (LightColour.RED, LightColour.YELLOW):
                speed = min(speed, math.sqrt(2.0 * COMFORT_MPS2 * max(0.0, room)))
        for other in others:
            if math.hypot(other.pose.x - body.pose.x, other.pose.y - body.pose.y) > SEEN_M:
                continue
            arc, side = line.project(other.pose.x, other.pose.y)
            turn = wrap_angle(other.pose.yaw - line.pose_at(arc).yaw)
            if not self.role.heeds and abs(turn) > SAME_WAY_RAD:
                continue
            reach = abs(math.cos(turn)) * other.half_length_m + abs(math.sin(turn)) * other.half_width_m
            width = abs(math.sin(turn)) * other.half_length_m + abs(math.cos(turn)) * other.half_width_m
            if arc <= self.arc_m + 0.5 or abs(side) > width + body.half_width_m + 0.2:
                continue
            gap = arc - reach - front - KEEP_M
            pace = max(0.0, other.speed_mps * math.cos(turn))
            speed = min(speed, max(0.0, pace + gap / KEEP_S), math.sqrt(max(0.0, pace**2 + 2.0 * COMFORT_MPS2 * gap)))
        return speed

    def _walk(self, body: Body) -> Any:
        goal = self.role.line.pose_at(self.arc_m + 1.0)
        dx, dy = goal.x - body.pose.x, goal.y - body.pose.y
        length = max(math.hypot(dx, dy), 1e-6)
        direction = location_to_carla(dx / length, dy / length)
        control = carla.WalkerControl(carla.Vector3D(direction.x, direction.y, 0.0), self.speed_mps, False)
        return carla.command.ApplyWalkerControl(self.actor.id, control)

    def _drive(self, body: Body, side: float) -> list[Any]:
        if self.speed_mps <= 0.0:
            control = carla.VehicleControl(brake=1.0, hand_brake=True)
            return [carla.command.ApplyVehicleControl(self.actor.id, control)]
        if self._door_shut:
            self._door_shut = False
            self.actor.open_door(carla.VehicleDoor.FL)
        rear = -2.0 * body.half_length_m * REAR_SHARE
        goal = self.role.line.pose_at(self.arc_m + LOOK_M + LOOK_S * self.speed_mps)
        cos, sin = math.cos(body.pose.yaw), math.sin(body.pose.yaw)
        dx, dy = goal.x - body.pose.x - rear * cos, goal.y - body.pose.y - rear * sin
        ahead, left = cos * dx + sin * dy, cos * dy - sin * dx
        wheelbase = -2.0 * rear
        wheel = math.atan2(2.0 * wheelbase * left, max(ahead**2 + left**2, 0.1))
        share = next(share for speed, share in reversed(STEER_SHARE) if self.speed_mps >= speed)
        steer = min(max(-wheel / (MAX_STEER_RAD * share), -1.0), 1.0)
        forward = self.actor.get_transform().get_forward_vector()
        return [
            carla.command.ApplyVehicleControl(self.actor.id, carla.VehicleControl(throttle=0.2, steer=steer)),
            carla.command.ApplyTargetVelocity(self.actor.id, forward * self.speed_mps),
        ]
