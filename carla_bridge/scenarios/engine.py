"""Plays the scenarios of a route: lets their road users appear before the ego comes, moves them, judges, clears up.

The client API alone; every step follows from the seed and the state of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import carla
import numpy as np

from carla_bridge.convert import Pose3D, location_to_carla, pose_to_carla
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import Route, RouteTracker
from carla_bridge.scenarios.behaviours import Go, Moment
from carla_bridge.scenarios.catalogue import write_script
from carla_bridge.scenarios.puppet import Puppet
from carla_bridge.scenarios.script import CARS, Flow, Prop, Role, Script
from carla_bridge.scenarios.spec import ScenarioSpec
from carla_bridge.truth import Body, LightColour, ScenarioFault, StopLine, Truth

VEHICLE_UP_M, WALKER_UP_M, PROP_UP_M = 0.3, 1.0, 0.05
HELD_UP_S = 1.0  # for so long in all an emergency vehicle may be held up by the ego
CLEAR_M = 30.0  # behind the end of a scenario: what stood there goes
TIMEOUT, YIELD = "scenario_timeouts", "yield_emergency_vehicle_infractions"


class ScenarioEngine:
    """For one drive. Call `step` once a tick, before the tick; then send what it answers."""

    def __init__(
        self,
        world: carla.World,
        graph: LaneGraph,
        route: Route,
        stop_lines: tuple[StopLine, ...],
        specs: Sequence[ScenarioSpec],
        seed: int,
        tick_s: float,
    ) -> None:
        """ValueError for a scenario that this route or map cannot have."""
        self._tracker, self._tick_s = RouteTracker(route), tick_s
        scripts = [
            write_script(spec, route, graph, stop_lines, seed=seed + 7919 * number) for number, spec in enumerate(specs)
        ]
        self.plays = tuple(
            Play(world, graph.map, script, np.random.default_rng([seed, number, 17]))
            for number, script in enumerate(scripts)
        )

    def step(self, truth: Truth) -> list[Any]:
        """Commands for the next tick."""
        self._tracker.update(truth.ego.pose.x, truth.ego.pose.y)
        now = Moment(truth, self._tick_s, self._tracker.progress_m + truth.ego.half_length_m)
        return [command for play in self.plays for command in play.step(now)]

    def take_faults(self) -> tuple[ScenarioFault, ...]:
        """What has gone wrong since the last call."""
        found = tuple(fault for play in self.plays for fault in play.faults)
        for play in self.plays:
            play.faults.clear()
        return found

    @property
    def actors(self) -> list[int]:
        return [actor for play in self.plays for actor in play.actors]


class Play:
    """One scenario in the world."""

    def __init__(self, world: carla.World, world_map: carla.Map, script: Script, rng: np.random.Generator) -> None:
        self._world, self._map, self.script, self._rng = world, world_map, script, rng
        self._library = world.get_blueprint_library()
        self.state = "waiting"  # then "playing", "over"
        self.faults: list[ScenarioFault] = []
        self._puppets: list[Puppet] = []
        self._props: list[carla.Actor] = []
        self._awaited: list[Role | Prop] = []
        self.missing: list[str] = []  # blueprints that found no room
        self._flows = [_Source(flow) for flow in script.flows]
        self._held_s = 0.0
        self._began_s: float | None = None
        self._emergency: Puppet | None = None
        self._lights: dict[int, carla.TrafficLight] = {}

    @property
    def actors(self) -> list[int]:
        return [thing.id for thing in (*(puppet.actor for puppet in self._puppets), *self._props)]

    def step(self, now: Moment) -> list[Any]:
        if self.state == "waiting" and now.front_m >= self.script.appear_m:
            self.state, self._awaited = "playing", [*self.script.props, *self.script.roles]
        if self.state != "playing":
            return []
        self._spawn_awaited(now)
        if self._began_s is None and now.front_m >= self.script.trigger_m:
            self._began_s = now.time_s
        if self._began_s is not None and now.time_s - self._began_s > self.script.timeout_s:
            self._fault(TIMEOUT, 0, f"not passed within {self.script.timeout_s:.0f} s")
            return self._end()
        if now.front_m > self.script.over_m + CLEAR_M:
            return self._end()
        if now.front_m <= self.script.over_m:
            self._hold_lights(now)
            self._feed(now)
        return self._move(now)

    # -- into the world, and out of it --------------------------------------------------------------------------

    def _spawn_awaited(self, now: Moment) -> None:
        """What finds no room yet is tried again until the ego is there."""
        left: list[Role | Prop] = []
        for thing in self._awaited:
            done = self._put_down(thing) if isinstance(thing, Prop) else self._enter(thing, now)
            if not done and now.front_m < self.script.trigger_m:
                left.append(thing)
            elif not done:
                self.missing.append(thing.blueprint)
        self._awaited = left

    def _put_down(self, prop: Prop) -> bool:
        blueprint = self._library.find(prop.blueprint)
        if prop.friction is not None:
            blueprint.set_attribute("friction", f"{prop.friction:.2f}")
            for axis in "xyz":
                blueprint.set_attribute(f"extent_{axis}", f"{100.0 * prop.half_m:.0f}")  # [cm]
        up = VEHICLE_UP_M if prop.blueprint.startswith("vehicle.") else PROP_UP_M
        actor = self._world.try_spawn_actor(blueprint, self._place(prop.pose.x, prop.pose.y, prop.pose.yaw, up))
        if actor is None:
            return False
        self._props.append(actor)
        if isinstance(actor, carla.Vehicle):
            actor.apply_control(carla.VehicleControl(brake=1.0, hand_brake=True))
            _switch_on(actor, prop.lamps)
        return True

    def _enter(self, role: Role, now: Moment) -> bool:
        blueprint = self._library.find(role.blueprint)
        if blueprint.has_attribute("is_invincible"):
            blueprint.set_attribute("is_invincible", "false")
        pose = role.line.pose_at(role.start_m)
        up = WALKER_UP_M if role.blueprint.startswith("walker.") else VEHICLE_UP_M
        actor = self._world.try_spawn_actor(blueprint, self._place(pose.x, pose.y, pose.yaw, up))
        if actor is None:
            return False
        if isinstance(actor, carla.Vehicle):
            _switch_on(actor, role.lamps)
        puppet = Puppet(role, actor, now.time_s)
        self._puppets.append(puppet)
        if self.script.emergency is not None and role is self.script.roles[self.script.emergency]:
            self._emergency = puppet
        return True

    def _place(self, x: float, y: float, yaw: float, up_m: float) -> carla.Transform:
        road = self._map.get_waypoint(location_to_carla(x, y))
        return pose_to_carla(Pose3D(x, y, road.transform.location.z + up_m, yaw=yaw))

    def _feed(self, now: Moment) -> None:
        for source in self._flows:
            role = source.next(now, self._rng)
            if role is not None and self._enter(role, now):
                source.sent(self._puppets[-1])

    def _end(self) -> list[Any]:
        self.state = "over"
        doomed = self.actors
        self._puppets, self._props, self._awaited = [], [], []
        return [carla.command.DestroyActor(actor) for actor in doomed]

    # -- every tick -----------------------------------------------------------------------------------------------

    def _move(self, now: Moment) -> list[Any]:
        bodies = {body.actor_id: body for body in now.truth.others}
        around: list[Body] = [now.truth.ego, *(b for b in now.truth.others if not b.type_id.startswith("static."))]
        commands: list[Any] = []
        for puppet in list(self._puppets):
            body = bodies.get(puppet.actor.id)
            if body is None:  # not in the world before the next tick, or gone
                continue
            commands += puppet.command(now, body, [one for one in around if one is not body])
            if puppet.arrived:
                self._puppets.remove(puppet)
                commands.append(carla.command.DestroyActor(puppet.actor.id))
        self._watch_emergency(now)
        return commands

    def _watch_emergency(self, now: Moment) -> None:
        puppet = self._emergency
        if puppet is None or not puppet.held_up:
            return
        pose, ego = puppet.role.line.pose_at(puppet.arc_m), now.truth.ego
        arc, side = puppet.role.line.project(ego.pose.x, ego.pose.y)
        if 0.0 < arc - puppet.arc_m < 20.0 and abs(side) < ego.half_length_m + 1.5:
            self._held_s += now.tick_s
        if self._held_s > HELD_UP_S:
            self._fault(YIELD, puppet.actor.id, f"held up at x={pose.x:.1f}, y={pose.y:.1f} m")
            self._emergency = None

    def _hold_lights(self, now: Moment) -> None:
        hold = self.script.lights
        if hold is None or not hold.from_m <= now.front_m <= hold.to_m:
            return
        if not self._lights:
            wanted = (*hold.green, *hold.red)
            self._lights = {actor.id: actor for actor in self._world.get_actors(list(wanted))}
        for lights, colour, state in (
            (hold.green, LightColour.GREEN, carla.TrafficLightState.Green),
            (hold.red, LightColour.RED, carla.TrafficLightState.Red),
        ):
            for light in lights:
                if now.truth.lights.get(light) != colour:
                    self._lights[light].set_state(state)

    def _fault(self, kind: str, actor: int, detail: str) -> None:
        spec = self.script.spec
        self.faults.append(ScenarioFault(kind, actor, f"{spec.kind} {spec.name}: {detail}"))


class _Source:
    """Where the cars of a flow come from."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._last: Puppet | None = None
        self._gap_m = 0.0
        self._count = 0

    def next(self, now: Moment, rng: np.random.Generator) -> Role | None:
        flow = self.flow
        if self._count >= flow.count or not flow.from_m <= now.front_m <= flow.to_m:
            return None
        if self._last is not None and not self._last.arrived and self._last.arc_m < flow.start_m + self._gap_m:
            return None
        kind = CARS[int(rng.integers(len(CARS)))]
        self._gap_m = float(rng.uniform(*flow.gaps_m))
        return Role(kind, flow.line, (Go(flow.speed_mps),), flow.start_m, flow.stops)

    def sent(self, puppet: Puppet) -> None:
        self._last, self._count = puppet, self._count + 1


def _switch_on(vehicle: carla.Vehicle, lamps: Sequence[str]) -> None:
    flags = carla.VehicleLightState.NONE
    for name in lamps:
        flags = carla.VehicleLightState(flags | getattr(carla.VehicleLightState, name))
    if lamps:
        vehicle.set_light_state(flags)
