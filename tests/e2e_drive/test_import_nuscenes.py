"""A scene of nuScenes becomes a log of ours, with everything where it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_cases import (
    NUS_CAMERAS,
    NUS_MARK,
    NUS_SPEED,
    NUS_YAW,
    disc,
    nus_pixel,
    nus_place,
    write_nuscenes,
)
from stack_cases import random_weights

from e2e_drive.cli import main
from e2e_drive.replay import Recording, open_recording

AHEAD_M = 1.5
LAST_S = 1.5  # of four key frames


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


def cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["import", "format=nuscenes", *words])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def imported(capsys: pytest.CaptureFixture[str], root: Path, out: Path, *words: str) -> Recording:
    code, _, err = cli(capsys, f"source={root}", f"out={out}", f"ahead_m={AHEAD_M}", "images=png", *words)
    assert code == 0, err
    return open_recording(out / "drive.mcap")


def test_everything_lands_where_it_was(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = imported(capsys, root, tmp_path)
    ticks = list(recording.ticks())
    assert [tick.frame.time_s for tick in ticks] == pytest.approx(0.05 * np.arange(31))
    assert recording.frame_period_s == pytest.approx(0.083)
    assert sum(tick.frame.images is not None for tick in ticks) == 19  # at 12 Hz
    ahead = AHEAD_M * np.array([math.cos(NUS_YAW), math.sin(NUS_YAW)])
    for tick in ticks:
        truth, time_s = tick.truth, tick.frame.time_s
        assert truth is not None
        assert (truth.pose.x, truth.pose.y) == pytest.approx(tuple(nus_place(time_s)[:2] + ahead), abs=1e-3)
        assert truth.pose.yaw == pytest.approx(NUS_YAW)
        assert truth.speed_mps == pytest.approx(NUS_SPEED, abs=1e-3)
        assert tick.frame.ego.yaw_rate_rps == pytest.approx(0.0, abs=1e-6)
        assert math.isnan(tick.control.throttle)  # the tables do not hold it
    assert ticks[-1].truth is not None
    assert ticks[-1].truth.route_progress_m == pytest.approx(NUS_SPEED * LAST_S, abs=0.01)


def test_boxes_move_between_key_frames(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = {
        round(tick.frame.time_s, 2): {user.actor_id: user for user in tick.users or ()}
        for tick in imported(capsys, root, tmp_path).ticks()
    }
    for time_s, users in others.items():
        car = users[1]
        assert (car.pose.x, car.pose.y, car.z) == pytest.approx((1000.0 + 4.0 * time_s, 630.0, 0.9))
        yaw = 3.0 + 0.4 * time_s  # goes through pi
        assert math.cos(car.pose.yaw - yaw) == pytest.approx(1.0)
        assert abs(car.pose.yaw) <= math.pi
        assert (car.length, car.width, car.height) == (4.4, 1.8, 1.6)  # nuScenes: width, length, height
        assert car.type_id == "vehicle.car"
        assert (2 in users) == (time_s == 0.5)  # annotated at one key frame alone
    assert others[0.5][2].type_id == "walker.pedestrian.adult"


def test_the_calibration_projects_as_theirs(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The devkit's chain of frames, less the way from the optical axis to the middle of the picture."""
    recording = imported(capsys, root, tmp_path)
    assert recording.rig.names == tuple(sorted(NUS_CAMERAS))
    shift = np.array([160.0, 90.0]) - (163.3, 98.3)
    random, checked = np.random.default_rng(1), 0
    first = next(recording.ticks())
    assert first.truth is not None
    for camera in recording.rig.cameras:
        for _ in range(40):
            point = nus_place(0.0) + random.uniform((-60, -60, -1), (60, 60, 8))
            wanted, depth = nus_pixel(camera.name, 0.0, point)
            if depth > 2.0:
                xy = first.truth.pose.transform_to_local(point[None, :2])[0]
                found, found_depth = camera.project(np.array([*xy, point[2]]))
                assert found_depth == pytest.approx(depth, abs=1e-6)
                assert found == pytest.approx(wanted + shift, rel=1e-6, abs=1e-5)
                checked += 1
    assert checked > 40
    seen = 0
    for tick in recording.ticks():
        for name in recording.rig.names if tick.frame.images else ():
            # pictures are at most 25 ms, and cameras 12 ms, from their tick: 0.3 m of 50
            pixel, depth = nus_pixel(name, tick.frame.time_s, NUS_MARK)
            middle = disc((tick.frame.images or {})[name])
            if depth > 0 and (np.abs(pixel + shift - (160, 90)) < (150, 80)).all():
                assert middle == pytest.approx(pixel + shift, abs=1.5)
                seen += 1
    assert seen >= 19


def test_a_rig_of_ours_is_made_of_theirs(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cli(capsys, f"source={root}", f"out={tmp_path}", "rig=quad")
    assert code == 0, err
    assert "front_left: " in out
    assert "tele: 100 % seen by CAM_FRONT" in out
    ticks = list(open_recording(tmp_path / "drive.mcap").ticks())
    assert {name: image.shape for name, image in (ticks[0].frame.images or {}).items()} == dict.fromkeys(
        ("front_left", "front_right", "tele", "rear"), (128, 256, 3)
    )


def test_a_scene_is_replayed_by_the_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, root = random_weights(tmp_path / "weights"), write_nuscenes(tmp_path / "root", key_frames=2)
    assert cli(capsys, f"source={root}", f"out={tmp_path}", "rig=quad", f"weights={weights}")[0] == 0
    with pytest.raises(SystemExit) as ended:
        main(["replay", "mode=model", f"log={tmp_path}/drive.mcap", f"out={tmp_path}"])
    assert ended.value.code == 0
    found = json.loads((tmp_path / "replay.json").read_text())
    assert found["frames"] == 7
    assert found["control_change"] is None  # nobody knows what the driver did


def changed(root: Path, table: str, row: int, **values: Any) -> Path:
    """The same tables with one row other; the pictures are the old ones."""
    path = root / f"v1.0-mini/{table}.json"
    rows = json.loads(path.read_text())
    rows[row] |= values
    path.write_text(json.dumps(rows))
    return root


@pytest.mark.parametrize(
    ("table", "values", "told"),
    [
        ("sample_data", {"ego_pose_token": "gone"}, "there is no row 'gone', which"),
        ("ego_pose", {"rotation": [2.0, 0, 0, 0]}, "must be a unit quaternion, received [2.0, 0.0, 0.0, 0.0]"),
        ("sample_annotation", {"size": [1.0]}, "row 0: field 'size' must be numbers of shape (3,), received [1.0]"),
        ("sample_data", {"filename": "samples/no.jpg"}, "samples/no.jpg: no such picture"),
        ("sample", {"next": "0k0"}, "leads back to a sample before it"),
    ],
)
def test_bad_tables_are_one_line_and_leave_nothing(
    table: str, values: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = changed(write_nuscenes(tmp_path / "root", key_frames=2), table, 0, **values)
    code, _, err = cli(capsys, f"source={root}", f"out={tmp_path}/out")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert told in err
    assert not (tmp_path / "out").exists()


def test_scenes_and_tables_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_nuscenes(tmp_path / "root", key_frames=2, scenes=2)
    out = f"out={tmp_path}/out"
    assert "has 2 of them: scene-0000, scene-0001" in cli(capsys, f"source={root}", out)[2]
    assert "scene: there is no scene-7" in cli(capsys, f"source={root}", out, "scene=scene-7")[2]
    assert cli(capsys, f"source={root}", out, "scene=scene-0001")[0] == 0
    (root / "v1.0-mini/ego_pose.json").unlink()
    code, _, err = cli(capsys, f"source={root}", out, "scene=t1")
    assert code == 2
    assert "ego_pose.json: no such file; nuScenes' table ego_pose is needed" in err
    assert "one folder v1.0-* with scene.json is needed, there are: none" in cli(capsys, f"source={tmp_path}", out)[2]
