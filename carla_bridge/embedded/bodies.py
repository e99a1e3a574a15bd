"""The things that move or can be hit, as arrays for the kernels: one row for each, in the order of spawning."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded import columns as c
from carla_bridge.embedded import reports as r
from carla_bridge.embedded.actors import Actor, ActorKind, Shape
from carla_bridge.embedded.raycast import RayBoxes
from carla_bridge.embedded.reports import Embodied
from carla_bridge.embedded.types import Label, Pose

F64 = npt.NDArray[np.float64]
WALKER_MASS_KG = 80.0
_KIND_COLUMN = {ActorKind.VEHICLE: c.VEHICLE, ActorKind.WALKER: c.WALKER, ActorKind.PROP: c.PROP}


class Bodies:
    """State, parameters and controls of all bodies (columns.py names their columns)."""

    def __init__(self) -> None:
        self.actors: list[Embodied] = []
        self.ids = np.zeros(0, np.int64)
        self.row_of: dict[int, int] = {}
        self.state = np.zeros((0, c.STATE_COLUMNS))
        self.param = np.zeros((0, c.PARAM_COLUMNS))
        self.control = np.zeros((0, c.CONTROL_COLUMNS))
        self.tilt = np.zeros((0, 2))  # pitch, roll [deg]: of a body without physics what a client set
        self.model = np.zeros((0, 4, 4))  # prototype's frame -> actor's frame
        self.now = np.zeros((0, 6))  # x, y, z, yaw [rad], pitch, roll [deg] at the end of the last step,
        self.before = np.zeros((0, 6))  # and one step earlier
        self.report = np.zeros((0, r.COLUMNS))  # what clients are told
        self._mobility: dict[int, tuple[float, float]] = {}  # inverse mass and inertia while physics is on

    def add(self, actor: Embodied, shape: Shape | None, parameters: dict[int, float]) -> None:
        """A new last row at the actor's pose; `parameters` are param columns of its kind."""
        state, param = np.zeros(c.STATE_COLUMNS), np.zeros(c.PARAM_COLUMNS)
        param[c.KIND] = _KIND_COLUMN[actor.kind]
        param[[c.EX, c.EY, c.EZ]], param[c.CZ] = actor.extent, actor.box_centre[2]
        param[c.COLLIDES], param[c.GRAVITY] = 1.0, 1.0
        if actor.kind == ActorKind.WALKER:
            param[c.INV_MASS], param[c.FLOOR] = 1.0 / WALKER_MASS_KG, actor.extent[2]
        for column, value in parameters.items():
            param[column] = value
        control = np.zeros(c.CONTROL_COLUMNS)
        control[c.DIRECTION] = 1.0
        self.row_of[actor.id] = len(self.actors)
        self.actors.append(actor)
        self.ids = np.append(self.ids, actor.id)
        self._mobility[actor.id] = (float(param[c.INV_MASS]), float(param[c.INV_INERTIA]))
        self.state = np.vstack([self.state, state])
        self.param = np.vstack([self.param, param])
        self.control = np.vstack([self.control, control])
        self.tilt = np.vstack([self.tilt, np.zeros(2)])
        self.model = np.concatenate([self.model, model_matrix(actor, shape)[None]])
        self.report = np.vstack([self.report, actor.bind(self)])
        self.place(actor.id, actor.pose)
        self.now, self.before = (np.vstack([old, self._places()[-1:]]) for old in (self.now, self.before))

    def remove(self, actor_id: int) -> None:
        row = self.row_of[actor_id]
        self.actors[row].release()
        del self.actors[row], self._mobility[actor_id]
        self.row_of = {actor.id: k for k, actor in enumerate(self.actors)}
        for name in ("state", "param", "control", "tilt", "model", "now", "before", "report", "ids"):
            setattr(self, name, np.delete(getattr(self, name), row, axis=0))

    def place(self, actor_id: int, pose: Pose) -> None:
        row = self.row_of[actor_id]
        self.state[row, [c.X, c.Y, c.Z, c.YAW]] = pose.x, pose.y, pose.z, math.radians(pose.yaw)
        self.state[row, c.PITCH : c.ON_GROUND + 1] = 0.0
        self.tilt[row] = pose.pitch, pose.roll

    def set_parameters(self, actor_id: int, parameters: dict[int, float]) -> None:
        """Change param columns of a living body; a body whose physics is off stays immovable."""
        row = self.row_of[actor_id]
        moving = self.param[row, c.INV_MASS] != 0.0
        for column, value in parameters.items():
            self.param[row, column] = value
        self._mobility[actor_id] = (float(self.param[row, c.INV_MASS]), float(self.param[row, c.INV_INERTIA]))
        self.set_mobile(actor_id, bool(moving))

    def set_mobile(self, actor_id: int, mobile: bool) -> None:
        """Physics on or off; off means immovable, at rest, and hit like a wall."""
        row = self.row_of[actor_id]
        self.param[row, [c.INV_MASS, c.INV_INERTIA]] = self._mobility[actor_id] if mobile else (0.0, 0.0)
        if not mobile:
            self.state[row, [c.VX, c.VY, c.VZ, c.YAW_RATE]] = 0.0

    def sync(self, velocity_before: F64, delta_s: float) -> None:
        """After a step of delta_s: what clients are told, what walkers have walked, where everything was.

        What was pushed beyond all numbers (clients may ask for any force) stands where it was when the step began.
        """
        state = self.state
        lost = np.flatnonzero(~np.isfinite(state).all(axis=1))
        if len(lost):
            walked = np.nan_to_num(state[lost, c.WALKED])
            state[lost] = 0.0
            state[lost, c.X : c.YAW + 1], state[lost, c.WALKED] = self.now[lost, :4], walked
            velocity_before[lost] = 0.0
        walkers = self.param[:, c.KIND] == c.WALKER
        moved = np.hypot(state[:, c.X] - self.now[:, 0], state[:, c.Y] - self.now[:, 1])
        state[walkers, c.WALKED] += moved[walkers]
        mobile = self.param[:, c.INV_MASS] > 0.0  # physics rights what a client had tilted
        leaning = state[:, c.PITCH : c.ROLL + 1] + state[:, c.GROUND_PITCH : c.GROUND_ROLL + 1]
        self.tilt[mobile] = np.degrees(leaning[mobile])
        report = self.report
        report[:, r.POSE.start : r.POSE.start + 3] = state[:, c.X : c.Z + 1]
        report[:, r.YAW] = 180.0 - (180.0 - np.degrees(state[:, c.YAW])) % 360.0  # 180 stays 180
        report[:, r.PITCH], report[:, r.ROLL] = self.tilt.T
        report[:, r.ACCELERATION] = (state[:, c.VX : c.VZ + 1] - velocity_before) / delta_s
        report[:, r.VELOCITY] = state[:, c.VX : c.VZ + 1]
        report[:, r.YAW_RATE] = np.degrees(state[:, c.YAW_RATE])
        self.before, self.now = self.now, self._places()

    def matrices(self) -> F64:
        """(N, 4, 4) prototype's frame -> world."""
        return _world_matrices(self._places()) @ self.model

    def matrices_before(self) -> F64:
        """(N, 4, 4) the same at the end of the step before the last one."""
        return _world_matrices(self.before) @ self.model

    def ray_boxes(self) -> RayBoxes:
        """The bodies that can be hit, as boxes for rays."""
        world = _world_matrices(self._places())
        keep = self.param[:, c.COLLIDES] != 0.0
        centres = world[:, :3, 3] + world[:, :3, 2] * self.param[:, c.CZ, None]
        extents = self.param[:, [c.EX, c.EY, c.EZ]]
        labels = np.array([a.semantic_tags[0] if a.semantic_tags else Label.NONE for a in self.actors], np.uint8)
        axes = np.ascontiguousarray(world[:, :3, :3].transpose(0, 2, 1))
        radii = np.sqrt((extents * extents).sum(axis=1))
        return RayBoxes(centres[keep], axes[keep], extents[keep], radii[keep], labels[keep])

    def _places(self) -> F64:
        """(N, 6) x, y, z, yaw [rad], pitch, roll [deg]."""
        return np.hstack([self.state[:, c.X : c.YAW + 1], self.tilt])


def _world_matrices(places: F64) -> F64:
    """(N, 4, 4) actor's frame -> world, as Pose.matrix for all rows at once."""
    yaw, (pitch, roll) = places[:, 3], np.radians(places[:, 4:]).T
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    out = np.zeros((len(yaw), 4, 4))
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr
    out[:, 2, 0], out[:, 2, 1], out[:, 2, 2] = sp, -cp * sr, cp * cr
    out[:, :3, 3] = places[:, :3]
    out[:, 3, 3] = 1.0
    return out


def model_matrix(actor: Actor, shape: Shape | None) -> F64:
    """Fits a prototype into the actor's bounding box: props fill it, all others stand on its bottom.

    A walker keeps its proportions: its box is that of a standing body without the arms.
    """
    matrix = np.eye(4)
    if shape is None:
        return matrix
    scale = np.array(actor.extent) / np.array(shape.extent)
    if actor.kind == ActorKind.WALKER:
        scale[:] = scale[2]
    matrix[[0, 1, 2], [0, 1, 2]] = scale
    if actor.kind == ActorKind.PROP:
        matrix[:3, 3] = np.array(actor.box_centre) - scale * np.array(shape.centre)
    else:
        matrix[2, 3] = actor.box_centre[2] - actor.extent[2]
    return matrix
