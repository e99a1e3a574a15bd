"""Tracks keep their identity, their velocity and their patience, whatever the ego does and whatever the order."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev import FloatArray, Pose2D
from bev.heads.detection import Agent
from bev.tracking import Detection, Track, Tracker, TrackerConfig, detections_from
from bev.types import BoxKind

FRAME_S = 0.1
CONFIG = TrackerConfig()


def detection(x: float, y: float, **given: float) -> Detection:
    values = {"yaw": 0.0, "length": 4.5, "width": 2.0, "vx": 0.0, "vy": 0.0, "score": 0.8} | given
    return Detection(BoxKind(int(values.pop("kind", 0))), x, y, **values)


def seen_by(pose: Pose2D, place: FloatArray, velocity: FloatArray, **given: float) -> Detection:
    """A detection in the ego frame at pose of something in the odometry frame."""
    (x, y), *_ = pose.transform_to_local(place[None])
    (vx, vy), *_ = Pose2D(0.0, 0.0, pose.yaw).transform_to_local(velocity[None])
    return detection(float(x), float(y), vx=float(vx), vy=float(vy), **given)


def still(time_s: float) -> Pose2D:
    return Pose2D(0.0, 0.0, 0.0)


def circling(time_s: float) -> Pose2D:
    """8 m/s on a circle of 20 m."""
    yaw = 0.4 * time_s
    return Pose2D(20.0 * math.sin(yaw), 20.0 * (1 - math.cos(yaw)), yaw)


def follow(
    agents: list[tuple[FloatArray, FloatArray]], ego: Callable[[float], Pose2D], frames: int, seed: int, noise_m: float
) -> tuple[Tracker, list[tuple[Track, ...]]]:
    """agents: places at time 0 and constant velocities, in the odometry frame."""
    random, tracker, history = np.random.default_rng(seed), Tracker(CONFIG), []
    for frame in range(frames):
        time_s = frame * FRAME_S
        found = []
        for place, velocity in agents:
            off = random.normal(size=4) * noise_m
            found.append(seen_by(ego(time_s), place + velocity * time_s + off[:2], velocity + off[2:]))
        random.shuffle(found)
        history.append(tracker.update(found, ego(time_s), time_s))
    return tracker, history


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(math.radians(30), math.radians(330)),
    speeds=st.tuples(st.floats(3.0, 12.0), st.floats(3.0, 12.0)),
    seed=st.integers(0, 10**6),
    ego=st.sampled_from([still, circling]),
)
def test_two_agents_that_cross_keep_their_identities(
    angle: float, speeds: tuple[float, float], seed: int, ego: Callable[[float], Pose2D]
) -> None:
    """They are in one place after two seconds."""
    meeting, directions = np.array([15.0, 3.0]), (0.3, 0.3 + angle)
    velocities = [speed * np.array([math.cos(d), math.sin(d)]) for speed, d in zip(speeds, directions, strict=True)]
    agents = [(meeting - 2.0 * velocity, velocity) for velocity in velocities]
    _, history = follow(agents, ego, 41, seed, noise_m=0.15)
    assert all(len(tracks) == 2 for tracks in history[1:])
    assert who(history[1], agents, 0.1) == who(history[-1], agents, 4.0)


def who(tracks: tuple[Track, ...], agents: list[tuple[FloatArray, FloatArray]], time_s: float) -> dict[int, int]:
    """track_id -> the agent that is nearest."""
    places = np.array([place + velocity * time_s for place, velocity in agents])
    return {t.track_id: int(np.argmin(((places - (t.x, t.y)) ** 2).sum(1))) for t in tracks}


@settings(max_examples=20, deadline=None)
@given(x=st.floats(5.0, 35.0), y=st.floats(-15.0, 15.0), seed=st.integers(0, 10**6))
def test_ego_motion_alone_gives_no_velocity(x: float, y: float, seed: int) -> None:
    place = np.array([x, y])
    _, history = follow([(place, np.zeros(2))], circling, 30, seed, noise_m=0.0)
    (track,) = history[-1]
    assert math.hypot(track.vx, track.vy) < 1e-6
    assert math.hypot(track.x - x, track.y - y) < 1e-6
    back = track.seen_from(circling(2.9))
    (expected, *_) = circling(2.9).transform_to_local(place[None])
    assert (back.x, back.y) == pytest.approx(tuple(expected), abs=1e-6)


def test_velocity_is_found_from_places_alone() -> None:
    """A detector that says "standing" of all that moves at 6 m/s is corrected by where it turns up."""
    tracker = Tracker(CONFIG)
    for frame in range(30):
        (track, *_) = tracker.update([detection(5.0 + 0.6 * frame, 2.0)], still(0.0), frame * FRAME_S) or (None,)
    assert track is not None
    assert track.vx > 2.5
    assert abs(track.vy) < 1e-6


def test_a_missed_frame_does_not_lose_the_track_and_a_second_does() -> None:
    tracker = Tracker(CONFIG)
    for frame in range(5):
        (first,) = tracker.update([detection(10.0 + 0.5 * frame, 0.0, vx=5.0)], still(0.0), frame * FRAME_S) or (None,)
    (coasting,) = tracker.update([], still(0.0), 5 * FRAME_S)
    assert coasting.track_id == first.track_id
    assert coasting.unseen_s == pytest.approx(FRAME_S)
    assert coasting.x == pytest.approx(12.5, abs=0.05)
    (again,) = tracker.update([detection(13.0, 0.0, vx=5.0)], still(0.0), 6 * FRAME_S)
    assert (again.track_id, again.unseen_s, again.hits) == (first.track_id, 0.0, 6)
    assert tracker.update([], still(0.0), 6 * FRAME_S + CONFIG.max_unseen_s + 0.01) == ()
    tracker.update([detection(18.0, 0.0, vx=5.0)], still(0.0), 8.0)
    (other,) = tracker.update([detection(18.5, 0.0, vx=5.0)], still(0.0), 8.1)
    assert other.track_id != first.track_id


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_order_of_detections_does_not_matter(data: st.DataObject) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    one, other = Tracker(CONFIG), Tracker(CONFIG)
    for frame in range(4):
        places = random.uniform(-3.0, 3.0, size=(6, 2)).round(0)  # so close that they compete, and tie
        found = [
            detection(*place, score=float(random.choice([0.2, 0.4, 0.8])), kind=int(random.integers(0, 2)))
            for place in places
        ]
        shuffled = data.draw(st.permutations(found))
        assert one.update(found, still(0.0), float(frame)) == other.update(shuffled, still(0.0), float(frame))


def test_unsure_detections_prolong_tracks_but_begin_none() -> None:
    tracker = Tracker(CONFIG)
    tracker.update([detection(10.0, 0.0)], still(0.0), 0.0)
    for frame in range(1, 9):
        unsure = [detection(10.0, 0.0, score=0.2), detection(20.0, 5.0, score=0.2), detection(10.0, 0.0, kind=1)]
        tracks = tracker.update(unsure[:2] if frame > 2 else unsure[:1], still(0.0), frame * FRAME_S)
    assert [track.hits for track in tracks] == [9]


def test_kinds_do_not_mix_and_the_surer_detection_chooses_first() -> None:
    tracker = Tracker(CONFIG)
    for time_s in (0.0, 0.1):
        tracker.update([detection(10.0, 0.0), detection(10.0, 0.5, kind=1)], still(0.0), time_s)
    found = [detection(10.1, 0.0, score=0.5), detection(10.4, 0.0, score=0.9), detection(10.0, 0.5, kind=1)]
    car, walker = sorted(tracker.update(found, still(0.0), 0.2), key=lambda track: track.kind)
    assert (car.kind, walker.kind) == (BoxKind.VEHICLE, BoxKind.PEDESTRIAN)
    assert car.x > 10.1
    assert (walker.x, walker.y) == pytest.approx((10.0, 0.5))


def test_a_heading_near_half_a_turn_does_not_swing_through_zero() -> None:
    tracker = Tracker(CONFIG)
    for frame, yaw in enumerate([3.1, -3.1, 3.12, -3.12]):
        tracks = tracker.update([detection(10.0, 0.0, yaw=yaw)], still(0.0), frame * FRAME_S)
    assert abs(tracks[0].yaw) > 3.0


def test_filter_agrees_with_one_in_matrices() -> None:
    """One axis, step by step, against the textbook's matrix form."""
    tracker, random = Tracker(CONFIG), np.random.default_rng(5)
    mean = covariance = None
    measured = np.diag([CONFIG.position_sigma_m**2, CONFIG.velocity_sigma_mps**2])
    motion = np.array([[1.0, FRAME_S], [0.0, 1.0]])
    noise = CONFIG.acceleration_sigma**2 * np.array([[FRAME_S**3 / 3, FRAME_S**2 / 2], [FRAME_S**2 / 2, FRAME_S]])
    for frame in range(6):
        z = np.array([10.0 + 0.4 * frame, 4.0]) + random.normal(size=2) * 0.1
        tracks = tracker.update([detection(z[0], 0.0, vx=z[1])], still(0.0), frame * FRAME_S)
        if mean is None:
            mean, covariance = z, measured
            continue
        mean, covariance = motion @ mean, motion @ covariance @ motion.T + noise
        gain = covariance @ np.linalg.inv(covariance + measured)
        mean, covariance = mean + gain @ (z - mean), covariance - gain @ covariance
        (track,) = tracks
        np.testing.assert_allclose([track.x, track.vx], mean, rtol=1e-9)
        told = [[track.position_var, track.cross_var], [track.cross_var, track.velocity_var]]
        np.testing.assert_allclose(told, covariance, rtol=1e-9)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        detection(float("nan"), 0.0)
    tracker = Tracker()
    tracker.update([], still(0.0), 1.0)
    with pytest.raises(ValueError, match=r"order of time: 1\.0 s after 1\.0 s"):
        tracker.update([], still(0.0), 1.0)
    with pytest.raises(ValueError, match="gate_m"):
        TrackerConfig(gate_m=(1.0,))


def test_agents_of_the_detection_head_become_detections() -> None:
    row = np.zeros(len(Agent))
    row[[Agent.SCORE, Agent.KIND, Agent.X, Agent.Y, Agent.LENGTH, Agent.VY]] = (0.7, 1, 12.0, -3.0, 0.6, 1.4)
    (found,) = detections_from(row[None])
    assert found == Detection(BoxKind.PEDESTRIAN, 12.0, -3.0, 0.0, 0.6, 0.0, 0.0, 1.4, 0.7)
