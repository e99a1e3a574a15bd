"""A drive log gives back what went in, and a file cut anywhere still reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bev import Camera, CameraRig, Command, EgoMotion, Pose2D, RouteHint, SensorFrame
from e2e_drive.errors import UserError
from e2e_drive.logs import BoxLabel, DriveLog, EgoTruth, InfractionNote, Labels, read_drive, read_metadata
from e2e_drive.logs.labels import FAR_M, depth_message, labels_message, labels_of
from e2e_drive.logs.messages import (
    link_message,
    link_of,
    schedule_message,
    schedule_of,
    timeline_message,
    timeline_of,
)
from planner.types import Control, Trajectory
from scheduling.types import LinkGeometry, LinkState, Place, Schedule, Span, StageCost, StageGraph, StageNode, Timeline

RIG = CameraRig((Camera("tele", 64, 32, 0.6, 0.7, 0.0, 1.6),))
COST = StageCost(1e9, 1e6, 1e6, {"path": 80})
GRAPH = StageGraph((StageNode("backbone", ("image",), ("path",), COST),), {"image": 6144}, ("path",))


def _frame(tick: int, with_images: bool = True) -> SensorFrame:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (32, 1, 3))
    return SensorFrame(
        frame_id=tick,
        time_s=tick * 0.05,
        images={"tele": ramp} if with_images else None,
        rig=RIG,
        ego=EgoMotion(5.0 + tick, -0.1, Pose2D(1.0, 2.0, 0.3), 1.5),
        hint=RouteHint(Command.LEFT, 31.5),
    )


def _write(path: Path, ticks: int, close: bool = True) -> DriveLog:
    log = DriveLog(path, {"seed": "3", "config": "a: 1"})
    for tick in range(ticks):
        log.frame(_frame(tick))
    if close:
        log.close()
    return log


def test_everything_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trajectory = Trajectory(
        7, 0.35, Pose2D(1, 2, 0.3), rng.random((10, 2), np.float32), rng.random(8, np.float32),
        rng.random((8, 2), np.float32),
    )  # fmt: skip
    schedule = Schedule(
        (Place.CLOUD,), {"image": "jpeg"}, 0.08, 0.05, "exact", "big", ("int8",), decided_at=Place.EDGE, fifo=True
    )
    timeline = Timeline(7, 0.35, 0.41, (Span("backbone", "wan_up", 0.36, 0.37, 12),), False, 900, 80, 0.7)
    dropped = Timeline(8, 0.45, None, (), False, 0, 0)
    link = LinkState(2e7, 8e7, 0.02, 0.01, 3, wan_rtt_s=0.03, wan_bps=2e8)
    boxes = (
        BoxLabel(31, "walker.pedestrian.0003", 1, 8.0, -2.5, 0.75, 0.5, 0.5, 0.25, 1.5, 1.25, 0.0, 0.5),
        BoxLabel(-4, "vehicle.parked", 0, 20.0, 3.0, 0.75, -0.5, 4.75, 2.0, 1.5, 0.0, 0.0, 1.0),
    )  # numbers that 32 bits hold exactly
    labels = Labels(
        7, Pose2D(0, 0.8, 0.1), rng.integers(0, 2, (6, 64, 64), dtype=np.uint8), rng.random((10, 2), np.float32),
        6.0, 2, rng.integers(0, 2, (64, 64), dtype=np.uint8), boxes, 4, 17.5, "light",
    )  # fmt: skip
    depth = rng.uniform(0.0, 600.0, (32, 64)).astype(np.float32)
    depth[0] = 1000.0
    truth = EgoTruth(7, Pose2D(100, -50, 1.5), 5.5, 42.0)

    with DriveLog(tmp_path / "drive.mcap", {"seed": "3"}) as log:
        log.frame(_frame(7))
        log.link(link, LinkGeometry(3, 55.0, True, 0), 0.35)
        log.schedule(7, schedule, GRAPH, 0.35)
        log.timeline(timeline, 0.35)
        log.timeline(dropped, 0.45)
        log.trajectory(trajectory, 0.41)
        log.control(Control(0.4, 0.0, -0.2), 7, 0.41)
        log.labels(labels, 0.35)
        log.depth({"tele": depth}, 0.35)
        log.truth(truth, 0.35)
        log.infraction(InfractionNote("red_light", "ran a red light"), 0.5)

    read = [(entry.topic, entry.value) for entry in read_drive(tmp_path / "drive.mcap")]
    values = dict(read)
    assert values["/ego"] == _frame(7).ego
    assert values["/hint"] == _frame(7).hint
    assert np.abs(values["/camera/tele"].astype(int) - _frame(7).images["tele"]).max() < 8  # JPEG
    assert values["/link"] == link
    assert values["/schedule"] == schedule
    assert [value for topic, value in read if topic == "/timeline"] == [timeline, dropped]
    assert values["/control"] == Control(0.4, 0.0, -0.2)
    assert values["/truth"] == truth
    assert values["/infraction"] == InfractionNote("red_light", "ran a red light")
    assert values["/trajectory"].origin == trajectory.origin
    np.testing.assert_array_equal(values["/trajectory"].waypoints, trajectory.waypoints)
    np.testing.assert_array_equal(values["/labels"].bev, labels.bev)
    np.testing.assert_array_equal(values["/labels"].path, labels.path)
    np.testing.assert_array_equal(values["/labels"].bev_unknown, labels.bev_unknown)
    for name in ("boxes", "manoeuvre", "light_distance_m", "stop_reason", "virtual_offset"):
        assert getattr(values["/labels"], name) == getattr(labels, name)
    np.testing.assert_allclose(values["/depth/tele"], np.minimum(depth, FAR_M), atol=0.0051)
    assert read_metadata(tmp_path / "drive.mcap")["run"] == {"seed": "3"}


def test_labels_from_before_there_were_boxes_still_read() -> None:
    bev = np.ones((4, 8, 8), np.uint8)
    message = labels_message(Labels(3, Pose2D(0, 0.5, 0.1), bev, np.zeros((10, 2), np.float32), 5.0, 1))
    for field in ("has_boxes", "boxes", "unknown_bits", "manoeuvre", "light_distance_m", "stop_reason"):
        message.ClearField(field)
    labels = labels_of(message)
    assert (labels.boxes, labels.bev_unknown, labels.light_distance_m) == (None, None, -1.0)
    np.testing.assert_array_equal(labels.bev, bev)


def test_damaged_labels_and_depth_are_told_with_file_topic_and_time(tmp_path: Path) -> None:
    bev = np.ones((6, 64, 64), np.uint8)
    labels = labels_message(Labels(3, Pose2D(0, 0.5, 0.1), bev, np.zeros((10, 2), np.float32), 5.0, 1))
    labels.bev_bits = labels.bev_bits[:100]
    depth = depth_message("tele", np.ones((8, 8), np.float32), 0.35)
    depth.data = depth.data[:20]
    for name, topic, message in (("a", "/labels", labels), ("b", "/depth/tele", depth)):
        with DriveLog(tmp_path / f"{name}.mcap", {}) as log:
            log._write(topic, message, 0.35)
        with pytest.raises(UserError, match=rf"{name}\.mcap: topic {topic} at 0\.35 s"):
            list(read_drive(tmp_path / f"{name}.mcap"))


def test_logs_from_before_the_cloud_still_read() -> None:
    """Messages whose newer fields were never written."""
    schedule = schedule_message(1, Schedule((Place.EDGE,), {}, None, 0.05, "exact"), GRAPH)
    link = link_message(LinkState(2e7, 8e7, 0.02, 0.01, 3), LinkGeometry(3, 55.0, True, 0))
    timeline = timeline_message(Timeline(1, 0.0, 0.1, (), True, 5, 6, 0.3))
    for message, fields in (
        (schedule, ("model", "precisions", "decided_at", "fifo")), (link, ("wan_rtt_s", "wan_bps", "has_geometry")),
        (timeline, ("car_j",)),
    ):  # fmt: skip
        for field in fields:
            message.ClearField(field)
    assert schedule_of(schedule) == Schedule((Place.EDGE,), {}, None, 0.05, "exact")
    assert link_of(link) == LinkState(2e7, 8e7, 0.02, 0.01, 3)
    assert timeline_of(timeline) == Timeline(1, 0.0, 0.1, (), True, 5, 6)


def test_a_cut_file_reads_up_to_the_last_whole_chunk(tmp_path: Path) -> None:
    _write(tmp_path / "whole.mcap", ticks=40)
    whole = (tmp_path / "whole.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    counts = []
    for length in np.linspace(len(whole) * 0.02, len(whole) - 1, 60).astype(int):
        cut.write_bytes(whole[:length])
        times = [entry.time_s for entry in read_drive(cut, frozenset({"/camera/"}))]
        assert times == pytest.approx(np.arange(len(times)) * 0.05)
        counts.append(len(times))
    assert counts == sorted(counts)
    assert counts[30] >= 15  # half a file holds about half the pictures
    assert counts[-1] == 40


def test_a_live_log_is_at_most_a_second_behind(tmp_path: Path) -> None:
    log = DriveLog(tmp_path / "live.mcap", {})
    for tick in range(100):  # 5 s without a single picture: the slowest a log ever grows
        log.frame(_frame(tick, with_images=False))
        log.control(Control(0.1, 0.0, 0.0), tick, tick * 0.05)
    times = [entry.time_s for entry in read_drive(tmp_path / "live.mcap")]  # nobody closed it
    assert times[-1] >= 3.95
    log.close()


def test_same_drive_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a.mcap", ticks=10)
    _write(tmp_path / "b.mcap", ticks=10)
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_something_else_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_text("hello")
    with pytest.raises(UserError, match="not an MCAP file"):
        list(read_drive(tmp_path / "x.mcap"))
