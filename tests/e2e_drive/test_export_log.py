"""Logs out to Parquet and to LeRobot's layout: everything is read back with pyarrow, and the videos are looked at."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
from export_cases import RIG, SPEED, YAW_RATE, picture, pose_at, write_log

from bev import Camera, CameraRig, Command, ImageArray
from e2e_drive.cli import main
from e2e_drive.exchange.lerobot import write_lerobot
from e2e_drive.exchange.statistics import image_statistics, statistics
from e2e_drive.replay import open_recording

TICKS = (25, 14)  # 13 and 7 frames with pictures
FRAMES = (13, 7)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("logs")
    return write_log(folder / "a.mcap", TICKS[0]), write_log(folder / "b.mcap", TICKS[1], Command.RIGHT)


@pytest.fixture(scope="module")
def data_set(logs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lerobot") / "set"
    assert write_lerobot([open_recording(log) for log in logs], out) == sum(FRAMES)
    return out


def cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["export-log", *words])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


def test_parquet_has_a_row_a_frame(logs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep/drives.parquet"
    code, said, _ = cli(capsys, f"log=[{logs[0]},{logs[1]}]", "to=parquet", f"out={out}")
    assert (code, said.strip()) == (0, f"{out}: 20 frames of 2 drives")
    rows = pq.read_table(out).to_pylist()
    assert [row["log"] for row in rows] == [str(logs[0])] * 13 + [str(logs[1])] * 7
    for i, row in enumerate(rows[:13]):
        pose = pose_at(0.1 * i)
        assert (row["frame_id"], row["time_s"]) == (2 * i, pytest.approx(0.1 * i))
        assert (row["x_m"], row["y_m"], row["yaw_rad"]) == pytest.approx((pose.x, pose.y, pose.yaw))
        assert (row["speed_mps"], row["yaw_rate_rps"], row["steer"]) == pytest.approx((SPEED, YAW_RATE, 0.02 * i))
        assert row["command"] == ("FOLLOW" if i < 2 else "LEFT")
        assert (row["users"], row["latency_s"], row["places"]) == (1, pytest.approx(0.05), ["EDGE"])
        assert row["infractions"] == (["red_light"] if i == 3 else [])  # it happened between frames 2 and 3
    assert json.loads(pq.read_schema(out).metadata[b"run"])[str(logs[0])] == {"seed": "3"}


def test_a_log_that_was_cut_is_exported_as_far_as_it_is_whole(
    logs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = logs[0].read_bytes(), tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) // 2])
    code, _, err = cli(capsys, f"log={cut}", "to=parquet", f"out={tmp_path}/cut.parquet")
    assert code == 0
    assert "ends abruptly: whole up to" in err
    assert 3 < len(pq.read_table(tmp_path / "cut.parquet")) < FRAMES[0]


def decoded(path: Path) -> list[ImageArray]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(0.1 * np.arange(len(frames)), abs=1e-6)
    return [frame.to_ndarray(format="rgb24") for frame in frames]


def test_lerobot_frames_and_episodes(data_set: Path) -> None:
    info = json.loads((data_set / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 10)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 20, 3)
    data = pq.read_table(data_set / "data/chunk-000/file-000.parquet")
    of_table = {name for name, feature in info["features"].items() if feature["dtype"] != "video"}
    assert set(data.column_names) == of_table
    for name in of_table:
        column, feature = data[name], info["features"][name]
        kind = column.type.value_type if feature["shape"] != [1] else column.type
        assert str(kind).replace("double", "float64").replace("float", "float32", 1) in (
            feature["dtype"], feature["dtype"].replace("float64", "float3264"),
        )  # fmt: skip
        if feature["shape"] != [1]:
            assert column.type.list_size == feature["shape"][0] == len(feature["names"])
    rows = data.to_pylist()
    assert [row["index"] for row in rows] == list(range(20))
    assert [row["episode_index"] for row in rows] == [0] * 13 + [1] * 7
    assert [row["frame_index"] for row in rows] == [*range(13), *range(7)]
    for row in rows:
        i, pose = row["frame_index"], pose_at(0.1 * row["frame_index"])
        assert row["timestamp"] == pytest.approx(0.1 * i)
        assert row["action"] == pytest.approx([0.4, 0.0, 0.02 * i])
        assert row["truth.pose"] == pytest.approx([pose.x, pose.y, pose.yaw], abs=1e-5)
        assert row["observation.state"][:3] == pytest.approx([SPEED, YAW_RATE, 0.0])
    tasks = pandas.read_parquet(data_set / "meta/tasks.parquet")
    assert tasks.index.name == "task"
    assert dict(tasks["task_index"]) == {"follow the road": 0, "turn left": 1, "turn right": 2}
    assert [row["task_index"] for row in rows] == [0, 0, *[1] * 11, 0, 0, *[2] * 5]
    episodes = pq.read_table(data_set / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    spans = [(e["dataset_from_index"], e["dataset_to_index"], e["length"]) for e in episodes]
    assert spans == [(0, 13, 13), (13, 20, 7)]
    assert [e["tasks"] for e in episodes] == [["follow the road", "turn left"], ["follow the road", "turn right"]]


def test_lerobot_videos_show_the_pictures(data_set: Path) -> None:
    episodes = pq.read_table(data_set / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for camera in RIG.cameras:
        key = f"observation.images.{camera.name}"
        frames = decoded(data_set / f"videos/{key}/chunk-000/file-000.mp4")
        assert len(frames) == 20
        for episode in episodes:
            begin, end = (round(10 * episode[f"videos/{key}/{side}_timestamp"]) for side in ("from", "to"))
            assert (begin, end) == (episode["dataset_from_index"], episode["dataset_to_index"])
            for i, frame in enumerate(frames[begin:end]):
                assert frame.shape == (camera.height, camera.width, 3)
                right, next_one = psnr(frame, picture(camera, i)), psnr(frame, picture(camera, i + 1))
                assert right > 35.0
                assert right > next_one + 5.0


def psnr(a: ImageArray, b: ImageArray) -> float:
    return float(10.0 * np.log10(255.0**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


def test_lerobot_statistics(data_set: Path) -> None:
    found = json.loads((data_set / "meta/stats.json").read_text())
    rows = pq.read_table(data_set / "data/chunk-000/file-000.parquet").to_pylist()
    actions = np.array([row["action"] for row in rows])
    assert found["action"]["mean"] == pytest.approx(actions.mean(axis=0).tolist())
    assert found["action"]["std"] == pytest.approx(actions.std(axis=0).tolist())
    assert found["action"]["count"] == [20]
    for camera in RIG.cameras:
        stored = found[f"observation.images.{camera.name}"]
        assert np.shape(stored["mean"]) == (3, 1, 1)
        assert stored["count"] == [3]  # frames 0 and 10 of one episode, 0 of the other
        wanted = picture(camera, 0).reshape(-1, 3).mean(axis=0)[1] / 255.0  # green is the same in all frames
        assert stored["mean"][1][0][0] == pytest.approx(wanted, abs=0.02)
    episode = pq.read_table(data_set / "meta/episodes/chunk-000/file-000.parquet").to_pylist()[1]
    assert episode["stats/action/max"] == pytest.approx([0.4, 0.0, 0.12])
    assert episode["stats/observation.images.tele/count"] == [1]


def test_statistics_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=(101, 2))
    found = statistics(values)
    assert found["q50"] == pytest.approx(np.median(values, axis=0).tolist())
    assert found["q01"] == pytest.approx(np.sort(values, axis=0)[1].tolist())
    white = image_statistics([np.full((4, 4, 3), 255, np.uint8)])
    assert (white["min"], white["std"], white["count"]) == ([[[1.0]]] * 3, [[[0.0]]] * 3, [1])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["to=csv"], "to must be one of parquet, lerobot, rerun, received 'csv'"),
        (["log=no.mcap", "to=rerun"], "log=no.mcap: no such file"),
        (["log=[]", "to=parquet"], "log must be one or more different logs"),
        (["to=rerun", "log=[A,B]"], "to=rerun takes one log, received 2"),
        (["to=lerobot", "log=[A,BLIND]"], "camera wide is missing at 0.00 s"),
        (["to=lerobot", "log=[A,OTHER]"], "(wide 64x32, tele 96x48), received wide 64x32"),
        (["to=lerobot", "out=THERE"], "is there already: name a folder that is not"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    words: list[str], told: str, logs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    wide = CameraRig((Camera("wide", 64, 32, 1.6, 0.7, 0.3, 1.6),))
    names = {
        "[A,": f"[{logs[0]},",
        ",B]": f",{logs[1]}]",
        "THERE": str(tmp_path / "there"),
        "BLIND": str(write_log(tmp_path / "blind.mcap", 2, images="none")),
        "OTHER": str(write_log(tmp_path / "other.mcap", 4, rig=wide)),
    }
    for old, new in names.items():
        words = [word.replace(old, new) for word in words]
    before = sorted(tmp_path.rglob("*"))
    given = [w for w in (f"log={logs[0]}", f"out={tmp_path}/deep/out") if not any(v.startswith(w[:3]) for v in words)]
    code, _, err = cli(capsys, *given, *words)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert told in err
    assert sorted(tmp_path.rglob("*")) == before
