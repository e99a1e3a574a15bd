"""CARLA's coordinates <-> ours. The only place in which an axis or an angle changes its sign.

CARLA (Unreal): left-handed, x forward/east, y right/south, z up, degrees; yaw clockwise seen from above, pitch nose up,
roll right side down; steer right positive. Ours (ISO 8855): x forward, y left, z up, radians; yaw counter-clockwise,
pitch nose down (a right-handed turn about y), roll right side down; steer left positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import carla
import numpy as np

from bev import Camera, FloatArray, Pose2D
from planner.types import Control


@dataclass(frozen=True)
class Pose3D:
    """A pose in ISO 8855: metres, radians."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0

    @property
    def flat(self) -> Pose2D:
        return Pose2D(self.x, self.y, self.yaw)


def rigid(pose: Pose3D, origin: FloatArray) -> FloatArray:
    """(4, 4) transform from a frame whose origin lies at a place (3,) of the posed one to where that pose is given."""
    cy, sy, cp, sp = math.cos(pose.yaw), math.sin(pose.yaw), math.cos(pose.pitch), math.sin(pose.pitch)
    cr, sr = math.cos(pose.roll), math.sin(pose.roll)
    yaw = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    pitch = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    roll = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    out = np.eye(4)
    out[:3, :3] = yaw @ pitch @ roll
    out[:3, 3] = out[:3, :3] @ origin + (pose.x, pose.y, pose.z)
    return out


def wrap_angle(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def compose(pose: Pose2D, local: Pose2D) -> Pose2D:
    """A pose given in the frame of another one -> the frame that one is given in."""
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
    return Pose2D(
        pose.x + cos * local.x - sin * local.y, pose.y + sin * local.x + cos * local.y, wrap_angle(pose.yaw + local.yaw)
    )


def vector_from_carla(vector: carla.Vector3D) -> tuple[float, float, float]:
    """A place, velocity or acceleration."""
    return (vector.x, -vector.y, vector.z)


def location_to_carla(x: float, y: float, z: float = 0.0) -> carla.Location:
    return carla.Location(x=float(x), y=float(-y), z=float(z))


def turn_rates_from_carla(vector: carla.Vector3D) -> tuple[float, float, float]:
    """Roll, pitch and yaw rate, in the unit they come in (gyroscope: rad/s, actors: deg/s)."""
    return turn_rates_from_numbers((vector.x, vector.y, vector.z))


def turn_rates_from_numbers(xyz: Sequence[float]) -> tuple[float, float, float]:
    """The same from a file.

    An axial vector changes the signs that a place keeps: mirroring y turns the other two axes' spin around, and
    CARLA counts every turn the other way to begin with.
    """
    x, y, z = xyz
    return (x, -y, -z)


def pose_from_carla(transform: carla.Transform) -> Pose3D:
    place, turn = transform.location, transform.rotation
    return pose_from_numbers((place.x, place.y, place.z), (turn.pitch, turn.roll, turn.yaw))


def pose_from_numbers(location: Sequence[float], rotation_deg: Sequence[float]) -> Pose3D:
    """Of a file: x, y, z [m] and pitch, roll, yaw [deg], all CARLA's."""
    x, y, z = location
    pitch, roll, yaw = map(math.radians, rotation_deg)
    return Pose3D(x, -y, z, roll=roll, pitch=-pitch, yaw=wrap_angle(-yaw))


def pose_from_matrix(matrix: FloatArray) -> Pose3D:
    """Of a (4, 4) matrix as `carla.Transform.get_matrix` gives it."""
    m = np.asarray(matrix, dtype=np.float64)
    turn = (
        math.asin(float(np.clip(m[2, 0], -1.0, 1.0))),
        math.atan2(-m[2, 1], m[2, 2]),
        math.atan2(m[1, 0], m[0, 0]),
    )
    return pose_from_numbers(m[:3, 3].tolist(), [math.degrees(angle) for angle in turn])


def pose_to_carla(pose: Pose3D) -> carla.Transform:
    return carla.Transform(
        location_to_carla(pose.x, pose.y, pose.z),
        carla.Rotation(pitch=-math.degrees(pose.pitch), yaw=-math.degrees(pose.yaw), roll=math.degrees(pose.roll)),
    )


def control_to_carla(control: Control) -> carla.VehicleControl:
    return carla.VehicleControl(
        throttle=float(control.throttle), brake=float(control.brake), steer=float(-control.steer)
    )


def control_from_carla(control: carla.VehicleControl) -> Control:
    return control_from_numbers(control.throttle, control.brake, control.steer)


def control_from_numbers(throttle: float, brake: float, steer: float) -> Control:
    """Of a file that holds CARLA's."""
    return Control(throttle=throttle, brake=brake, steer=-steer)


def mount_to_carla(camera: Camera, base: tuple[float, float, float], shift: Pose2D | None = None) -> carla.Transform:
    """Where to attach a camera to the car's actor.

    base: ego origin (ground below the box centre) in the actor's own frame, ISO 8855: CARLA's actors need not
    have their origin there. shift: a *virtual* ego pose, relative to the real one, for which the camera is to see.
    """
    at = compose(shift or Pose2D(0.0, 0.0, 0.0), Pose2D(camera.x, camera.y, camera.yaw))
    return pose_to_carla(
        Pose3D(base[0] + at.x, base[1] + at.y, base[2] + camera.z, roll=camera.roll, pitch=camera.pitch, yaw=at.yaw)
    )
