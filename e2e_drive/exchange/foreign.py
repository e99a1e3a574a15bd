"""What an importer makes of somebody else's recording: our frames of reference, our units, their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bev import FloatArray, Pose2D, RouteHint
from e2e_drive.logs import RoadUser
from planner import Control


@dataclass(frozen=True)
class SourceCamera:
    """A pinhole camera of theirs, undistorted. intrinsics: (3, 3), pixel centres at +0.5. ego_from_optical: (4, 4),
    into our ego frame."""

    name: str
    width: int
    height: int
    intrinsics: FloatArray
    ego_from_optical: FloatArray


@dataclass(frozen=True)
class ForeignFrame:
    """One tick. pose, z_m: of our ego frame in the world. control: None where the source has none. pictures: camera ->
    file, None on ticks between two exposures. users: None where nothing is known of others."""

    number: int
    time_s: float
    pose: Pose2D
    z_m: float
    speed_mps: float
    yaw_rate_rps: float
    control: Control | None
    hint: RouteHint
    pictures: Mapping[str, Path] | None
    users: tuple[RoadUser, ...] | None


@dataclass(frozen=True)
class ForeignDrive:
    """frames: read as they are iterated over. count: how many there are. period_s: between two frames with pictures.
    blind: cameras that have a calibration and no pictures. about: what the log says of where it comes from."""

    source: Path
    cameras: tuple[SourceCamera, ...]
    frames: Iterable[ForeignFrame]
    count: int
    period_s: float
    blind: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
