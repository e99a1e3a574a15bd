"""The simulated world of one episode: who is in it, and what one step does.

One step: controls -> dynamics and contacts in substeps of at most 10 ms -> traffic lights -> which light and speed
limit hold for each vehicle -> poses of what is attached. Same calls in the same order give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from carla_bridge.embedded import columns as c
from carla_bridge.embedded import reports as r
from carla_bridge.embedded.actors import (
    Actor,
    ActorKind,
    LightState,
    Shape,
    Vec3,
    VehicleControl,
    WalkerControl,
    colour_of_type,
    compose,
    extent_of,
    kind_of,
    load_shapes,
    physics_class,
    prototype_name,
    semantic_tags_of,
    tint_of,
)
from carla_bridge.embedded.bodies import Bodies
from carla_bridge.embedded.carried import CarriedProps
from carla_bridge.embedded.collision import CURB_HEIGHT, build_solid_grid, overlaps_any
from carla_bridge.embedded.dynamics import MAX_SUBSTEP_S, advance
from carla_bridge.embedded.friction import TYPE_ID as FRICTION_TRIGGER
from carla_bridge.embedded.friction import FrictionTriggers
from carla_bridge.embedded.ground import Ground
from carla_bridge.embedded.light_setters import LightSetters
from carla_bridge.embedded.lights import LightBoard
from carla_bridge.embedded.reports import Embodied
from carla_bridge.embedded.roads import DEFAULT_SPEED_LIMIT_KMH, Roads
from carla_bridge.embedded.sight import Sight
from carla_bridge.embedded.signs import sign_actors
from carla_bridge.embedded.sliding import Sliders, prop_parameters
from carla_bridge.embedded.stage import Stage
from carla_bridge.embedded.stop_signs import StopSigns
from carla_bridge.embedded.types import Box, Instances, Label, Pose, Town
from carla_bridge.embedded.vehicle_commands import ActorCommands
from carla_bridge.embedded.vehicle_physics import (
    VehiclePhysics,
    default_physics,
    keep_wheel_places,
    model_of,
    place_wheels,
    vehicle_parameters,
)
from carla_bridge.embedded.walkers import LedWalkers

SPEED_LIMIT_EVERY = 10  # frames between two look-ups of the road under a vehicle
ANY_LABEL = 255
_BODIES = (ActorKind.VEHICLE, ActorKind.WALKER, ActorKind.PROP)
_SPAWN_CLEARANCE = 0.02  # [m] boxes that only graze do not forbid a spawn


class SpawnError(ValueError):
    """An actor could not be put where it was asked for."""


@dataclass(frozen=True)
class Collision:
    """Two things pushed each other in the last step; told once for each of the two that is an actor."""

    actor_id: int
    other_id: int  # 0 = the static world
    normal_impulse: Vec3  # [N s] world, as it acted on actor_id
    other_label: Label = Label.NONE  # of what was hit


class World(LightSetters):
    """One episode in one town. Not thread-safe: one thread calls it (instances() may then be used by others)."""

    def __init__(
        self,
        town: Town,
        seed: int = 0,
        *,
        first_id: int = 1,
        episode_id: int = 1,
        shapes: Mapping[str, Shape] | None = None,
    ) -> None:
        """first_id: smallest id to give out (ids are never used twice, so pass the last episode's `next_id`).

        shapes: bounding boxes of the prototypes in the renderer's order; those of the town's meshes by default.
        """
        self.town, self.seed, self.episode_id = town, seed, episode_id
        self.frame, self.elapsed_s, self.delta_s = 0, 0.0, 0.05
        self.next_id = first_id
        self.actors: dict[int, Actor] = {}
        self.collisions: list[Collision] = []
        self._shapes = dict(load_shapes() if shapes is None else shapes)
        self._prototype_index = {name: k for k, name in enumerate(self._shapes)}
        self._bodies = Bodies()
        self._led = LedWalkers(self._bodies)
        self._sliders = Sliders(self._bodies)
        self._carried, self._friction = CarriedProps(), FrictionTriggers(self._bodies)
        self._physics: dict[int, VehiclePhysics] = {}
        self.commands = ActorCommands(self._bodies, self.actors, self._physics)
        self._attached: dict[int, Actor] = {}
        self._forgetful: list[int] = []  # vehicles whose control lasts one step
        self._grid = build_solid_grid(town.solids)
        self._solid_labels = [box.label for box in town.solids if box.centre.z + box.extent[2] > CURB_HEIGHT]
        self.ground = Ground(town.ground)
        self._roads = Roads(town)
        self._sight = Sight(town.solids, self._bodies, self._roads)
        self._lights = LightBoard(town.lights, first_id, seed)
        self.next_id += len(self._lights.actors)
        self.actors.update((actor.id, actor) for actor in self._lights.actors)
        self.actors.update((actor.id, actor) for actor in sign_actors(town.signs, self.next_id))
        self.next_id += len(town.signs)
        self._stop_signs = StopSigns(town.signs)
        self._stage = Stage(self._prototype_index, self._lights, self._bodies, self._carried, self._sliders)
        above = town.spawn_points[0] if town.spawn_points else Pose()
        self.spectator_id = self._add(
            Actor(self._take_id(), "spectator", ActorKind.SPECTATOR, Pose(above.x, above.y, 20.0, -30.0, above.yaw))
        ).id
        self._warm_up()

    # --- who is in it -----------------------------------------------------------------------------------------------

    def spawn(
        self,
        type_id: str,
        uid: int,
        attributes: Mapping[str, tuple[int, str]],
        pose: Pose,
        parent_id: int = 0,
        attachment: int = 0,
        stream_id: int | None = None,
    ) -> Actor:
        """Put a new actor into the world; `pose` is relative to the parent if there is one."""
        kind = kind_of(type_id)
        if kind in (ActorKind.SPECTATOR, ActorKind.TRAFFIC_LIGHT, ActorKind.SIGN):
            raise SpawnError(f"Spawn failed because {type_id} cannot be spawned")
        if parent_id and parent_id not in self.actors:
            raise SpawnError(f"Spawn failed because there is no parent actor {parent_id}")
        world_pose = compose(self.actors[parent_id].pose, pose) if parent_id else pose
        name = prototype_name(type_id)
        has_body = kind in _BODIES and name is not None and not parent_id
        actor = (Embodied if has_body else Actor)(
            0,
            type_id,
            kind,
            world_pose,
            uid=uid,
            attributes=dict(attributes),
            parent_id=parent_id,
            attachment=attachment,
            relative=pose if parent_id else None,
            stream_id=stream_id,
            semantic_tags=semantic_tags_of(type_id),
        )
        shape = self._shapes[name] if name is not None else None
        if kind in _BODIES and name is not None and shape is not None:
            actor.prototype = self._prototype_index[name]
            actor.tint = tint_of(actor.attribute("color") or colour_of_type(type_id))
            _set_box(actor, shape)
            if kind != ActorKind.PROP and not parent_id and self._occupied(actor):
                raise SpawnError("Spawn failed because of collision at spawn position")
        actor.id = self._take_id()
        self._add(actor)
        if isinstance(actor, Embodied):
            parameters = {}
            if kind == ActorKind.VEHICLE:
                model = model_of(type_id, physics_class(type_id))
                physics = self._physics[actor.id] = default_physics(model, actor.extent)
                parameters = vehicle_parameters(physics, actor.extent, model)
                actor.speed_limit_kmh = self._roads.speed_limit_kmh(actor.pose.x, actor.pose.y, DEFAULT_SPEED_LIMIT_KMH)
                actor.control = VehicleControl(gear=1)
                if actor.attribute("sticky_control", "true").lower() == "false":
                    self._forgetful.append(actor.id)
            elif kind == ActorKind.PROP:
                parameters = prop_parameters(actor)
            self._bodies.add(actor, shape, parameters)
        elif actor.prototype is not None and shape is not None:
            self._carried.add(actor, shape)
        elif type_id == FRICTION_TRIGGER:
            self._friction.add(actor)
        return actor

    def destroy(self, actor_id: int) -> bool:
        """Take an actor out; what was attached to it stays where it was. Lights and the spectator stay for ever."""
        actor = self.actors.get(actor_id)
        if actor is None or actor.kind in (ActorKind.TRAFFIC_LIGHT, ActorKind.SIGN, ActorKind.SPECTATOR):
            return False
        del self.actors[actor_id]
        self._physics.pop(actor_id, None)
        self.commands.forget(actor_id)
        self._carried.remove(actor_id)
        self._sliders.forget(actor_id)
        self._friction.forget(actor_id)
        self._attached.pop(actor_id, None)
        if actor_id in self._forgetful:
            self._forgetful.remove(actor_id)
        if actor_id in self._bodies.row_of:
            self._bodies.remove(actor_id)
        for child in list(self._attached.values()):
            if child.parent_id == actor_id:
                child.parent_id, child.relative = 0, None
                self._attached.pop(child.id, None)
        return True

    def _take_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _add(self, actor: Actor) -> Actor:
        self.actors[actor.id] = actor
        if actor.relative is not None:
            self._attached[actor.id] = actor
        return actor

    def _occupied(self, actor: Actor) -> bool:
        ex, ey, ez = (size - _SPAWN_CLEARANCE for size in actor.extent)
        z = actor.pose.z + actor.box_centre[2]
        bodies, yaw = self._bodies, math.radians(actor.pose.yaw)
        return bool(
            overlaps_any(actor.pose.x, actor.pose.y, z, yaw, ex, ey, ez, bodies.state, bodies.param, self._grid.boxes)
        )

    def _warm_up(self) -> None:
        """Compile the kernels now, so that no later call is slow."""
        self._advance(1, 0.01)
        self.cast_ray((0.0, 0.0, 2.0), (1.0, 0.0, 2.0))
        overlaps_any(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, self._bodies.state, self._bodies.param, self._grid.boxes)

    # --- one step ---------------------------------------------------------------------------------------------------

    def step(self, delta_s: float) -> None:
        """Let delta_s seconds pass."""
        if not delta_s > 0.0:
            raise ValueError(f"a step needs a positive time, got {delta_s}")
        self.frame += 1
        self.delta_s = delta_s
        self.elapsed_s += delta_s
        for fallen in self._sliders.taken_away(delta_s):
            self.destroy(fallen)
        substeps = max(1, math.ceil(delta_s / MAX_SUBSTEP_S - 1e-6))
        before = self._bodies.state[:, c.VX : c.VZ + 1].copy()
        self._led.set_off(delta_s)
        self.commands.begin_step(delta_s)
        self._sliders.slow(delta_s)
        self._friction.step()
        self._advance(substeps, delta_s / substeps)
        self._led.arrive(on_plane=self.town.ground is None)
        for hit in self.collisions:
            if hit.other_id and self.actors[hit.other_id].kind == ActorKind.VEHICLE:
                self._sliders.knock_down(self.actors[hit.actor_id], math.hypot(*hit.normal_impulse))
        self._bodies.sync(before, delta_s)
        self._lights.step(delta_s)
        self._update_vehicles()
        for actor in self._attached.values():
            self._follow_parent(actor)
        self._carried.remember()

    def _advance(self, substeps: int, dt: float) -> None:
        bodies, grid = self._bodies, self._grid
        pairs = np.zeros((4 * len(bodies.actors) + 16, 2), np.int64)
        impulses = np.zeros((len(pairs), 2))
        count = advance(
            bodies.state,
            bodies.param,
            bodies.control,
            self.ground.terrain,
            grid.boxes,
            grid.starts,
            grid.items,
            grid.origin,
            grid.shape,
            grid.cell_m,
            pairs,
            impulses,
            substeps,
            dt,
        )
        self.collisions = []
        for (row, other), (jx, jy) in zip(pairs[:count].tolist(), impulses[:count].tolist(), strict=True):
            one = bodies.actors[row]
            if other < 0:
                self.collisions.append(Collision(one.id, 0, (jx, jy, 0.0), self._solid_labels[-1 - other]))
                continue
            two = bodies.actors[other]
            self.collisions.append(Collision(one.id, two.id, (jx, jy, 0.0), _label(two)))
            self.collisions.append(Collision(two.id, one.id, (-jx, -jy, 0.0), _label(one)))

    def _update_vehicles(self) -> None:
        """The reported gear, the light and the speed limit of each vehicle; walkers face where they go."""
        bodies, state = self._bodies, self._bodies.state
        where = state[:, c.X], state[:, c.Y], state[:, c.YAW], bodies.param[:, c.EX]
        at = self._lights.triggers.governing(*where)
        speed = np.hypot(state[:, c.VX], state[:, c.VY])
        stopped = self._stop_signs.held(bodies.ids.tolist(), *where, speed, self.delta_s)
        vehicles, report = bodies.param[:, c.KIND] == c.VEHICLE, bodies.report
        report[:, r.LIGHT_ID] = np.array([*(actor.id for actor in self._lights.actors), 0])[at]  # the last for no light
        lamps = np.array([*(status.state for status in self._lights.statuses), 0])[at]
        report[:, r.LIGHT_STATE] = np.where(
            at >= 0, lamps, np.where(stopped, int(LightState.RED), int(LightState.GREEN))
        )
        due = vehicles & ((self.frame + np.arange(len(vehicles))) % SPEED_LIMIT_EVERY == 0)
        for row in np.flatnonzero(due).tolist():
            x, y, otherwise = report[row, 0], report[row, 1], report[row, r.SPEED_LIMIT]
            report[row, r.SPEED_LIMIT] = self._roads.speed_limit_kmh(float(x), float(y), float(otherwise))
        shifts = vehicles & (report[:, r.MANUAL] == 0.0)
        report[shifts, r.GEAR] = state[shifts, c.GEAR]
        for actor_id in self._forgetful:
            self.apply_vehicle_control(actor_id)
        dx, dy = report[:, r.WALK_X], report[:, r.WALK_Y]
        walks = ~vehicles & (report[:, r.WALK_SPEED] > 0.0) & ((dx != 0.0) | (dy != 0.0))
        walks &= ~self._sliders.lying()
        state[walks, c.YAW] = np.arctan2(dy[walks], dx[walks])

    def _follow_parent(self, actor: Actor) -> None:
        parent = self.actors[actor.parent_id]
        if parent.relative is not None and parent.id > actor.id:
            self._follow_parent(parent)  # an actor is older than what is attached to it, unless it was re-attached
        assert actor.relative is not None
        actor.pose = compose(parent.pose, actor.relative)
        actor.velocity, actor.angular_velocity = parent.velocity, parent.angular_velocity
        actor.acceleration = parent.acceleration

    @property
    def bodies(self) -> Bodies:
        """Vehicles, walkers and props that stand on their own; to be read only."""
        return self._bodies

    @property
    def map(self) -> Any:
        """carla.Map of this town; None for a town without OpenDRIVE text."""
        return self._roads.map

    # --- setters ----------------------------------------------------------------------------------------------------
    # KeyError for an unknown actor, TypeError for one of the wrong kind.

    def _get(self, actor_id: int, kind: ActorKind) -> Actor:
        actor = self.actors[actor_id]
        if actor.kind != kind:
            raise TypeError(f"actor {actor_id} is a {actor.type_id}, not a {kind.name.lower()}")
        return actor

    def _row(self, actor_id: int) -> int:
        if actor_id not in self._bodies.row_of:
            raise TypeError(f"actor {self.actors[actor_id].id} has no body of its own")
        return self._bodies.row_of[actor_id]

    def apply_vehicle_control(
        self,
        actor_id: int,
        throttle: float = 0.0,
        steer: float = 0.0,
        brake: float = 0.0,
        hand_brake: bool = False,
        reverse: bool = False,
        manual: bool = False,
        gear: int = 0,
    ) -> None:
        self._get(actor_id, ActorKind.VEHICLE)
        if not self.commands.takes(actor_id):
            return
        throttle, steer, brake = _clamp(throttle, 0.0), _clamp(steer, -1.0), _clamp(brake, 0.0)
        row = self._row(actor_id)
        report = self._bodies.report[row]
        shown = gear if manual else (-1 if reverse else max(1.0, report[r.GEAR]))
        report[r.CONTROL] = throttle, steer, brake, hand_brake, reverse, manual, shown
        direction = float(np.sign(gear)) if manual else 1.0
        self._bodies.control[row, c.MANUAL], self._bodies.control[row, c.WANTED_GEAR] = float(manual), float(gear)
        self._bodies.control[row, c.THROTTLE : c.DIRECTION + 1] = (  # a list of columns would cost ten times as much
            throttle,
            steer,
            brake,
            float(hand_brake),
            -abs(direction) if reverse else direction,
        )

    def apply_walker_control(self, actor_id: int, direction: Vec3, speed: float, jump: bool = False) -> None:
        actor = self._get(actor_id, ActorKind.WALKER)
        if not self.commands.walks(actor_id, jump=jump):
            return
        length = math.sqrt(sum(d * d for d in direction))
        unit = (direction[0] / length, direction[1] / length, direction[2] / length) if length > 0.0 else (0.0,) * 3
        actor.walker = WalkerControl(unit, speed, jump)
        if not self._sliders.is_down(actor_id):
            self._bodies.control[self._row(actor_id), [c.WALK_X, c.WALK_Y]] = unit[0] * speed, unit[1] * speed

    def lead_walker(self, actor_id: int, feet: Pose, speed: float) -> None:
        """Let a walker go to where its feet shall be at the end of the next step."""
        walker = self._get(actor_id, ActorKind.WALKER)
        if not self._sliders.is_down(actor_id):
            self._led.lead(walker, feet, speed)

    def set_pose(self, actor_id: int, pose: Pose) -> None:
        """Teleport; for an attached actor the pose is relative. The velocity stays."""
        actor = self.actors[actor_id]
        if actor.relative is not None:
            actor.relative = pose
            actor.pose = compose(self.actors[actor.parent_id].pose, pose)
            return
        actor.pose = pose
        if actor_id in self._bodies.row_of:
            self._bodies.place(actor_id, pose)

    def set_target_velocity(self, actor_id: int, velocity: Vec3) -> None:
        if self._bodies.param[self._row(actor_id), c.INV_MASS] > 0.0:
            self._bodies.state[self._row(actor_id), [c.VX, c.VY, c.VZ]] = velocity
            self.actors[actor_id].velocity = velocity

    def set_target_angular_velocity(self, actor_id: int, degrees_s: Vec3) -> None:
        """Only the turn about z moves an upright body."""
        if self._bodies.param[self._row(actor_id), c.INV_MASS] > 0.0:
            self._bodies.state[self._row(actor_id), c.YAW_RATE] = math.radians(degrees_s[2])

    def set_simulate_physics(self, actor_id: int, enabled: bool) -> None:
        self._row(actor_id)
        self._bodies.set_mobile(actor_id, enabled)

    def set_enable_gravity(self, actor_id: int, enabled: bool) -> None:
        self._bodies.param[self._row(actor_id), c.GRAVITY] = float(enabled)

    def set_collisions(self, actor_id: int, enabled: bool) -> None:
        self._bodies.param[self._row(actor_id), c.COLLIDES] = float(enabled)

    def enable_constant_velocity(self, actor_id: int, velocity: Vec3) -> None:
        """Hold this velocity, given in the vehicle's frame, whatever the control says."""
        self._get(actor_id, ActorKind.VEHICLE)
        columns = [c.CONSTANT, c.CONSTANT_VX, c.CONSTANT_VY]
        self._bodies.param[self._row(actor_id), columns] = 1.0, velocity[0], velocity[1]

    def disable_constant_velocity(self, actor_id: int) -> None:
        self._get(actor_id, ActorKind.VEHICLE)
        self._bodies.param[self._row(actor_id), c.CONSTANT] = 0.0

    def set_autopilot(self, actor_id: int, enabled: bool) -> None:
        """Nothing to do: the traffic manager in the client drives."""
        self._get(actor_id, ActorKind.VEHICLE)

    def set_vehicle_lights(self, actor_id: int, flags: int) -> None:
        self._get(actor_id, ActorKind.VEHICLE).light_flags = flags & 0xFFFFFFFF

    def physics_control(self, actor_id: int) -> VehiclePhysics:
        actor = self._get(actor_id, ActorKind.VEHICLE)
        return place_wheels(self._physics[actor_id], actor.pose.matrix())

    def set_physics_control(self, actor_id: int, physics: VehiclePhysics) -> None:
        """Wheel positions are reported only: they keep their default places."""
        actor = self._get(actor_id, ActorKind.VEHICLE)
        model = model_of(actor.type_id, physics_class(actor.type_id))
        parameters = vehicle_parameters(physics, actor.extent, model)
        self._physics[actor_id] = keep_wheel_places(physics, self._physics[actor_id])
        self._friction.leave(actor_id)
        self._bodies.set_parameters(actor_id, parameters)

    def wheel_steer_angle(self, actor_id: int, wheel: int) -> float:
        """[deg] wheels 0 and 1 are in front."""
        self._get(actor_id, ActorKind.VEHICLE)
        return math.degrees(self._bodies.state[self._row(actor_id), c.WHEEL_ANGLE]) if wheel in (0, 1) else 0.0

    # --- what is where ----------------------------------------------------------------------------------------------

    def cast_ray(self, a: Vec3, b: Vec3) -> list[tuple[Vec3, Label]]:
        """Where the segment enters solids, bodies and the ground, nearest first."""
        return self._sight.cast_ray(a, b)

    def project_point(self, origin: Vec3, direction: Vec3, distance: float) -> tuple[Vec3, Label] | None:
        """The first thing within `distance` of the origin in a direction."""
        return self._sight.project_point(origin, direction, distance)

    def level_boxes(self, label: int) -> list[Box]:
        """Boxes of the static world with this label (255: of all)."""
        heads = range(len(self._lights.actors))
        boxes = [*self.town.solids, *(self._lights.head_box(k, self._shapes["light_off"]) for k in heads)]
        return [box for box in boxes if label in (ANY_LABEL, int(box.label))]

    def instances(self) -> Instances:
        """What the renderer draws on top of the town: lamp housings, then bodies, then attached props."""
        return self._stage.instances()


def _set_box(actor: Actor, shape: Shape) -> None:
    """The actor's bounding box: vehicles and props stand on their origin, a walker's origin is its middle."""
    actor.extent = extent_of(actor.type_id) or shape.extent
    if actor.kind != ActorKind.WALKER:
        actor.box_centre = (0.0, 0.0, actor.extent[2])


def _label(actor: Actor) -> Label:
    return Label(actor.semantic_tags[0]) if actor.semantic_tags else Label.NONE


def _clamp(value: float, low: float) -> float:
    """Into low..1; not-a-number is no input."""
    return min(1.0, max(low, value)) if value == value else 0.0
