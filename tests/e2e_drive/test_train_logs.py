"""From drive logs to samples, and `e2e-drive train` on them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from bev import Command, EgoMotion, FloatArray, Pose2D, RouteHint, SensorFrame, rig_from_config
from e2e_drive import config_dir
from e2e_drive.apps.train import run
from e2e_drive.errors import UserError
from e2e_drive.learn.dataset import build_cache, find_logs
from e2e_drive.learn.sample import read_samples
from e2e_drive.logs import DriveLog, EgoTruth, InfractionNote, Labels
from planner import load_model

RADIUS_M, SPEED_MPS = 30.0, 6.0
OFFSET = Pose2D(0.3, 0.8, -0.1)  # of the cameras, in the true ego frame
RIG = rig_from_config(
    [
        {"name": "wide", "width": 64, "height": 32, "fov_deg": 90, "x": 0.7, "y": 0, "z": 1.6},
        {"name": "tele", "width": 64, "height": 32, "fov_deg": 35, "x": 0.8, "y": 0, "z": 1.6},
    ]
)


def pose_at(time_s: float) -> Pose2D:
    angle = SPEED_MPS * time_s / RADIUS_M
    return Pose2D(RADIUS_M * math.sin(angle), RADIUS_M * (1 - math.cos(angle)), angle)


def seen_from_cameras(time_s: float, later_s: FloatArray) -> FloatArray:
    world = np.array([(pose_at(time).x, pose_at(time).y) for time in later_s])
    return OFFSET.transform_to_local(pose_at(time_s).transform_to_local(world))


def write_log(path: Path, seconds: float, infraction_s: float | None = None) -> None:
    """Round a bend at constant speed: pictures and labels every 0.5 s, truth every tick."""
    with DriveLog(path, {}) as log:
        for tick in range(round(seconds / 0.05)):
            time_s = tick * 0.05
            images = None
            if tick % 10 == 0:
                images = {name: np.full((32, 64, 3), tick % 200, dtype=np.uint8) for name in RIG.names}
            ego = EgoMotion(SPEED_MPS, SPEED_MPS / RADIUS_M, pose_at(time_s))
            log.frame(SensorFrame(tick, time_s, images, RIG, ego, RouteHint(Command.LEFT, 12.0)))
            log.truth(EgoTruth(tick, pose_at(time_s), SPEED_MPS, 0.0), time_s)
            if images is not None:
                path_xy = seen_from_cameras(time_s, time_s + 2.0 * np.arange(1, 11) / SPEED_MPS)
                bev = np.zeros((4, 64, 64), dtype=np.uint8)
                bev[0, 10:, 20:40] = 1
                log.labels(Labels(tick, OFFSET, bev, path_xy, 6.0, 1), time_s)
            if infraction_s is not None and abs(time_s - infraction_s) < 1e-6:
                log.infraction(InfractionNote("collisions_vehicle", "bump"), time_s)


def test_samples_of_a_log(tmp_path: Path) -> None:
    write_log(tmp_path / "drive.mcap", 8.0)
    samples = list(read_samples(tmp_path / "drive.mcap"))
    assert len(samples) == 8  # pictures at 0.0 ... 3.5 s have the four seconds of future that waypoints need
    for index, sample in enumerate(samples):
        time_s = 0.5 * index
        assert sample.images["tele"].mean() == pytest.approx(index * 10, abs=2)
        assert (sample.command, sample.speed_mps, sample.light) == (Command.LEFT, SPEED_MPS, 1)
        expected = seen_from_cameras(time_s, time_s + 0.5 * np.arange(1, 9))
        # Near points run along the label's path, which starts where the cameras are and not where the car was.
        np.testing.assert_allclose(sample.waypoints[2:], expected[2:], atol=0.1)
        assert np.hypot(*sample.waypoints[0]) == pytest.approx(3.0, rel=0.15)
        assert sample.bev.sum() == 54 * 20


def test_what_led_to_an_infraction_is_not_learned(tmp_path: Path) -> None:
    write_log(tmp_path / "drive.mcap", 12.0, infraction_s=7.0)
    assert len(list(read_samples(tmp_path / "drive.mcap"))) == 4  # up to five seconds before


def test_cache_is_built_once_and_says_which_camera_is_missing(tmp_path: Path) -> None:
    write_log(tmp_path / "data/drive.mcap", 6.0)
    logs = find_logs(tmp_path / "data")
    (shard,) = build_cache(logs, tmp_path / "cache", RIG.names)
    built = (shard / "images.npy").stat().st_mtime_ns
    assert build_cache(logs, tmp_path / "cache", RIG.names) == [shard]
    assert (shard / "images.npy").stat().st_mtime_ns == built
    with pytest.raises(UserError, match="rear"):
        build_cache(logs, tmp_path / "cache", ("wide", "rear"))
    with pytest.raises(UserError, match="no drive logs"):
        find_logs(tmp_path / "cache")


def test_train_command(tmp_path: Path) -> None:
    for drive in range(2):
        write_log(tmp_path / f"data/{drive}/drive.mcap", 6.0)
    overrides = [
        f"data={tmp_path / 'data'}", f"out={tmp_path / 'out'}", "epochs=2", "batch_size=2", "threads=1",
        "precision=fp32", "model.width=32", "model.image_channels=16", "model.fine_channels=8", "model.heads=2",
        "rig.cameras=[{name: wide, width: 64, height: 32, fov_deg: 90, x: 0.7, y: 0, z: 1.6},"
        "{name: tele, width: 64, height: 32, fov_deg: 35, x: 0.8, y: 0, z: 1.6}]",
    ]  # fmt: skip
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("train", overrides)
        assert run(cfg) == 0
        wrong = compose("train", [*overrides, "+model.widht=3"])
        with pytest.raises(UserError, match="widht"):
            run(wrong)
    assert load_model(tmp_path / "out/weights").config.width == 32
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert 0.0 <= metrics["iou_road"] <= 1.0
    assert "light_accuracy" in metrics
