"""nuScenes' JSON tables (`docs/schema_nuscenes.md` of its devkit) and pictures.

    SOURCE/v1.0-mini/scene.json, sample.json, sample_data.json, ego_pose.json, calibrated_sensor.json, sensor.json,
                     sample_annotation.json, instance.json, category.json, log.json
    SOURCE/samples/CAM_FRONT/....jpg, SOURCE/sweeps/...

Cameras run at about 12 Hz, each at its own moment; boxes are given at 2 Hz. A log has ticks every 0.05 s: pictures
belong to the tick nearest to the exposure of the reference camera, the car's pose and the boxes are interpolated to it.
The tables hold no controls, no speed and no route: speeds are those of the poses, the hint says nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bev import Command, FloatArray, Pose2D, RouteHint
from carla_bridge.convert import compose, wrap_angle
from e2e_drive.errors import UserError
from e2e_drive.exchange.annotations import Annotations
from e2e_drive.exchange.foreign import ForeignDrive, ForeignFrame, SourceCamera
from e2e_drive.exchange.tables import Row, Tables

TICK_S = 0.05
REFERENCE = "CAM_FRONT"  # whose exposures make a frame; the first camera where there is none of this name
_APART_S = 0.1  # a picture farther from the reference camera's exposure does not belong to it
_NOTHING_SAID = RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M)


@dataclass(frozen=True)
class _Way:
    """The car's poses by time. times: (N,) [s]. xyz: (N, 3) of our ego frame. yaws: (N,) unwrapped."""

    times: FloatArray
    xyz: FloatArray
    yaws: FloatArray

    def at(self, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        place = [np.interp(times, self.times, self.xyz[:, i]) for i in range(3)]
        return np.stack(place, axis=-1), np.interp(times, self.times, self.yaws)


def open_nuscenes(source: Path, scene: str | None, ahead_m: float) -> ForeignDrive:
    """scene: name or token; None: the only one. ahead_m: from the rear axle to the middle of the car."""
    tables = Tables(source)
    row = _scene(tables, scene)
    samples = _samples(tables, row)
    data = [d for d in tables.rows("sample_data") if d.text("sample_token") in samples]
    pictures = _pictures(tables, data)
    reference = REFERENCE if REFERENCE in pictures else next(iter(pictures))
    begin_us = pictures[reference][0].number("timestamp")

    def seconds(record: Row) -> float:
        return 1e-6 * (record.number("timestamp") - begin_us)

    exposures = {name: [seconds(d) for d in rows] for name, rows in pictures.items()}
    way = _way(tables, data, seconds, ahead_m)
    ticks = int(np.floor(exposures[reference][-1] / TICK_S + 0.5)) + 1
    annotations = Annotations(tables, {token: seconds(sample) for token, sample in samples.items()})
    gaps = np.diff(exposures[reference])
    return ForeignDrive(
        source=source,
        cameras=tuple(_camera(tables, name, rows[0], ahead_m) for name, rows in pictures.items()),
        frames=_frames(ticks, way, annotations, _by_tick(source, pictures, exposures, reference)),
        count=ticks,
        period_s=round(float(np.median(gaps)), 3) if len(gaps) else TICK_S,
        about={
            "format": "nuscenes",
            "source": row.text("name"),
            "location": tables.row("log", row, "log_token").text("location"),
        },
    )


def _scene(tables: Tables, wanted: str | None) -> Row:
    scenes = list(tables.rows("scene"))
    found = [s for s in scenes if wanted in (s.text("name"), s.text("token"))] if wanted is not None else scenes
    if len(found) != 1:
        names = ", ".join(scene.text("name") for scene in scenes[:8]) + (", ..." if len(scenes) > 8 else "")
        said = "one must be named" if wanted is None else f"there is no {wanted}"
        raise UserError(f"scene: {said}; {tables.folder} has {len(scenes)} of them: {names or 'none'}")
    return found[0]


def _samples(tables: Tables, scene: Row) -> dict[str, Row]:
    """Token -> key frame, in order of time."""
    found: dict[str, Row] = {}
    row = tables.row("sample", scene, "first_sample_token")
    while True:
        found[row.text("token")] = row
        if not row.text("next"):
            return found
        row = tables.row("sample", row, "next")
        if row.text("token") in found:
            raise UserError(f"{row.where}: field 'next' leads back to a sample before it")


def _pictures(tables: Tables, data: Iterable[Row]) -> dict[str, list[Row]]:
    """Camera -> its pictures in order of time."""
    found: dict[str, list[Row]] = {}
    for row in data:
        sensor = tables.row("sensor", tables.row("calibrated_sensor", row, "calibrated_sensor_token"), "sensor_token")
        if sensor.text("modality") == "camera":
            found.setdefault(sensor.text("channel"), []).append(row)
    if not found:
        raise UserError(f"{tables.folder / 'sample_data.json'}: no picture of a camera belongs to the scene")
    return {name: sorted(found[name], key=lambda row: row.number("timestamp")) for name in sorted(found)}


def _camera(tables: Tables, name: str, picture: Row, ahead_m: float) -> SourceCamera:
    calibration = tables.row("calibrated_sensor", picture, "calibrated_sensor_token")
    ego_from_optical = np.eye(4)
    ego_from_optical[:3, :3] = calibration.rotation("rotation").as_matrix()
    ego_from_optical[:3, 3] = calibration.numbers("translation", (3,)) - (ahead_m, 0.0, 0.0)
    width, height = (round(picture.number(field)) for field in ("width", "height"))
    return SourceCamera(name, width, height, calibration.numbers("camera_intrinsic", (3, 3)), ego_from_optical)


def _way(tables: Tables, data: Iterable[Row], seconds: Callable[[Row], float], ahead_m: float) -> _Way:
    poses = {}
    for row in data:
        pose = tables.row("ego_pose", row, "ego_pose_token")
        yaw = pose.yaw("rotation")
        x, y, z = pose.numbers("translation", (3,)).tolist()
        middle = compose(Pose2D(x, y, yaw), Pose2D(ahead_m, 0.0, 0.0))
        poses[seconds(pose)] = (middle.x, middle.y, z, yaw)
    times = sorted(poses)
    table = np.array([poses[time_s] for time_s in times])
    return _Way(np.array(times), table[:, :3], np.unwrap(table[:, 3]))


def _by_tick(
    source: Path, pictures: Mapping[str, Sequence[Row]], exposures: Mapping[str, Sequence[float]], reference: str
) -> dict[int, dict[str, Path]]:
    """Tick -> camera -> its picture nearest to the reference camera's exposure."""
    found: dict[int, dict[str, Path]] = {}
    for exposed_s in exposures[reference]:
        chosen = {}
        for name, times in exposures.items():
            after = bisect_left(times, exposed_s)
            nearest = min(range(max(0, after - 1), min(len(times), after + 1)), key=lambda i: abs(times[i] - exposed_s))
            if abs(times[nearest] - exposed_s) <= _APART_S:
                chosen[name] = source / pictures[name][nearest].text("filename")
        found[int(np.floor(exposed_s / TICK_S + 0.5))] = chosen
    return found


def _frames(
    ticks: int, way: _Way, annotations: Annotations, pictures: Mapping[int, Mapping[str, Path]]
) -> Iterator[ForeignFrame]:
    times = np.arange(ticks) * TICK_S
    xyz, yaws = way.at(times)
    speeds, yaw_rates = np.zeros(ticks), np.zeros(ticks)
    if ticks > 1:
        vx, vy, yaw_rates = (np.asarray(np.gradient(values, TICK_S)) for values in (xyz[:, 0], xyz[:, 1], yaws))
        speeds = vx * np.cos(yaws) + vy * np.sin(yaws)
    for tick in range(ticks):
        time_s = round(tick * TICK_S, 6)
        x, y, z = xyz[tick].tolist()
        yield ForeignFrame(
            number=tick,
            time_s=time_s,
            pose=Pose2D(x, y, wrap_angle(float(yaws[tick]))),
            z_m=z,
            speed_mps=float(speeds[tick]),
            yaw_rate_rps=float(yaw_rates[tick]),
            control=None,
            hint=_NOTHING_SAID,
            pictures=pictures.get(tick),
            users=annotations.users(time_s, TICK_S / 2.0),
        )
