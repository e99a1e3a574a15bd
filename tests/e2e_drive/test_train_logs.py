"""From drive logs to samples, and `e2e-drive train` on them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from bev import BevClass, BevGrid, Command, EgoMotion, FloatArray, Pose2D, RouteHint, SensorFrame, rig_from_config
from bev.heads import Agent
from e2e_drive import config_dir
from e2e_drive.apps.train import run
from e2e_drive.errors import UserError
from e2e_drive.learn.sample import read_samples
from e2e_drive.learn.shards import build_cache, find_logs
from e2e_drive.logs import BoxLabel, DriveLog, EgoTruth, InfractionNote, Labels
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


def write_log(path: Path, seconds: float, infraction_s: float | None = None, lost: str | None = None) -> None:
    """Round a bend at constant speed past a pedestrian: pictures, depth and labels every 0.5 s, truth every tick.
    lost: a camera whose picture is missing at 2.0 s."""
    with DriveLog(path, {}) as log:
        for tick in range(round(seconds / 0.05)):
            time_s = tick * 0.05
            images = None
            if tick % 10 == 0:
                names = [name for name in RIG.names if not (name == lost and tick == 40)]
                images = {name: np.full((32, 64, 3), tick % 200, dtype=np.uint8) for name in names}
            ego = EgoMotion(SPEED_MPS, SPEED_MPS / RADIUS_M, pose_at(time_s))
            log.frame(SensorFrame(tick, time_s, images, RIG, ego, RouteHint(Command.LEFT, 12.0)))
            log.truth(EgoTruth(tick, pose_at(time_s), SPEED_MPS, 0.0), time_s)
            if images is not None:
                log.depth({name: np.full((16, 32), 12.5, np.float32) for name in RIG.names}, time_s)
                log.labels(labels_at(tick, time_s), time_s)
            if infraction_s is not None and abs(time_s - infraction_s) < 1e-6:
                log.infraction(InfractionNote("collisions_vehicle", "bump"), time_s)


def labels_at(tick: int, time_s: float) -> Labels:
    path_xy = seen_from_cameras(time_s, time_s + 2.0 * np.arange(1, 11) / SPEED_MPS)
    bev = np.zeros((len(BevClass), 64, 64), dtype=np.uint8)
    bev[0, 10:, 20:40] = 1
    (x, y) = OFFSET.transform_to_local(pose_at(time_s).transform_to_local(np.array([walker_at(time_s)])))[0]
    walker = BoxLabel(7, "walker.pedestrian.0001", 1, float(x), float(y), 0.9, 0.0, 0.5, 0.5, 1.8, 0.0, 1.0, 1.0)
    return Labels(tick, OFFSET, bev, path_xy, 6.0, 1, boxes=(walker,), manoeuvre=4, light_distance_m=21.0)


def walker_at(time_s: float) -> tuple[float, float]:
    return 15.0, 4.0 + 1.0 * time_s


def test_samples_of_a_log(tmp_path: Path) -> None:
    write_log(tmp_path / "drive.mcap", 8.0)
    samples = list(read_samples(tmp_path / "drive.mcap", RIG.names))
    assert len(samples) == 8  # pictures at 0.0 ... 3.5 s have the four seconds of future that waypoints need
    for index, sample in enumerate(samples):
        time_s = 0.5 * index
        assert sample.images["tele"].mean() == pytest.approx(index * 10, abs=2)
        assert sample.depths["wide"].mean() == pytest.approx(12.5, abs=0.01)
        assert sample.command.tolist() == pytest.approx([0, 1, 0, 0, 0.2])
        assert sample.motion.tolist() == pytest.approx([SPEED_MPS, 0.0])
        assert (sample.light, sample.light_distance_m, sample.manoeuvre) == (1, 21.0, 4)
        expected = seen_from_cameras(time_s, time_s + 0.5 * np.arange(1, 9))
        # Near points run along the label's path, which starts where the cameras are and not where the car was.
        np.testing.assert_allclose(sample.waypoints[2:], expected[2:], atol=0.1)
        assert np.hypot(*sample.waypoints[0]) == pytest.approx(3.0, rel=0.15)
        assert sample.bev.sum() == 54 * 20
        walker = OFFSET.transform_to_local(pose_at(time_s).transform_to_local(np.array([walker_at(time_s)])))[0]
        np.testing.assert_allclose(sample.boxes[0, [Agent.X, Agent.Y]], walker, atol=1e-4)
        later = OFFSET.transform_to_local(pose_at(time_s).transform_to_local(np.array([walker_at(time_s + 2.0)])))[0]
        np.testing.assert_allclose(sample.futures[0, 3], [*later, 1.0], atol=1e-3)


def test_what_led_to_an_infraction_is_not_learned(tmp_path: Path) -> None:
    write_log(tmp_path / "drive.mcap", 12.0, infraction_s=7.0)
    assert len(list(read_samples(tmp_path / "drive.mcap", RIG.names))) == 4  # up to five seconds before


def test_cache_is_built_once(tmp_path: Path) -> None:
    write_log(tmp_path / "data/drive.mcap", 6.0)
    logs = find_logs(tmp_path / "data")
    (shard,) = build_cache(logs, tmp_path / "cache", RIG, BevGrid())
    built = (shard.folder / "images.npy").stat().st_mtime_ns
    assert build_cache(logs, tmp_path / "cache", RIG, BevGrid()) == [shard]
    assert (shard.folder / "images.npy").stat().st_mtime_ns == built
    with pytest.raises(UserError, match="no drive logs"):
        find_logs(tmp_path / "cache")


def test_bad_logs_are_named_with_their_frame(tmp_path: Path) -> None:
    write_log(tmp_path / "a/drive.mcap", 8.0, lost="tele")
    with pytest.raises(UserError, match=r"drive\.mcap: frame 40 \(t = 2\.00 s\) has no picture of camera 'tele'"):
        build_cache(find_logs(tmp_path / "a"), tmp_path / "cache", RIG, BevGrid())
    write_log(tmp_path / "b/drive.mcap", 8.0)
    content = bytearray((tmp_path / "b/drive.mcap").read_bytes())
    place = content.find(b"\xff\xd8\xff", len(content) // 2)  # a JPEG
    content[place : place + 12] = bytes(12)
    (tmp_path / "b/drive.mcap").write_bytes(content)
    with pytest.raises(UserError, match=r"drive\.mcap: topic /camera/tele at 5\.00 s"):
        build_cache(find_logs(tmp_path / "b"), tmp_path / "cache", RIG, BevGrid())
    assert not list((tmp_path / "cache").glob("*/*.npy"))


def test_train_command(tmp_path: Path) -> None:
    for drive in range(2):
        write_log(tmp_path / f"data/{drive}/drive.mcap", 6.0)
    overrides = [
        f"data={tmp_path / 'data'}", f"out={tmp_path / 'out'}", "epochs=2", "batch_size=2", "threads=1",
        "precision=fp32", "model.width=32", "model.image_channels=16", "model.fine_channels=8", "model.heads=2",
        "model.light_cameras=[tele]", "model.bev_channels=16", "workers=1",
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
    assert list((tmp_path / "out/tensorboard").iterdir())
    card = (tmp_path / "out/weights/README.md").read_text()
    assert "samples of 1 drives" in card
    assert "| iou road |" in card
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        judged = compose("train", [*overrides, f"eval={tmp_path / 'out/weights'}"])
    assert run(judged) == 0
    assert "collision_rate" in json.loads((tmp_path / "out/open_loop.json").read_text())
