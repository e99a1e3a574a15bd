"""A foreign drive as a log of ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from bev import CameraRig, ImageArray, SensorFrame
from carla_bridge.odometry import Odometer
from e2e_drive.errors import UserError
from e2e_drive.exchange.foreign import ForeignDrive, ForeignFrame, SourceCamera
from e2e_drive.exchange.views import View
from e2e_drive.exchange.whole import whole
from e2e_drive.logs import DriveLog, EgoTruth
from e2e_drive.logs.pictures import JPEG_QUALITY
from planner import Control

UNKNOWN = Control(math.nan, math.nan, math.nan)  # of a source that does not say what the driver did


def write_log(
    drive: ForeignDrive,
    views: Sequence[View],
    path: Path,
    about: Mapping[str, str],
    images: str,
    quality: int = JPEG_QUALITY,
    done: Callable[[], object] = lambda: None,
) -> int:
    """How many ticks were written. views: the cameras of the log. about: what the log says of its run besides what the
    drive itself does. images, quality: see `e2e_drive.logs.pictures`. done: called after each tick. Nothing is left of
    a drive that cannot be read to its end."""
    rig = CameraRig(tuple(view.camera for view in views))
    cameras = {camera.name: camera for camera in drive.cameras}
    odometer, progress_m = Odometer(), 0.0
    last: ForeignFrame | None = None
    written = 0
    with whole(path) as part, DriveLog(part, {**drive.about, **about, "frame_period_s": str(drive.period_s)}) as log:
        log.rig(rig, 0.0)
        for frame in drive.frames:
            if last is not None:
                progress_m += math.hypot(frame.pose.x - last.pose.x, frame.pose.y - last.pose.y)
            delta_s = 0.0 if last is None else frame.time_s - last.time_s
            ego = odometer.update(frame.speed_mps, frame.yaw_rate_rps, delta_s)
            pictures = None if frame.pictures is None else _pictures(frame, views, cameras)
            seen = SensorFrame(frame.number, frame.time_s, pictures, rig, ego, frame.hint)
            log.frame(seen, images=images, quality=quality)
            log.truth(EgoTruth(frame.number, frame.pose, frame.speed_mps, progress_m), frame.time_s)
            log.place(frame.pose, frame.z_m, None, frame.time_s)
            if frame.users is not None:
                log.users(frame.users, frame.time_s)
            log.control(frame.control or UNKNOWN, -1, frame.time_s)
            last, written = frame, written + 1
            done()
    return written


def _pictures(frame: ForeignFrame, views: Sequence[View], cameras: Mapping[str, SourceCamera]) -> dict[str, ImageArray]:
    read: dict[str, ImageArray] = {}

    def of(name: str) -> ImageArray:
        if name not in read:
            assert frame.pictures is not None
            read[name] = _read(frame, cameras[name], frame.pictures.get(name))
        return read[name]

    return {view.camera.name: view.picture(of) for view in views}


def _read(frame: ForeignFrame, camera: SourceCamera, path: Path | None) -> ImageArray:
    where = f"camera {camera.name} at {frame.time_s:.2f} s (frame {frame.number})"
    if path is None or not path.is_file():
        raise UserError(f"{path or where}: no such picture{'' if path is None else f', wanted for {where}'}")
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f"{path}: no picture that can be read, wanted for {where}")
    if picture.shape[:2] != (camera.height, camera.width):
        raise UserError(
            f"{path}: {camera.width}x{camera.height} pixels are needed, as its calibration says, received "
            f"{picture.shape[1]}x{picture.shape[0]}"
        )
    return np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)
