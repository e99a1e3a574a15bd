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
from carla_bridge.embedded.actors import (
    LIGHT_PROTOTYPE,
    Actor,
    ActorKind,
    LightState,
    LightStatus,
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
from carla_bridge.embedded.collision import CURB_HEIGHT, build_solid_grid, overlaps_any
from carla_bridge.embedded.dynamics import (
    MAX_SUBSTEP_S,
    VehiclePhysics,
    advance,
    default_physics,
    keep_wheel_places,
    place_wheels,
    reported_gear,
    vehicle_parameters,
)
from carla_bridge.embedded.lights import LightBoard
from carla_bridge.embedded.raycast import hit_boxes, ray_boxes
from carla_bridge.embedded.roads import DEFAULT_SPEED_LIMIT_KMH, Roads
from carla_bridge.embedded.signs import sign_actors
from carla_bridge.embedded.types import Box, Instances, Label, Pose, Town
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


class World:
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
        self._physics: dict[int, VehiclePhysics] = {}
        self._grid = build_solid_grid(town.solids)
        self._solid_labels = [box.label for box in town.solids if box.centre.z + box.extent[2] > CURB_HEIGHT]
        self._solid_rays = ray_boxes(town.solids)
        self._roads = Roads(town)
        self._lights = LightBoard(town.lights, first_id, seed)
        self.next_id += len(self._lights.actors)
        self.actors.update((actor.id, actor) for actor in self._lights.actors)
        self.actors.update((actor.id, actor) for actor in sign_actors(town.signs, self.next_id))
        self.next_id += len(town.signs)
        self._light_prototypes = np.array([self._prototype_index[LIGHT_PROTOTYPE[s]] for s in LightState], np.int32)
        self._head_matrices = np.array([light.head.matrix() for light in town.lights], np.float32).reshape(-1, 4, 4)
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
        actor = Actor(
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
        name = prototype_name(type_id)
        shape = self._shapes[name] if name is not None else None
        if kind in _BODIES and name is not None and shape is not None:
            actor.prototype = self._prototype_index[name]
            actor.tint = tint_of(actor.attribute("color") or colour_of_type(type_id))
            _set_box(actor, shape)
            if kind != ActorKind.PROP and not parent_id and self._occupied(actor):
                raise SpawnError("Spawn failed because of collision at spawn position")
        actor.id = self._take_id()
        self._add(actor)
        if kind in _BODIES and shape is not None and name is not None and not parent_id:
            parameters = {}
            if kind == ActorKind.VEHICLE:
                physics = self._physics[actor.id] = default_physics(physics_class(type_id), actor.extent)
                parameters = vehicle_parameters(physics, actor.extent)
                actor.speed_limit_kmh = self._roads.speed_limit_kmh(actor.pose.x, actor.pose.y, DEFAULT_SPEED_LIMIT_KMH)
                actor.control.gear = 1
            self._bodies.add(actor, shape, parameters)
        return actor

    def destroy(self, actor_id: int) -> bool:
        """Take an actor out; what was attached to it stays where it was. Lights and the spectator stay for ever."""
        actor = self.actors.get(actor_id)
        if actor is None or actor.kind in (ActorKind.TRAFFIC_LIGHT, ActorKind.SIGN, ActorKind.SPECTATOR):
            return False
        del self.actors[actor_id]
        self._physics.pop(actor_id, None)
        if actor_id in self._bodies.row_of:
            self._bodies.remove(actor_id)
        for child in self.actors.values():
            if child.parent_id == actor_id:
                child.parent_id, child.relative = 0, None
        return True

    def _take_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _add(self, actor: Actor) -> Actor:
        self.actors[actor.id] = actor
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
        substeps = max(1, math.ceil(delta_s / MAX_SUBSTEP_S - 1e-6))
        before = self._bodies.state[:, c.VX : c.VZ + 1].copy()
        self._led.set_off(delta_s)
        self._advance(substeps, delta_s / substeps)
        self._led.arrive(on_plane=self.town.ground is None)
        self._bodies.sync(before, delta_s)
        self._lights.step(delta_s)
        self._update_vehicles()
        for actor in self.actors.values():
            if actor.relative is not None:
                self._follow_parent(actor)

    def _advance(self, substeps: int, dt: float) -> None:
        bodies, grid = self._bodies, self._grid
        pairs = np.zeros((4 * len(bodies.actors) + 16, 2), np.int64)
        impulses = np.zeros((len(pairs), 2))
        count = advance(
            bodies.state,
            bodies.param,
            bodies.control,
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
        state = self._bodies.state
        at = self._lights.triggers.governing(state[:, c.X], state[:, c.Y], state[:, c.YAW], self._bodies.param[:, c.EX])
        for row, (actor, light) in enumerate(zip(self._bodies.actors, at.tolist(), strict=True)):
            if actor.kind == ActorKind.VEHICLE:
                actor.at_light_id, actor.at_light_state = 0, LightState.GREEN
                if light >= 0:
                    actor.at_light_id = self._lights.actors[light].id
                    actor.at_light_state = self._lights.statuses[light].state
                if (self.frame + row) % SPEED_LIMIT_EVERY == 0:
                    pose = actor.pose
                    actor.speed_limit_kmh = self._roads.speed_limit_kmh(pose.x, pose.y, actor.speed_limit_kmh)
                if not actor.control.manual_gear_shift:
                    speed = math.hypot(actor.velocity[0], actor.velocity[1])
                    actor.control.gear = reported_gear(speed, -1.0 if actor.control.reverse else 1.0)
                if actor.attribute("sticky_control", "true").lower() == "false":
                    self.apply_vehicle_control(actor.id)
            elif actor.kind == ActorKind.WALKER and actor.walker.speed > 0.0:
                dx, dy = actor.walker.direction[:2]
                if dx or dy:
                    state[row, c.YAW] = math.atan2(dy, dx)

    def _follow_parent(self, actor: Actor) -> None:
        parent = self.actors[actor.parent_id]
        if parent.relative is not None and parent.id > actor.id:
            self._follow_parent(parent)  # an actor is older than what is attached to it, unless it was re-attached
        assert actor.relative is not None
        actor.pose = compose(parent.pose, actor.relative)
        actor.velocity, actor.angular_velocity = parent.velocity, parent.angular_velocity
        actor.acceleration = parent.acceleration

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
        actor = self._get(actor_id, ActorKind.VEHICLE)
        throttle, steer, brake = _clamp(throttle, 0.0), _clamp(steer, -1.0), _clamp(brake, 0.0)
        shown = gear if manual else (-1 if reverse else max(1, actor.control.gear))
        actor.control = VehicleControl(throttle, steer, brake, hand_brake, reverse, manual, shown)
        direction = float(np.sign(gear)) if manual else 1.0
        row = self._row(actor_id)
        self._bodies.control[row, c.THROTTLE : c.DIRECTION + 1] = (  # a list of columns would cost ten times as much
            throttle,
            steer,
            brake,
            float(hand_brake),
            -abs(direction) if reverse else direction,
        )

    def apply_walker_control(self, actor_id: int, direction: Vec3, speed: float, jump: bool = False) -> None:
        actor = self._get(actor_id, ActorKind.WALKER)
        length = math.sqrt(sum(d * d for d in direction))
        unit = (direction[0] / length, direction[1] / length, direction[2] / length) if length > 0.0 else (0.0,) * 3
        actor.walker = WalkerControl(unit, speed, jump)
        self._bodies.control[self._row(actor_id), [c.WALK_X, c.WALK_Y]] = unit[0] * speed, unit[1] * speed

    def lead_walker(self, actor_id: int, feet: Pose, speed: float) -> None:
        """Let a walker go to where its feet shall be at the end of the next step."""
        self._led.lead(self._get(actor_id, ActorKind.WALKER), feet, speed)

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

    def add_impulse(self, actor_id: int, impulse: Vec3) -> None:
        """impulse [N s], at the centre of mass."""
        row = self._row(actor_id)
        self._bodies.state[row, [c.VX, c.VY, c.VZ]] += np.array(impulse) * self._bodies.param[row, c.INV_MASS]

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
        self._get(actor_id, ActorKind.VEHICLE).light_flags = flags

    def physics_control(self, actor_id: int) -> VehiclePhysics:
        actor = self._get(actor_id, ActorKind.VEHICLE)
        return place_wheels(self._physics[actor_id], actor.pose.matrix())

    def set_physics_control(self, actor_id: int, physics: VehiclePhysics) -> None:
        """Wheel positions are reported only: they keep their default places."""
        actor = self._get(actor_id, ActorKind.VEHICLE)
        parameters = vehicle_parameters(physics, actor.extent)
        self._physics[actor_id] = keep_wheel_places(physics, self._physics[actor_id])
        self._bodies.set_parameters(actor_id, parameters)

    def wheel_steer_angle(self, actor_id: int, wheel: int) -> float:
        """[deg] wheels 0 and 1 are in front."""
        self._get(actor_id, ActorKind.VEHICLE)
        return math.degrees(self._bodies.state[self._row(actor_id), c.WHEEL_ANGLE]) if wheel in (0, 1) else 0.0

    # --- traffic lights ---------------------------------------------------------------------------------------------

    def _light(self, actor_id: int) -> LightStatus:
        light = self._get(actor_id, ActorKind.TRAFFIC_LIGHT).light
        assert light is not None
        return light

    def set_light_state(self, actor_id: int, state: LightState | int) -> None:
        """Shown until the group's clock next changes this light (freeze the lights to keep it)."""
        light = self._light(actor_id)
        light.state, light.elapsed_s = LightState(state), 0.0

    def set_light_times(
        self, actor_id: int, green_s: float | None = None, yellow_s: float | None = None, red_s: float | None = None
    ) -> None:
        light = self._light(actor_id)
        light.green_s = light.green_s if green_s is None else green_s
        light.yellow_s = light.yellow_s if yellow_s is None else yellow_s
        light.red_s = light.red_s if red_s is None else red_s

    def freeze_lights(self, frozen: bool) -> None:
        self._lights.freeze(frozen)

    def reset_lights(self, actor_id: int | None = None) -> None:
        """All groups, or that of one light, back to where they started the episode."""
        self._lights.reset(None if actor_id is None else self._light(actor_id))

    def group_lights(self, actor_id: int) -> list[int]:
        """The lights of this light's junction, itself included."""
        return self._lights.group_of(self._light(actor_id))

    def light_boxes(self, actor_id: int) -> list[Box]:
        """World boxes of a light's lamp housings."""
        self._light(actor_id)
        head = self._shapes["light_off"]
        return [self._lights.head_box(k, head) for k, a in enumerate(self._lights.actors) if a.id == actor_id]

    # --- what is where ----------------------------------------------------------------------------------------------

    def cast_ray(self, a: Vec3, b: Vec3) -> list[tuple[Vec3, Label]]:
        """Where the segment enters solids, bodies and the ground, nearest first."""
        hits: list[tuple[float, Label]] = []
        for boxes in (self._solid_rays, self._bodies.ray_boxes()):
            entry = hit_boxes(
                np.asarray(a, np.float64),
                np.asarray(b, np.float64),
                boxes.centres,
                boxes.axes,
                boxes.extents,
                boxes.radii,
            )
            hits += [(float(entry[k]), Label(int(boxes.labels[k]))) for k in np.flatnonzero(entry >= 0.0)]
        if a[2] > 0.0 >= b[2]:
            part = a[2] / (a[2] - b[2])
            hits.append((part, self._roads.surface(a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]))))
        hits.sort(key=lambda hit: hit[0])
        return [
            ((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])), label) for t, label in hits
        ]

    def project_point(self, origin: Vec3, direction: Vec3, distance: float) -> tuple[Vec3, Label] | None:
        """The first thing within `distance` of the origin in a direction."""
        length = math.sqrt(sum(d * d for d in direction))
        if length == 0.0:
            return None
        k = distance / length
        hits = self.cast_ray(
            origin, (origin[0] + k * direction[0], origin[1] + k * direction[1], origin[2] + k * direction[2])
        )
        return hits[0] if hits else None

    def level_boxes(self, label: int) -> list[Box]:
        """Boxes of the static world with this label (255: of all)."""
        heads = range(len(self._lights.actors))
        boxes = [*self.town.solids, *(self._lights.head_box(k, self._shapes["light_off"]) for k in heads)]
        return [box for box in boxes if label in (ANY_LABEL, int(box.label))]

    def instances(self) -> Instances:
        """What the renderer draws on top of the town: lamp housings, then bodies, then attached props."""
        lights, bodies = self._lights, self._bodies
        carried = [a for a in self.actors.values() if a.prototype is not None and a.id not in bodies.row_of]
        lamps = self._light_prototypes[np.array([status.state for status in lights.statuses], np.int64)]
        prototypes = [a.prototype for a in bodies.actors] + [a.prototype for a in carried]
        actors = [*lights.actors, *bodies.actors, *carried]
        return Instances(
            np.concatenate([lamps, np.array(prototypes, np.int32)]),
            np.concatenate(
                [
                    self._head_matrices,
                    bodies.matrices().astype(np.float32),
                    np.array([a.pose.matrix() for a in carried], np.float32).reshape(-1, 4, 4),
                ]
            ),
            np.array([a.id for a in actors], np.uint32),
            np.array([a.tint for a in actors], np.float32).reshape(-1, 3),
        )


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
