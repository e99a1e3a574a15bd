"""Writes one drive into one append-only MCAP file, so that a run that dies keeps all but its last moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mcap_protobuf.writer import Writer

from bev import CameraRig, FloatArray, Pose2D, SensorFrame
from e2e_drive.logs import foxglove as fg
from e2e_drive.logs import labels as lb
from e2e_drive.logs import messages as m
from e2e_drive.logs.about import RIG, RUN, rig_record
from e2e_drive.logs.pictures import JPEG, JPEG_QUALITY, NONE, image_message
from planner.types import Control, Trajectory
from scheduling.problem import PayloadBytes
from scheduling.types import LinkGeometry, LinkState, Schedule, StageGraph, Timeline

# A chunk goes to the file when it has grown past this. Ego state and control alone fill it in under half a simulated
# second (about 160 bytes a tick), a camera frame fills it at once.
CHUNK_BYTES = 1024
FLUSH_EVERY_S = 0.5  # simulated


class DriveLog:
    """One drive as an MCAP file. Every time stamp is simulated time: same seed, same payloads."""

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        """metadata: what a reader needs to know about the run (config, seeds, versions)."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("wb")
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES)
        self._writer.add_metadata(RUN, dict(metadata))
        self._file.flush()
        self._flushed_s = 0.0
        self._finished = False

    def rig(self, rig: CameraRig, time_s: float) -> None:
        """Once, before the first frame."""
        self._writer.add_metadata(RIG, rig_record(rig))
        self._write("/tf", fg.mounts_message(rig, time_s), time_s)
        for camera in rig.cameras:
            self._write(f"/calibration/{camera.name}", fg.calibration_message(camera, time_s), time_s)

    def lanes(self, lanes: Mapping[str, FloatArray], time_s: float) -> None:
        """Outlines of the lanes that may be driven on, name -> (N, 2) in the world. Once."""
        self._write("/map", fg.lanes_message(lanes, time_s), time_s)

    def place(
        self, pose: Pose2D, z_m: float, latitude_longitude_deg: tuple[float, float] | None, time_s: float
    ) -> None:
        """Where the car really is, for viewers."""
        self._write("/tf", fg.ego_transform_message(pose, z_m, time_s), time_s)
        self._write("/pose", fg.pose_in_frame_message(pose, z_m, time_s), time_s)
        if latitude_longitude_deg is not None:
            self._write("/location", fg.location_message(*latitude_longitude_deg, time_s), time_s)

    def users(self, users: Sequence[fg.RoadUser], time_s: float) -> None:
        """All others as they really are."""
        self._write("/users", fg.users_message(users, time_s), time_s)

    def planned_path(self, path: FloatArray, time_s: float) -> None:
        """(N, 2) in the ego frame of that time: what is being driven along, for viewers."""
        self._write("/path", fg.path_message(path, time_s), time_s)

    def frame(self, frame: SensorFrame, *, images: str = JPEG, quality: int = JPEG_QUALITY) -> None:
        """images: png | jpeg | none (they are by far the largest part)."""
        self._write("/ego", m.ego_message(frame.frame_id, frame.time_s, frame.ego), frame.time_s)
        if frame.images is None:
            return
        self._write("/hint", m.hint_message(frame.frame_id, frame.hint), frame.time_s)
        for name, image in frame.images.items() if images != NONE else ():
            self._write(f"/camera/{name}", image_message(name, image, frame.time_s, images, quality), frame.time_s)

    def link(self, state: LinkState, geometry: LinkGeometry, time_s: float) -> None:
        self._write("/link", m.link_message(state, geometry), time_s)

    def schedule(self, frame_id: int, schedule: Schedule, graph: StageGraph, time_s: float) -> None:
        self._write("/schedule", m.schedule_message(frame_id, schedule, graph), time_s)

    def payloads(self, frame_id: int, payloads: PayloadBytes, time_s: float) -> None:
        """What tensors weighed when they left their tier in this frame."""
        self._write("/payloads", m.payloads_message(frame_id, payloads), time_s)

    def timeline(self, timeline: Timeline, time_s: float) -> None:
        self._write("/timeline", m.timeline_message(timeline), time_s)

    def trajectory(self, trajectory: Trajectory, time_s: float) -> None:
        """time_s: when it was first used."""
        self._write("/trajectory", m.trajectory_message(trajectory), time_s)

    def control(self, control: Control, trajectory_frame_id: int, time_s: float) -> None:
        self._write("/control", m.control_message(control, trajectory_frame_id), time_s)

    def truth(self, truth: m.EgoTruth, time_s: float) -> None:
        self._write("/truth", m.truth_message(truth), time_s)

    def labels(self, labels: lb.Labels, time_s: float) -> None:
        self._write("/labels", lb.labels_message(labels), time_s)

    def depth(self, depth_m: Mapping[str, FloatArray], time_s: float) -> None:
        """By camera, metres along the optical axis."""
        for name, depth in depth_m.items():
            self._write(f"/depth/{name}", lb.depth_message(name, depth, time_s), time_s)

    def infraction(self, note: m.InfractionNote, time_s: float) -> None:
        self._write("/infraction", m.infraction_message(note), time_s)

    def add_metadata(self, name: str, data: Mapping[str, str]) -> None:
        self._writer.add_metadata(name, dict(data))

    def copy(self, topic: str, message: Any, time_s: float) -> None:
        """A message as it was read from another log."""
        self._write(topic, message, time_s)

    def _write(self, topic: str, message: Any, time_s: float) -> None:
        stamp_ns = round(time_s * 1e9)
        self._writer.write_message(topic, message, log_time=stamp_ns, publish_time=stamp_ns)
        if time_s - self._flushed_s >= FLUSH_EVERY_S:
            self._file.flush()
            self._flushed_s = time_s

    def close(self) -> None:
        """Writes the index and closes; a log that was never closed is still read up to its last whole chunk."""
        if not self._finished:
            self._finished = True
            self._writer.finish()
            self._file.close()

    def __enter__(self) -> DriveLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
