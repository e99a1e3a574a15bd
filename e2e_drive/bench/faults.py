"""Faults put into drive logs on purpose, to measure what `inspect` finds. A log is a list of records that a fault
changes in place; what it did, and when, is what the detector of its kind should report.

Magnitudes are drawn from ranges that begin not far above what a detector takes for normal; they stand with each fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev import FloatArray, Pose2D
from e2e_drive.bench.tampering import Log, Record
from e2e_drive.inspect import Kind
from e2e_drive.logs import RoadUser
from e2e_drive.logs.foxglove import users_message, users_of
from e2e_drive.logs.pictures import JPEG, image_message, image_of
from e2e_drive.logs.reader import CAMERA_PREFIX
from e2e_drive.scores.pdm import EGO_HALF_M
from planner import SPEED_CLASSES_MPS
from scheduling import Place

MARGIN_S = 3.5  # at both ends of a log that faults keep off: plans are judged by what follows
_PLACES = (Place.CAR.name, Place.EDGE.name)


@dataclass(frozen=True)
class Fault:
    kind: Kind
    from_s: float
    to_s: float
    what: str


def _span(
    log: Log, rng: np.random.Generator, lasts_s: float, moving: float | None = None
) -> tuple[float, float] | None:
    """A time for a fault, at least 2 s from all others; moving: at this speed or more from half a second before to its
    end. None where there is none."""
    ego = log.of("/ego")
    times = np.array([r.time_s for r in ego])
    speeds = np.array([r.message.speed_mps for r in ego])
    for _ in range(200):
        start = float(rng.uniform(times[0] + MARGIN_S, times[-1] - MARGIN_S - lasts_s))
        if any(start - 2.0 < b and start + lasts_s + 2.0 > a for a, b in log.taken):
            continue
        within = speeds[(times >= start - 0.5) & (times <= start + lasts_s)]
        if moving is None or within.min() >= moving:
            log.taken.append((start, start + lasts_s))
            return start, start + lasts_s
    return None


def dropout(log: Log, rng: np.random.Generator) -> Fault | None:
    """1 to 15 pictures of one camera, or of all, missing or black; or 2 to 10 ticks."""
    how = rng.choice(["one", "all", "black", "ticks"])
    count = int(rng.integers(2, 11)) if how in ("all", "ticks") else int(rng.integers(1, 16))
    span = _span(log, rng, count * (0.05 if how == "ticks" else 0.1), moving=1.0 if log.of("/labels") else None)
    if span is None:
        return None
    if how == "ticks":
        gone = {r.tick for r in log.of("/ego", *span)}
        log.records = [r for r in log.records if r.tick not in gone]
        return Fault(Kind.DROPOUT, *span, f"{len(gone)} ticks")
    topics = log.cameras if how == "all" else [str(rng.choice(log.cameras))]
    hit = [r for topic in topics for r in log.of(topic, *span)]
    if how == "black":
        for record in hit:
            _set_image(record, np.zeros_like(image_of(record.message)))
    else:
        log.records = [r for r in log.records if not any(r is h for h in hit)]
    return Fault(Kind.DROPOUT, *span, f"{how}: {len(hit)} pictures of {', '.join(topics)}")


def freeze(log: Log, rng: np.random.Generator) -> Fault | None:
    """1 to 15 pictures of one camera, or of all, as the one before them, to the bit or with a sensor's noise; or a tick
    written twice. The car moves at 1.5 m/s or more."""
    how = rng.choice(["same", "noisy", "twice"], p=[0.45, 0.4, 0.15])
    count = 1 if how == "twice" else int(rng.integers(1, 16))
    span = _span(log, rng, 0.1 * count, moving=1.5)
    if span is None:
        return None
    if how == "twice":
        tick = log.of("/ego", span[0])[0].tick
        again = [Record(r.topic, r.time_s, r.message, r.tick) for r in log.ticks[tick]]
        last = max(i for i, r in enumerate(log.records) if r.tick == tick)
        log.records[last + 1 : last + 1] = again
        return Fault(Kind.FROZEN, *span, "a tick twice")
    topics = log.cameras if rng.random() < 0.3 else [str(rng.choice(log.cameras))]
    for topic in topics:
        before, hit = log.of(topic, to_s=span[0])[-1], log.of(topic, *span)
        image = image_of(before.message)
        for record in hit:
            if how == "same":
                record.message = before.message
            else:
                _set_image(record, np.clip(image + rng.normal(0.0, 1.0, image.shape), 0, 255).astype(np.uint8))
    return Fault(Kind.FROZEN, *span, f"{how}: {count} pictures of {', '.join(topics)}")


def time_jump(log: Log, rng: np.random.Generator) -> Fault | None:
    """From some tick on, everything is stamped 0.04 to 2 s later, or earlier; or only the car's own clock is."""
    span = _span(log, rng, 0.1)
    if span is None:
        return None
    step_s = float(np.exp(rng.uniform(np.log(0.04), np.log(2.0)))) * (1.0 if rng.random() < 0.6 else -1.0)
    first = next(r.tick for r in log.of("/ego", span[0]))
    stamps = rng.random() < 0.7
    for record in log.records:
        if record.tick < first:
            continue
        _shift_clock(record, step_s)
        if stamps:
            record.time_s = max(0.0, record.time_s + step_s)
    return Fault(Kind.TIME_JUMP, *span, f"{step_s:+.2f} s{'' if stamps else ', clock alone'}")


def _shift_clock(record: Record, step_s: float) -> None:
    message = record.message
    if record.topic in ("/ego", "/trajectory"):
        message.time_s += step_s
    elif record.topic == "/timeline":
        message.capture_s += step_s
        message.ready_s += step_s
        for one in message.spans:
            one.start_s += step_s
            one.end_s += step_s


def late(log: Log, rng: np.random.Generator) -> Fault | None:
    """1 to 8 answers 0.12 to 1 s later than they were, or never there."""
    count = int(rng.integers(1, 9))
    span = _span(log, rng, 0.1 * count)
    if span is None:
        return None
    more_s, never = float(rng.uniform(0.12, 1.0)), rng.random() < 0.25
    for record in log.of("/timeline", *span):
        record.message.dropped = never
        record.message.ready_s = 0.0 if never else record.message.ready_s + more_s
    return Fault(Kind.LATENCY, *span, "never answered" if never else f"{more_s:.2f} s later")


def flap(log: Log, rng: np.random.Generator) -> Fault | None:
    """All stages hop between car and edge every 1 to 3 frames, for 1.8 to 3 s."""
    lasts_s, every = float(rng.uniform(1.8, 3.0)), int(rng.integers(1, 4))
    span = _span(log, rng, lasts_s)
    if span is None:
        return None
    for i, record in enumerate(log.of("/schedule", *span)):
        places = record.message.places
        places[:] = [_PLACES[(i // every) % 2]] * len(places)
    return Fault(Kind.FLAPPING, *span, f"every {every} frames")


def shake(log: Log, rng: np.random.Generator) -> Fault | None:
    """Plans that swing sideways by 0.3 to 1.2 m 5 m ahead, or in speed by 2.5 to 5 m in 2 s, or steering by 12 to 40 %
    of full lock, for 1 to 3 s."""
    how, lasts_s = rng.choice(["path", "speed", "steer"], p=[0.5, 0.25, 0.25]), float(rng.uniform(1.0, 3.0))
    span = _span(log, rng, lasts_s, moving=2.0)
    if span is None:
        return None
    for i, record in enumerate(log.of("/control" if how == "steer" else "/trajectory", *span)):
        sign, message = (-1.0) ** i, record.message
        if how == "path":
            _bend(message, sign * float(rng.uniform(0.3, 1.2)))
        elif how == "speed":
            _stretch(message, sign * float(rng.uniform(2.5, 5.0)))
        else:
            message.steer = float(np.clip(message.steer + sign * rng.uniform(0.12, 0.4), -1.0, 1.0))
    return Fault(Kind.JERKY, *span, str(how))


def disagree(log: Log, rng: np.random.Generator) -> Fault | None:
    """Plans 1.25 to 3 m beside what they should be 5 m ahead, or 7 to 12 m off along the way in 2 s (4 to 6 m/s too
    fast or slow where there are labels), for 1.5 to 3 s."""
    how, lasts_s = rng.choice(["path", "speed"], p=[0.6, 0.4]), float(rng.uniform(1.5, 3.0))
    span = _span(log, rng, lasts_s, moving=3.0)
    if span is None:
        return None
    labelled, sign = bool(log.of("/labels")), float(rng.choice([-1.0, 1.0]))
    size = float(rng.uniform(1.25, 3.0) if how == "path" else rng.uniform(7.0, 12.0))
    plans = log.of("/trajectory", *span)
    if how == "speed" and labelled and plans:
        sign = 1.0 if _speed(plans[0].message) < SPEED_CLASSES_MPS[-1] / 2.0 else -1.0  # where there is room
        size = float(rng.uniform(4.0, 6.0))
    for record in plans:
        if how == "path":
            _bend(record.message, sign * size)
        elif labelled:
            _retarget(record.message, sign * size)
        else:
            _stretch(record.message, size)
    return Fault(Kind.DISAGREEMENT, *span, f"{how} {sign * size:+.1f}")


def near_miss(log: Log, rng: np.random.Generator) -> Fault | None:
    """Somebody comes within 0.05 to 0.45 m: a pedestrian beside the lane, or a vehicle that overtakes or comes towards
    us too closely; or one from the side stops 0.5 s before it would have hit."""
    span = _span(log, rng, 1.0, moving=2.5)
    if span is None:
        return None
    middle_s = (span[0] + span[1]) / 2.0
    truth = {r.message.frame_id: r.message for r in log.of("/truth")}
    frame_of = {r.tick: r.message.frame_id for r in log.of("/ego")}
    now = min(log.of("/truth"), key=lambda r: abs(r.time_s - middle_s)).message
    how = str(rng.choice(["walker", "oncoming", "overtaking", "side"]))
    gap, side = float(rng.uniform(0.05, 0.45)), float(rng.choice([-1.0, 1.0]))
    for record in log.of("/users"):
        ego = truth[frame_of[record.tick]]
        user = _intruder(how, gap, side, record.time_s - middle_s, ego.pose, now)
        if user is not None:
            record.message = users_message([*users_of(record.message), user], record.time_s)
    return Fault(Kind.NEAR_MISS, span[0] - 0.5, span[1] + 0.5, f"{how} within {gap:.2f} m")


def _intruder(how: str, gap: float, side: float, off_s: float, ego: Any, middle: Any) -> RoadUser | None:
    """Where it is off_s after the closest moment. ego: the pose then; middle: the truth of the closest moment."""
    if abs(off_s) > 2.0:
        return None
    half_length, half_width = (0.3, 0.3) if how == "walker" else (2.2, 0.9)
    beside = side * (EGO_HALF_M[1] + gap + half_width)
    if how == "overtaking":  # beside the car, and 4 m/s faster
        frame, place, yaw = ego, (4.0 * off_s, beside), 0.0
    elif how == "oncoming":
        frame, place, yaw = middle.pose, (-5.0 * off_s, beside), np.pi
    elif how == "walker":  # walks along, the car passes it
        frame, place, yaw = middle.pose, (1.0 * off_s, beside), 0.0
    else:  # at 6 m/s towards our side, until it stops 0.9 m beside us
        stop = EGO_HALF_M[1] + 0.9 + half_length
        frame, place, yaw = middle.pose, (1.0, side * (stop + max(0.0, -6.0 * off_s))), -side * np.pi / 2.0
    pose = Pose2D(frame.x, frame.y, frame.yaw)
    x, y = pose.transform_from_local(np.array([place]))[0].tolist()
    kind = "walker.pedestrian.0001" if how == "walker" else "vehicle.intruder"
    return RoadUser(990001, kind, Pose2D(x, y, pose.yaw + yaw), 0.9, 2 * half_length, 2 * half_width, 1.6)


def _set_image(record: Record, image: Any) -> None:
    record.message = image_message(record.message.frame_id, image, record.time_s, JPEG)


def _bend(message: Any, sideways_m: float) -> None:
    """Path and waypoints, by sideways_m from 5 m ahead on."""
    for name in ("path_xy", "waypoints_xy"):
        xy = _points(getattr(message, name))
        xy[:, 1] += sideways_m * np.clip(xy[:, 0] / 5.0, 0.0, 1.0)
        getattr(message, name)[:] = xy.ravel().tolist()


def _stretch(message: Any, along_m: float) -> None:
    """Waypoints so that the one in 2 s is along_m farther; not behind the car."""
    xy = _points(message.waypoints_xy)
    times_s = 0.5 * np.arange(1, len(xy) + 1)
    xy[:, 0] = np.maximum(xy[:, 0] + along_m * times_s / 2.0, 0.0)
    message.waypoints_xy[:] = xy.ravel().tolist()


def _retarget(message: Any, change_mps: float) -> None:
    """Another target speed, of the nearest class."""
    classes = np.array(SPEED_CLASSES_MPS)
    weights = np.zeros(len(classes))
    weights[int(np.argmin(np.abs(classes - _speed(message) - change_mps)))] = 1.0
    message.probabilities[:] = weights.tolist()
    message.speed_probabilities[:] = weights.tolist()


def _speed(message: Any) -> float:
    return float(np.dot(message.probabilities, SPEED_CLASSES_MPS))


def _points(values: Any) -> FloatArray:
    return np.array(values, dtype=np.float64).reshape(-1, 2)


# A jump of time comes last: what it does to the stamps, others need not know.
FAULTS: Mapping[Kind, Callable[[Log, np.random.Generator], Fault | None]] = {
    Kind.DROPOUT: dropout,
    Kind.FROZEN: freeze,
    Kind.LATENCY: late,
    Kind.FLAPPING: flap,
    Kind.JERKY: shake,
    Kind.DISAGREEMENT: disagree,
    Kind.NEAR_MISS: near_miss,
    Kind.TIME_JUMP: time_jump,
}


_NEEDS = {
    Kind.DROPOUT: CAMERA_PREFIX, Kind.FROZEN: CAMERA_PREFIX, Kind.LATENCY: "/timeline", Kind.FLAPPING: "/schedule",
    Kind.JERKY: "/trajectory", Kind.DISAGREEMENT: "/trajectory", Kind.NEAR_MISS: "/users", Kind.TIME_JUMP: "/ego",
}  # fmt: skip


def inject(log: Log, kinds: list[Kind], rng: np.random.Generator) -> list[Fault]:
    """In the order of `FAULTS`; what finds no place is left out."""
    found: list[Fault] = []
    for kind in FAULTS:
        for _ in range(kinds.count(kind) if log.of(_NEEDS[kind]) else 0):
            before = {id(r): r.time_s for r in log.records}
            fault = FAULTS[kind](log, rng)
            if fault is None:
                continue
            if kind == Kind.TIME_JUMP:
                moved = [(before[id(r)], r.time_s) for r in log.records if r.time_s != before[id(r)]]
                found = [_moved(other, moved) for other in found]
            found.append(fault)
    return found


def _moved(fault: Fault, moved: list[tuple[float, float]]) -> Fault:
    """With the stamps that it has after a jump of time."""
    if not moved or fault.from_s < moved[0][0]:
        return fault
    step_s = moved[0][1] - moved[0][0]
    return Fault(fault.kind, fault.from_s + step_s, fault.to_s + step_s, fault.what)


def cut(path: Path, share: float) -> Fault:
    """The file, shortened to `share` of its bytes."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    return Fault(Kind.CUT, -np.inf, np.inf, f"cut at {share:.0%}")
