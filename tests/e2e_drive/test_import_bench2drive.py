"""A clip of Bench2Drive becomes a log of ours, with everything where it was."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foreign_cases import (
    B2D_CAMERAS,
    B2D_SPEED,
    B2D_YAW_RATE,
    BASE,
    EXTENT,
    MARK,
    b2d_anno,
    b2d_pixel,
    b2d_transform,
    disc,
    marked,
    moved,
    save,
    write_b2d,
)
from stack_cases import random_weights

from bev import Command
from e2e_drive.cli import main
from e2e_drive.replay import Recording, open_recording

FRAMES = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_b2d(tmp_path_factory.mktemp("b2d") / "Accident_Town03_Route156_Weather0", FRAMES)


def cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def imported(capsys: pytest.CaptureFixture[str], clip: Path, out: Path, *words: str) -> Recording:
    code, _, err = cli(capsys, "import", "format=bench2drive", f"source={clip}", f"out={out}", *words)
    assert code == 0, err
    return open_recording(out / "drive.mcap")


def test_everything_lands_where_it_was(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: CARLA's own transforms, mirrored in y."""
    recording = imported(capsys, clip, tmp_path, "images=png")
    ticks = list(recording.ticks())
    assert [tick.frame.frame_id for tick in ticks] == list(range(FRAMES))
    assert [tick.frame.time_s for tick in ticks] == pytest.approx(0.1 * np.arange(FRAMES))
    for i, tick in enumerate(ticks):
        at, truth = b2d_transform(i), tick.truth
        ground = moved(at, BASE.x, BASE.y, BASE.z - EXTENT.z)
        assert truth is not None
        assert (truth.pose.x, truth.pose.y) == pytest.approx((ground.x, -ground.y), abs=1e-4)
        assert truth.pose.yaw == pytest.approx(0.02 * i, abs=1e-6)  # to the left
        assert truth.speed_mps == pytest.approx(B2D_SPEED if i else 5.5)  # where the speedometer says nothing: its box
        assert tick.frame.ego.yaw_rate_rps == pytest.approx(-B2D_YAW_RATE)
        assert vars(tick.control) == pytest.approx({"throttle": 0.5, "brake": 0.0, "steer": 0.25})
        assert (tick.frame.hint.command, tick.frame.hint.distance_m) == (
            (Command.LEFT, pytest.approx(20.0)) if i else (Command.STRAIGHT, 60.0)
        )
        others = {user.actor_id: user for user in tick.users or ()}
        assert set(others) == {31, 88, 52}
        ahead = moved(at, 20.0, 2.0, 0.0)
        assert (others[31].pose.x, others[31].pose.y) == pytest.approx((ahead.x, -ahead.y), abs=1e-4)
        assert others[31].pose.yaw == pytest.approx(truth.pose.yaw - math.radians(30.0), abs=1e-5)
        assert others[88].pose.yaw == pytest.approx(-math.pi / 2)  # of its matrix: its rotation is wrong
        assert (others[31].length, others[31].width, others[31].height) == pytest.approx((4.2, 2.0, 1.4))
        assert others[52].z == pytest.approx(1.2)
    assert ticks[-1].frame.ego.odometry.yaw == pytest.approx(0.02 * (FRAMES - 1), abs=1e-6)


def test_the_calibration_projects_as_theirs(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The published recipe and our cameras agree on every pixel; and the pictures pass untouched."""
    recording = imported(capsys, clip, tmp_path, "images=png")
    assert set(recording.rig.names) == set(B2D_CAMERAS)  # not the picture from above
    random = np.random.default_rng(0)
    for i, tick in enumerate(recording.ticks()):
        assert tick.truth is not None
        at, pose, seen = b2d_transform(i), tick.truth.pose, 0
        z = (BASE.z - EXTENT.z) + at.location.z
        for camera in recording.rig.cameras:
            theirs = b2d_anno(i)["sensors"][camera.name]
            for _ in range(20):
                place = moved(at, *random.uniform((-60, -60, -1), (60, 60, 6)).tolist())
                wanted, depth = b2d_pixel(theirs, place)
                if depth < 2.0:
                    continue
                xy = pose.transform_to_local(np.array([[place.x, -place.y]]))[0]
                found, found_depth = camera.project(np.array([*xy, place.z - z]))
                assert found_depth == pytest.approx(depth, abs=1e-3)
                assert found == pytest.approx(wanted, abs=0.02 + 2e-4 * np.abs(wanted).max())
                seen += 1
            assert tick.frame.images is not None
            pixel, depth = b2d_pixel(theirs, MARK)
            middle = disc(tick.frame.images[camera.name])
            if depth > 0 and 4 < pixel[0] < camera.width - 4 and 4 < pixel[1] < camera.height - 4:
                assert middle == pytest.approx(pixel, abs=0.3)
        assert seen > 30


def test_a_rig_of_ours_sees_the_same_world(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mark in the world is in the remade pictures where the log's own calibration says."""
    recording = imported(capsys, clip, tmp_path, "images=png", "rig=quad")
    assert recording.rig.names == ("front_left", "front_right", "tele", "rear")
    lenses = [(x - BASE.x, BASE.y - y, z - BASE.z + EXTENT.z) for x, y, z, *_ in B2D_CAMERAS.values()]
    found = 0
    for i, tick in enumerate(recording.ticks()):
        assert tick.truth is not None
        assert tick.frame.images is not None
        xy = tick.truth.pose.transform_to_local(np.array([[MARK.x, -MARK.y]]))[0]
        mark = np.array([*xy, MARK.z - b2d_transform(i).location.z])
        for camera in recording.rig.cameras:
            assert any((camera.x, camera.y, camera.z) == pytest.approx(lens) for lens in lenses)
            pixel, depth = camera.project(mark)
            if depth < 0 or (pixel < 8).any() or (pixel > np.array([camera.width, camera.height]) - 8).any():
                continue
            middle = disc(tick.frame.images[camera.name])
            assert middle is not None
            of_source = [replace(camera, x=x, y=y, z=z).project(mark)[0] for x, y, z in lenses]
            assert (
                min(np.hypot(*(middle - wanted)) for wanted in of_source) < 0.7
            )  # right from the lens it came through
            assert np.hypot(*(middle - pixel)) < 4.0  # those are up to 0.8 m apart, and the mark is 40 m away
            found += 1
    assert found >= FRAMES


def test_a_clip_is_replayed_by_the_stack(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = random_weights(tmp_path / "weights")
    imported(capsys, clip, tmp_path / "log", "rig=quad", f"weights={weights}")
    words = (f"log={tmp_path}/log/drive.mcap", f"out={tmp_path}/replay")
    assert cli(capsys, "replay", "mode=model", *words)[0] == 0
    found = json.loads((tmp_path / "replay/replay.json").read_text())
    assert found["frames"] == FRAMES
    code, _, err = cli(capsys, "replay", "mode=exact", *words)
    assert code == 2
    assert "was not driven by the stack" in err


def test_pictures_of_their_own_do_not_fit_our_network(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = random_weights(tmp_path / "weights")
    imported(capsys, clip, tmp_path / "log", f"weights={weights}")
    code, _, err = cli(capsys, "replay", "mode=model", f"log={tmp_path}/log/drive.mcap", f"out={tmp_path}/replay")
    assert code == 2
    assert "this network was built for cameras [('front_left', 256, 128)" in err


def damaged(tmp_path: Path, **changed: object) -> Path:
    clip = write_b2d(tmp_path / "clip", 2)
    anno = b2d_anno(1)
    for field, value in changed.items():
        anno[field] = value
        if value is None:
            del anno[field]
    with gzip.open(clip / "anno/00001.json.gz", "wt") as file:
        json.dump(anno, file)
    return clip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["format=kitti"], "format must be one of bench2drive, nuscenes, received 'kitti'"),
        (["source=no/such"], "source=no/such: no such folder"),
        (["images=bmp"], "images must be png or jpeg, received 'bmp'"),
        (["scene=scene-0001"], "scene=scene-0001 is for format=nuscenes"),
        (["cameras={tele:[CAM_FRONT]}"], "name it too, as rig=quad"),
        (["rig=quad", "cameras={tele:[CAM_FRNT]}"], "cameras.tele: camera CAM_FRNT is missing in the source"),
        (["rig=quad", "cameras={dash:[CAM_FRONT]}"], "cameras.dash: the rig has no such camera"),
        (["rig=quad", "cameras={tele:CAM_FRONT}"], "cameras must be as {tele: [CAM_FRONT]}"),
        (["rig=quad", "cameras={tele:[CAM_BACK]}"], "camera tele of the rig is missing: 0 % of its picture is seen"),
        (["least_seen=2", "rig=quad"], "least_seen must be a number in [0, 1], received 2"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    words: list[str], told: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["format=bench2drive", f"source={clip}", f"out={tmp_path}/deep/out"]
    code, _, err = cli(
        capsys, "import", *[w for w in given if w.split("=")[0] not in {v.split("=")[0] for v in words}], *words
    )
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert told in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bounding_boxes": None}, "00001.json.gz: field 'bounding_boxes' is missing"),
        ({"bounding_boxes": []}, "there is no box of class ego_vehicle"),
        ({"throttle": "full"}, "00001.json.gz: field 'throttle' must be a number, received 'full'"),
    ],
)
def test_a_damaged_frame_is_told_with_its_file(
    changed: dict[str, object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = damaged(tmp_path, **changed)
    code, _, err = cli(capsys, "import", "format=bench2drive", f"source={clip}", f"out={tmp_path}/out")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert told in err
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_b2d(tmp_path / "clip", 3)
    words = ("import", "format=bench2drive", f"source={clip}", f"out={tmp_path}/out")
    front = clip / "camera/rgb_front/00002.jpg"
    for change, told in (
        (
            lambda: save(front, marked(None, 64, 64)),
            "320x180 pixels are needed, as its calibration says, received 64x64",
        ),
        (lambda: front.write_bytes(b"JFIF"), "no picture that can be read, wanted for camera CAM_FRONT at 0.20 s"),
        (front.unlink, "no such picture, wanted for camera CAM_FRONT at 0.20 s (frame 2)"),
        (lambda: (clip / "anno/00001.json.gz").write_bytes(b"no gzip"), "00001.json.gz: no JSON that can be read"),
    ):
        change()
        code, _, err = cli(capsys, *words)
        assert (code, len(err.strip().splitlines())) == (2, 1)
        assert told in err
        assert not (tmp_path / "out").exists()
    code, _, err = cli(capsys, *words[:2], f"source={tmp_path}", words[3])
    assert "name one of its clips: clip" in err


def test_a_camera_without_pictures_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_b2d(tmp_path / "clip", 2)
    for path in (clip / "camera/rgb_back").iterdir():
        path.unlink()
    (clip / "camera/rgb_back").rmdir()
    words = ("import", "format=bench2drive", f"source={clip}", f"out={tmp_path}/out")
    code, out, _ = cli(capsys, *words)
    assert code == 0
    assert f"CAM_BACK: no pictures in {clip}, left out" in out
    code, _, err = cli(capsys, *words, "rig=quad")
    assert code == 2
    assert "camera rear of the rig is missing" in err
