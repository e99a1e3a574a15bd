"""A drive as a Rerun recording (.rrd), ready to be opened: pictures, boxes, path, map and curves in place and time.

world/map, world/users              outlines of lanes; boxes of all others
world/ego                           the car's pose
world/ego/path                      what was being driven along
world/ego/CAMERA                    mount, lens and pictures, as they lie in the log
curves/speed, throttle, brake, steer, latency_ms        infractions: a text
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bev import CameraRig
from e2e_drive.exchange.extras import rerun
from e2e_drive.exchange.whole import whole
from e2e_drive.logs import Entry, read_drive
from e2e_drive.logs.foxglove import colour_of
from e2e_drive.logs.reader import CAMERA_PREFIX
from e2e_drive.replay import Recording

TIMELINE = "time"  # [s], simulated
_TOPICS = ("/camera/", "/pose", "/users", "/path", "/map", "/ego", "/control", "/timeline", "/infraction")


def write_rerun(recording: Recording, path: Path, done: Callable[[], object] = lambda: None) -> int:
    """Pictures written. done: called after each tick."""
    rr = rerun()
    pictures = 0
    with whole(path) as part:
        stream = rr.RecordingStream("e2e-drive", recording_id=str(recording.path))
        stream.save(part, default_blueprint=_blueprint(rr, recording.rig))
        try:
            rr.set_log_time_enabled(False, recording=stream)  # the clock of the machine that converts says nothing
            _log_rig(rr, stream, recording.rig)
            for entry in read_drive(recording.path, frozenset(_TOPICS)):
                stream.set_time(TIMELINE, duration=entry.time_s)
                _log(rr, stream, entry)
                pictures += entry.topic.startswith(CAMERA_PREFIX)
                if entry.topic == "/control":  # ends a tick
                    done()
        finally:
            stream.disconnect()
    return pictures


def _log_rig(rr: Any, stream: Any, rig: CameraRig) -> None:
    stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    for camera in rig.cameras:
        mount, name = camera.ego_from_optical, f"world/ego/{camera.name}"
        stream.log(name, rr.Transform3D(translation=mount[:3, 3], mat3x3=mount[:3, :3]), static=True)
        lens = rr.Pinhole(
            image_from_camera=camera.intrinsics,
            width=camera.width,
            height=camera.height,
            camera_xyz=rr.ViewCoordinates.RDF,
        )
        stream.log(name, lens, static=True)


def _log(rr: Any, stream: Any, entry: Entry) -> None:
    topic, value, message = entry.topic, entry.value, entry.message
    if topic.startswith(CAMERA_PREFIX):
        kind = f"image/{message.format}"
        picture = rr.EncodedImage(contents=bytes(message.data), media_type=kind)
        stream.log(f"world/ego/{topic.removeprefix(CAMERA_PREFIX)}", picture)
    elif topic == "/pose":
        at, q = message.pose.position, message.pose.orientation
        turn = rr.Quaternion(xyzw=(q.x, q.y, q.z, q.w))
        stream.log("world/ego", rr.Transform3D(translation=(at.x, at.y, at.z), quaternion=turn))
    elif topic == "/users":
        stream.log("world/users", _boxes(rr, value))
    elif topic == "/path":
        lines = [[(p.x, p.y, p.z) for p in line.points] for entity in message.entities for line in entity.lines]
        stream.log("world/ego/path", rr.LineStrips3D(lines, radii=0.15, colors=(25, 230, 75)))
    elif topic == "/map":
        outlines = [np.pad(np.vstack([xy, xy[:1]]), ((0, 0), (0, 1))) for xy in value.values()]
        stream.log("world/map", rr.LineStrips3D(outlines, radii=0.05, colors=(180, 180, 180)), static=True)
    elif topic == "/ego":
        stream.log("curves/speed", rr.Scalars(value.speed_mps))
    elif topic == "/control":
        for name, number in vars(value).items():
            stream.log(f"curves/{name}", rr.Scalars(number))
    elif topic == "/timeline" and value.latency_s is not None:
        stream.log("curves/latency_ms", rr.Scalars(1e3 * value.latency_s))
    elif topic == "/infraction":
        stream.log("infractions", rr.TextLog(f"{value.kind}: {value.message}", level="WARN"))


def _boxes(rr: Any, users: Any) -> Any:
    return rr.Boxes3D(
        centers=np.array([(u.pose.x, u.pose.y, u.z) for u in users]).reshape(-1, 3),
        half_sizes=np.array([(u.length, u.width, u.height) for u in users]).reshape(-1, 3) / 2.0,
        quaternions=[(0.0, 0.0, np.sin(u.pose.yaw / 2.0), np.cos(u.pose.yaw / 2.0)) for u in users],
        labels=[u.type_id for u in users],
        show_labels=False,
        colors=np.array([colour_of(u.type_id) for u in users]).reshape(-1, 4),
    )


def _blueprint(rr: Any, rig: CameraRig) -> Any:
    """The world beside the cameras, curves below; a viewer may do otherwise."""
    bp = rr.blueprint
    cameras = [bp.Spatial2DView(origin=f"world/ego/{name}", name=name) for name in rig.names]
    return bp.Blueprint(
        bp.Vertical(
            bp.Horizontal(bp.Spatial3DView(origin="world", name="world"), bp.Grid(*cameras)),
            bp.TimeSeriesView(origin="curves", name="curves"),
            row_shares=[3, 1],
        ),
        bp.TimePanel(timeline=TIMELINE),
    )
