"""Boxes of the road users around a (virtual) ego, and how much of each its cameras see.

Shapes:  B boxes   P points of a box   H, W a depth picture
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import carla
import numpy as np

from bev import BoxKind, Camera, CameraRig, FloatArray, Pose2D
from carla_bridge.convert import pose_from_carla, wrap_angle
from carla_bridge.truth import Body

REACH_M = 60.0
LEVEL_M, LEVEL_SHARE = 3.5, 0.03  # farther above or below, growing with distance: on another road
NEAR_M = 0.3  # nothing nearer to a lens is seen
SLACK_M, SLACK_SHARE = 0.6, 0.03  # of depth: a pixel of it is wide, and its surface slanted
LATTICE = 0.8 * np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))  # (27, 3) of a box of half sizes 1
PARKED = "vehicle.parked"  # type id of a car that is scenery


@dataclass(frozen=True)
class SeenBox:
    """x, y, z: the box's centre in the virtual ego's frame, which tilts with the car's body [m]. vx, vy: velocity over
    ground along its axes [m/s]. visible: share 0..1 of its points that some camera sees."""

    body: Body
    kind: BoxKind
    x: float
    y: float
    z: float
    yaw: float
    vx: float
    vy: float
    visible: float


class BoxFinder:
    """Finds what is around a place. two_wheelers: their type ids. parked: the cars that are part of the town."""

    def __init__(self, two_wheelers: frozenset[str], parked: tuple[Body, ...]) -> None:
        self._two_wheelers, self._parked = two_wheelers, parked

    @classmethod
    def of(cls, world: carla.World) -> BoxFinder:
        two_wheelers = frozenset(
            blueprint.id
            for blueprint in world.get_blueprint_library().filter("vehicle.*")
            if blueprint.get_attribute("number_of_wheels").as_int() == 2
        )
        return cls(two_wheelers, parked_cars(world))

    def find(
        self,
        bodies: Iterable[Body],
        world_from_ego: FloatArray,
        virtual: Pose2D,
        rig: CameraRig,
        depth_m: Mapping[str, FloatArray],
    ) -> tuple[SeenBox, ...]:
        """Everything within `REACH_M` of a virtual pose, given in the ego's frame, nearest first. world_from_ego:
        (4, 4) rigid. depth_m: by camera, (H, W) of any size, as seen from the virtual pose."""
        ego_from_world = np.linalg.inv(world_from_ego)
        here = world_from_ego[:3, :3] @ (virtual.x, virtual.y, 0.0) + world_from_ego[:3, 3]
        near = [
            (body, kind)
            for body in (*bodies, *self._parked)
            if (kind := self.kind(body)) is not None and math.dist((body.pose.x, body.pose.y), here[:2]) < REACH_M
        ]
        if not near:
            return ()
        centres = np.array([(b.pose.x, b.pose.y, b.z_m + b.height_m / 2.0) for b, _ in near])
        centres = centres @ ego_from_world[:3, :3].T + ego_from_world[:3, 3]
        centres[:, :2] = virtual.transform_to_local(centres[:, :2])
        heading = math.atan2(world_from_ego[1, 0], world_from_ego[0, 0]) + virtual.yaw
        yaws = np.array([wrap_angle(body.pose.yaw - heading) for body, _ in near])
        halves = np.array([(b.half_length_m, b.half_width_m, b.height_m / 2.0) for b, _ in near])
        shares = visible_shares(centres, yaws, halves, rig, depth_m)
        cos, sin = math.cos(heading), math.sin(heading)
        found = []
        for i in np.argsort(np.hypot(centres[:, 0], centres[:, 1]), kind="stable"):
            body, kind = near[i]
            x, y, z = map(float, centres[i])
            if abs(z - halves[i, 2]) > LEVEL_M + LEVEL_SHARE * math.hypot(x, y):
                continue
            vx, vy = body.velocity_mps
            ahead, left = cos * vx + sin * vy, cos * vy - sin * vx
            found.append(SeenBox(body, kind, x, y, z, float(yaws[i]), ahead, left, float(shares[i])))
        return tuple(found)

    def kind(self, body: Body) -> BoxKind | None:
        """None for what is no road user."""
        if body.type_id.startswith("walker."):
            return BoxKind.PEDESTRIAN
        if body.type_id in self._two_wheelers:
            return BoxKind.TWO_WHEELER
        return BoxKind.VEHICLE if body.type_id.startswith("vehicle.") else None


def visible_shares(
    centres: FloatArray, yaws: FloatArray, halves: FloatArray, rig: CameraRig, depth_m: Mapping[str, FloatArray]
) -> FloatArray:
    """(B,) share of each box's lattice points that lie in a picture with nothing before the box there. All in the frame
    of the rig's ego; centres, halves (B, 3), yaws (B,)."""
    points = _turned(LATTICE[None] * halves[:, None], yaws) + centres[:, None]
    seen = np.zeros(points.shape[:2], bool)
    for camera in rig.cameras:
        if camera.name in depth_m:
            seen |= _seen_by(camera, depth_m[camera.name], points, centres, yaws, halves)
    return seen.mean(axis=1)


def _seen_by(
    camera: Camera, depth_m: FloatArray, points: FloatArray, centres: FloatArray, yaws: FloatArray, halves: FloatArray
) -> FloatArray:
    """(B, P) whether a ray to a point of a box meets nothing before it enters that box (slab test)."""
    rows, columns = depth_m.shape
    optical = camera.to_optical(points)
    distance = optical[..., 2]
    ahead = np.maximum(distance, NEAR_M)
    focal, size = camera.intrinsics[0, 0], (camera.width, camera.height)
    u = np.floor((focal * optical[..., 0] / ahead + size[0] / 2.0) * columns / size[0]).astype(np.int64)
    v = np.floor((focal * optical[..., 1] / ahead + size[1] / 2.0) * rows / size[1]).astype(np.int64)
    inside = (distance > NEAR_M) & (u >= 0) & (u < columns) & (v >= 0) & (v < rows)
    eye = np.array([camera.x, camera.y, camera.z]) - centres
    eye = _turned(eye[:, None], -yaws)
    ray = _turned(points - centres[:, None], -yaws) - eye
    ray = np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    walls = np.stack([(-halves[:, None] - eye) / ray, (halves[:, None] - eye) / ray])
    entry = np.clip(walls.min(axis=0).max(axis=-1), 0.0, 1.0) * distance
    free = depth_m[np.clip(v, 0, rows - 1), np.clip(u, 0, columns - 1)]
    return inside & (free * (1.0 + SLACK_SHARE) + SLACK_M >= entry)


def _turned(points: FloatArray, yaws: FloatArray) -> FloatArray:
    """(B, P, 3) points turned about z by (B,) angles."""
    cos, sin = np.cos(yaws)[:, None], np.sin(yaws)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y, points[..., 2]], axis=-1)


def parked_cars(world: carla.World) -> tuple[Body, ...]:
    """Cars that are part of the town: they never move. Their numbers are negative, so that no actor has one of them."""
    bodies = []
    for thing in world.get_environment_objects(carla.CityObjectLabel.Car):
        box = thing.bounding_box
        pose = pose_from_carla(carla.Transform(box.location, box.rotation))
        half_length, half_width, half_height = box.extent.x, box.extent.y, box.extent.z
        bodies.append(
            Body(
                -1 - thing.id,
                PARKED,
                pose.flat,
                0.0,
                0.0,
                half_length,
                half_width,
                2.0 * half_height,
                pose.z - half_height,
            )
        )
    return tuple(bodies)
