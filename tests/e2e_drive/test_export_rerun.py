"""A log as a Rerun recording, without a screen, read back with Rerun's own readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from export_cases import RIG, path_at, picture, pose_at, user_at, write_log

from e2e_drive.exchange.lerobot import write_lerobot
from e2e_drive.exchange.rerun_recording import write_rerun
from e2e_drive.replay import open_recording

pytest.importorskip("rerun", reason="there is no rerun-sdk of this age for Python 3.10")
from rerun.chunk import RrdReader
from rerun.experimental import LeRobotReader

TICKS, FRAMES = 25, 13
SHIPPED = Path(__file__).resolve().parents[1] / "golden/drive.mcap"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("log") / "drive.mcap", TICKS)


def read_rrd(path: Path) -> dict[tuple[str, str], list[tuple[float | None, Any]]]:
    """(entity, component) -> (time [s] or None, value) in order, by Rerun's own reader."""
    found: dict[tuple[str, str], list[tuple[float | None, Any]]] = {}
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        times = [None] * chunk.num_rows
        if not chunk.is_static:
            times = [value / 1e9 for value in batch.column("time").cast("int64").to_pylist()]
            assert chunk.timeline_names == ["time"]
        for name in batch.schema.names:
            if ":" in name:
                values = batch.column(name).to_pylist()
                found.setdefault((chunk.entity_path, name), []).extend(zip(times, values, strict=True))
    return {key: sorted(rows, key=lambda row: row[0] or 0.0) for key, rows in found.items()}


def test_rerun_holds_pictures_boxes_path_and_time(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "drive.rrd"
    assert write_rerun(open_recording(log), out) == FRAMES * len(RIG.cameras)
    found = read_rrd(out)
    moments = pytest.approx(0.1 * np.arange(FRAMES))
    for camera in RIG.cameras:
        entity = f"/world/ego/{camera.name}"
        pictures = found[entity, "EncodedImage:blob"]
        assert [time_s for time_s, _ in pictures] == moments
        for i, (_, value) in enumerate(pictures):
            bgr = cv2.imdecode(np.frombuffer(bytes(value[0]), np.uint8), cv2.IMREAD_COLOR)
            assert bgr is not None
            np.testing.assert_array_equal(bgr[:, :, ::-1], picture(camera, i))
        lens = np.array(found[entity, "Pinhole:image_from_camera"][0][1][0]).reshape(3, 3).T  # by columns
        np.testing.assert_allclose(lens, camera.intrinsics, rtol=1e-6)
        place = found[entity, "Transform3D:translation"][0]
        assert (place[0], place[1][0]) == (None, pytest.approx([camera.x, camera.y, camera.z]))
    centres = found["/world/users", "Boxes3D:centers"]
    assert [time_s for time_s, _ in centres] == moments
    for time_s, value in centres:
        user = user_at(float(time_s or 0.0))
        assert value[0] == pytest.approx([user.pose.x, user.pose.y, user.z], abs=1e-5)
    assert found["/world/users", "Boxes3D:half_sizes"][0][1][0] == pytest.approx([2.25, 0.9, 0.8])
    path = found["/world/ego/path", "LineStrips3D:strips"]
    assert [time_s for time_s, _ in path] == moments
    np.testing.assert_allclose(np.array(path[4][1][0])[:, :2], path_at(), rtol=1e-6)
    for time_s, value in found["/world/ego", "Transform3D:translation"]:
        pose = pose_at(float(time_s or 0.0))
        assert value[0] == pytest.approx([pose.x, pose.y, 0.25], abs=1e-5)
    assert len(found["/world/map", "LineStrips3D:strips"][0][1][0]) == 5  # four corners, closed
    assert len(found["/curves/speed", "Scalars:scalars"]) == TICKS
    assert "red_light" in found["/infractions", "TextLog:text"][0][1][0]


def test_the_shipped_log_renders(tmp_path: Path) -> None:
    recording, out = open_recording(SHIPPED), tmp_path / "drive.rrd"
    assert write_rerun(recording, out) > 0
    found = read_rrd(out)
    seen = [found[f"/world/ego/{name}", "EncodedImage:blob"] for name in recording.rig.names]
    boxes, path = found["/world/users", "Boxes3D:centers"], found["/world/ego/path", "LineStrips3D:strips"]
    for rows in (*seen, boxes, path, found["/world/ego", "Transform3D:translation"]):
        times = [time_s for time_s, _ in rows]
        assert len(times) > 10
        assert times == sorted(set(times))  # a time line of its own, no moment twice
    assert found["/world/map", "LineStrips3D:strips"][0][0] is None  # for ever


def test_another_reader_of_lerobot_finds_the_episodes(log: Path, tmp_path: Path) -> None:
    """Rerun's own, written by other people after the same documentation."""
    short = write_log(tmp_path / "short.mcap", 14)
    write_lerobot([open_recording(log), open_recording(short)], tmp_path / "set")
    reader = LeRobotReader(tmp_path / "set")
    assert (reader.version, reader.episodes()) == ("v3", [0, 1])
    for episode, count in enumerate((FRAMES, 7)):
        rows: dict[str, int] = {}
        for chunk in reader.stream(episode).to_chunks():
            if set(chunk.to_record_batch().schema.names) & {
                "Scalars:scalars",
                "VideoStream:sample",
                "TextDocument:text",
            }:
                rows[chunk.entity_path] = rows.get(chunk.entity_path, 0) + chunk.num_rows
        pictures = [f"/observation.images.{name}" for name in RIG.names]
        names = ["/action", "/observation.state", "/truth.pose", "/time_s", "/task", *pictures]
        assert rows == dict.fromkeys(names, count)
