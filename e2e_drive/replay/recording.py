"""A drive log as the ticks that the driving stack lived through, up to the last whole one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bev import CameraRig, Command, EgoMotion, FloatArray, RouteHint, SensorFrame
from e2e_drive.errors import UserError
from e2e_drive.logs import EgoTruth, Entry, LogEnd, RoadUser, read_drive, read_end, read_metadata
from e2e_drive.logs.about import GRAPH, RIG, RUN, graph_of_record, rig_of_record
from e2e_drive.logs.messages import geometry_of
from e2e_drive.logs.reader import CAMERA_PREFIX
from planner import Control, Trajectory
from scheduling import LinkGeometry, LinkState, Schedule, StageGraph, Timeline
from scheduling.problem import PayloadBytes

NOWHERE = LinkGeometry(rsu=-1, distance_m=float("inf"), line_of_sight=False, blocking_vehicles=0)
_TOPICS = frozenset({
    "/ego", "/hint", "/truth", "/users", "/link", "/payloads", "/schedule", "/timeline", "/trajectory", "/control",
})  # fmt: skip
_NO_HINT = RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M)


@dataclass(frozen=True)
class Tick:
    """What went into one step and what came of it. geometry, link: None in logs that nobody drove by radio.
    schedule, timeline, payloads: on ticks with images. trajectory: one that came into use now. trajectory_frame: of the
    one that was followed, -1 for none. lossy: whether the pictures are not the very pixels that the network saw."""

    frame: SensorFrame
    control: Control
    trajectory_frame: int
    geometry: LinkGeometry | None = None
    link: LinkState | None = None
    schedule: Schedule | None = None
    timeline: Timeline | None = None
    payloads: PayloadBytes = field(default_factory=dict)
    trajectory: Trajectory | None = None
    truth: EgoTruth | None = None
    users: tuple[RoadUser, ...] | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Recording:
    """path: of the log. config: of the drive as it was composed. about: what else the log says of its run. graph: stage
    costs, None if no stack drove."""

    path: Path
    config: DictConfig
    about: Mapping[str, str]
    rig: CameraRig
    graph: StageGraph | None
    end: LogEnd

    @property
    def frame_period_s(self) -> float:
        return float(self.about.get("frame_period_s", "0.1"))

    def ticks(self, pictures: bool = True) -> Iterator[Tick]:
        """In order. A tick is whole when its control is there, and only whole ones are given. pictures=False: frames
        with images have empty ones."""
        topics = _TOPICS | {CAMERA_PREFIX} if pictures else _TOPICS
        gathered: dict[str, Entry] = {}
        hint = _NO_HINT
        for entry in read_drive(self.path, topics):
            if entry.topic == "/ego":
                gathered = {}
            gathered[entry.topic] = entry
            if entry.topic == "/hint":
                hint = entry.value
            if entry.topic == "/control" and "/ego" in gathered:
                yield self._tick(gathered, hint, pictures)
                gathered = {}

    def lanes(self) -> dict[str, FloatArray]:
        """Outlines of the lanes that may be driven on; empty if the log has no map."""
        entry = next(read_drive(self.path, frozenset({"/map"})), None)
        return {} if entry is None else entry.value

    def missing(self, last_s: float) -> str:
        """One line on what a log that was not closed lacks behind its last whole tick, empty if nothing."""
        if self.end.is_whole:
            return ""
        begun = self.end.begun_until_s
        lost = "" if begun is None or begun <= last_s else f", and of what comes then {begun - last_s:.2f} s had begun"
        planned = OmegaConf.select(self.config, "max_s")
        of = "" if planned is None else f" of at most {float(planned):.2f} s planned"
        return (
            f"{self.path} ends abruptly: whole up to {last_s:.2f} s{of}{lost}; "
            f"{self.end.broken_bytes} bytes at its end are no whole record, and how long the drive went on is not known"
        )

    def _tick(self, gathered: Mapping[str, Entry], hint: RouteHint, pictures: bool) -> Tick:
        ego, control = gathered["/ego"], gathered["/control"]
        images, lossy = self._images(gathered, ego.message.time_s) if pictures else (None, False)
        if not pictures and "/hint" in gathered:
            images = {}
        motion: EgoMotion = ego.value
        frame = SensorFrame(ego.message.frame_id, ego.message.time_s, images, self.rig, motion, hint)
        values: dict[str, Any] = {
            topic[1:]: gathered[topic].value
            for topic in ("/link", "/schedule", "/timeline", "/payloads", "/trajectory", "/truth", "/users")
            if topic in gathered
        }
        geometry = geometry_of(gathered["/link"].message) if "/link" in gathered else None
        tick = Tick(frame, control.value, control.message.trajectory_frame_id, geometry, lossy=lossy)
        return replace(tick, **values)

    def _images(self, gathered: Mapping[str, Entry], time_s: float) -> tuple[dict[str, Any] | None, bool]:
        found = {name: gathered[CAMERA_PREFIX + name] for name in self.rig.names if CAMERA_PREFIX + name in gathered}
        if not found and "/hint" not in gathered:
            return None, False
        for camera in self.rig.cameras:
            if camera.name not in found:
                raise UserError(
                    f"{self.path}: camera {camera.name} is missing at {time_s:.2f} s; there are "
                    f"{sorted(found) or 'none: the drive was recorded with log_images=none'}"
                )
            shape = found[camera.name].value.shape
            if shape != (camera.height, camera.width, 3):
                raise UserError(
                    f"{self.path}: camera {camera.name} at {time_s:.2f} s: {camera.width}x{camera.height} pixels are "
                    f"needed, received {shape[1]}x{shape[0]}"
                )
        images = {name: entry.value for name, entry in found.items()}
        return images, any(entry.message.format != "png" for entry in found.values())


def open_recording(path: Path) -> Recording:
    """Raises UserError for what is no log of a drive."""
    if not path.is_file():
        raise UserError(f"log={path}: no such file")
    records = read_metadata(path, head=True)
    if RUN not in records or "config" not in records[RUN]:
        raise UserError(f"{path} holds no drive: it does not say how it was recorded (metadata 'run' with 'config')")
    if RIG not in records:
        raise UserError(f"{path} does not hold the rig of its cameras (metadata 'rig'): it is older than replay is")
    about = records[RUN]
    try:
        config = OmegaConf.create(about["config"])
        rig = rig_of_record(records[RIG])
        graph = graph_of_record(records[GRAPH]) if GRAPH in records else None
    except (KeyError, TypeError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: what it says of its run is damaged: {error}") from error
    assert isinstance(config, DictConfig)
    return Recording(path, config, about, rig, graph, read_end(path))
