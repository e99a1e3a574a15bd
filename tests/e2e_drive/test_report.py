"""What a person gets to see: the sums, and a video that plays."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from bev import BevGrid, Camera, Command, RouteHint
from e2e_drive.report import Moment, Tally, VideoWriter, View
from e2e_drive.report.dashboard import Dashboard
from scheduling.types import LinkGeometry, LinkState, Place, Schedule, Span, Timeline

CAMERA = Camera("dash", 96, 54, 1.2, 0.6, 0.0, 1.5)


def _moment(i: int, view: View | None = None) -> Moment:
    return Moment(
        title="test", time_s=0.1 * i, picture=np.full((54, 96, 3), (10 * i) % 255, np.uint8), camera=CAMERA,
        grid=BevGrid(), view=view or View(), speed_mps=5.0, hint=RouteHint(Command.LEFT, 20.0), progress_m=10.0 * i,
        route_length_m=400.0, latencies_s=(0.05,) * i,
    )  # fmt: skip


def _full_view() -> View:
    resources = ("car", "uplink", "edge", "downlink", "cloud", "wan_up", "wan_down")
    spans = tuple(Span(resource, resource, 0.1 * i, 0.1 * i + 0.05, 9) for i, resource in enumerate(resources))
    return View(
        path=np.stack([2.0 * np.arange(1, 11), 0.1 * np.arange(10)], 1), target_speed_mps=6.0,
        bev=np.random.default_rng(0).random((6, 64, 64)), light=(0.1, 0.1, 0.8),
        tracks=np.array([[10.0, 3.0, 0.2, 4.5, 2.0]]),
        stages=(("image_backbone[tele]", Place.CAR), ("bev_encoder", Place.EDGE), ("decision", Place.CLOUD)),
        timeline=Timeline(3, 0.0, 0.4, spans, False, 9, 9), link=LinkState(3e7, 8e7, 0.02, 0.0, 2),
        geometry=LinkGeometry(2, 50.0, False, 1),
    )  # fmt: skip


def test_video_plays_and_has_its_name_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    with VideoWriter(path, fps=10) as video:
        for i in range(6):
            video.add(_moment(i, _full_view() if i % 2 else None))
        assert not path.exists()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (1280, 720)
        assert sum(1 for _ in container.decode(video=0)) == 6
    head = path.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # a browser can start before it has all of it


def test_a_drive_that_ends_before_its_first_picture_leaves_no_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "drive.mp4", fps=10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_moment_that_cannot_be_drawn_stops_the_drive_with_the_reason(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "drive.mp4", fps=10)
    video.add(_moment(0, View(bev=np.zeros((1, 2)))))
    with pytest.raises(RuntimeError, match=r"drive\.mp4"):
        video.close()
    assert not (tmp_path / "drive.mp4").exists()


def test_the_dashboard_shows_what_it_is_told() -> None:
    dashboard = Dashboard()
    bare, full = dashboard.draw(_moment(2)), dashboard.draw(_moment(2, _full_view()))
    assert bare.shape == (720, 1280, 3)
    assert (bare[:, 960:] != full[:, 960:]).any()  # bird's-eye view
    assert (bare[540:] != full[540:]).any()  # strip
    assert (dashboard.draw(_moment(2)) == bare).all()  # nothing is left over from the picture before


def test_projection_agrees_with_geometry_by_hand() -> None:
    """Straight ahead, level camera: a point on the ground d metres ahead lies f * h / d below the centre."""
    pixels, depth = CAMERA.project(np.array([[10.6, 0.0, 0.0], [20.6, 2.0, 1.5]]))
    focal = CAMERA.width / (2.0 * np.tan(CAMERA.fov_rad / 2.0))
    np.testing.assert_allclose(depth, [10.0, 20.0])
    np.testing.assert_allclose(pixels, [[48.0, 27.0 + focal * 0.15], [48.0 - focal * 0.1, 27.0]])


def test_tally() -> None:
    tally = Tally()
    local = Schedule((Place.CAR, Place.CAR), {}, None, 0.1, "exact")
    split = Schedule((Place.CAR, Place.EDGE), {"x": "int8"}, 0.05, 0.1, "exact")
    edge = Schedule((Place.EDGE, Place.EDGE), {}, 0.05, 0.1, "exact")
    cloud = Schedule((Place.CLOUD, Place.CLOUD), {}, 0.05, 0.1, "exact")
    for i, (schedule, ready_s, fallback) in enumerate(
        [(local, 0.07, False), (split, 0.05, False), (split, 0.2, True), (edge, 0.04, False), (cloud, 0.06, False),
         (local, None, False)]
    ):  # fmt: skip
        tally.add(schedule, Timeline(i, 0.0, ready_s, (), fallback, 100, 10, 0.5))
    assert tally.placements == {
        "all in the car": 1, "split": 1, "all at the edge": 1, "all in the cloud": 1, "fallback": 1, "dropped": 1,
    }  # fmt: skip
    assert tally.latency_ms(50) == pytest.approx(60.0)
    assert tally.latency_ms(99) == pytest.approx(200.0)
    assert (tally.bytes_up, tally.bytes_down) == (600, 60)
    assert tally.car_j == pytest.approx(3.0)
