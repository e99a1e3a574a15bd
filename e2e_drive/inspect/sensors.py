"""Sensors that fall silent, stand still, or whose clock jumps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bev import FloatArray
from e2e_drive.inspect.findings import Finding, Kind, Photo, Severity, Trace, groups, severity_of
from e2e_drive.inspect.scan import Pictures, Scan

Bools = npt.NDArray[np.bool_]
_BLACK = 1.0  # grey levels of standard deviation; the darkest real picture had 25
_ROLLING_MPS = 0.5
_MOVED_M, _TURNED_RAD = 0.04, 0.01  # between two pictures, from which on they must differ
_STILL = 0.2  # share of a slow change of this camera that is as good as none
_STILL_BOUNDS = (0.3, 1.0)  # [grey levels] two recordings of the same scene differ by less


def dropouts(scan: Scan) -> list[Finding]:
    """Pictures that are missing or black, and ticks of the ego state that are missing."""
    return [*_missing_pictures(scan), *_black_pictures(scan), *_missing_ticks(scan)]


def _missing_pictures(scan: Scan) -> list[Finding]:
    exposures = _exposures(scan)
    if len(exposures) == 0 or not scan.pictures:
        return []
    there = {name: set(scan.pictures[name].ticks) if name in scan.pictures else set() for name in scan.cameras}
    missing = {name: np.array([tick not in ticks for tick in exposures]) for name, ticks in there.items()}
    times_s = scan.stamps_s[exposures]
    period_s = _period_s(times_s)
    blind = np.logical_and.reduce(list(missing.values()))
    of = {name: flags & ~blind for name, flags in missing.items()}
    if len(of) > 1:
        of["all cameras"] = blind
    else:
        of = missing
    found = []
    for names, indices in _shared_groups(of, times_s, 1.5 * period_s):
        from_s, to_s = times_s[indices[0]], times_s[indices[-1]] + period_s
        lasts_s = to_s - from_s
        everything = "all cameras" in names or len(names) == len(scan.cameras)
        severity = severity_of(lasts_s * (3.0 if everything else 1.0), 0.45, 0.95)
        cameras = scan.cameras if everything else names
        found.append(
            Finding(
                Kind.DROPOUT, from_s, to_s, severity,
                f"{_of(names)}: {_count(len(indices), 'picture')} missing in {lasts_s:.2f} s, "
                f"where one is due every {period_s:.2f} s",
                ", ".join(names), from_s,
                _gap_trace(scan, cameras[0]),
                (Photo(cameras[0], from_s - period_s / 2.0), Photo(cameras[0], to_s)),
            )
        )  # fmt: skip
    return found


def _exposures(scan: Scan) -> npt.NDArray[np.intp]:
    """Ticks that should have pictures: those that some camera or the hint says, and those that the rhythm asks for. A
    collection leaves out pictures on purpose while the car stands."""
    ticks = {tick for pictures in scan.pictures.values() for tick in pictures.ticks}
    hinted = np.array(scan.hints, dtype=np.intp)
    if scan.labels:
        hinted = hinted[scan.speeds_mps[hinted] > _ROLLING_MPS]
    known = np.array(sorted(ticks | set(hinted.tolist())), dtype=np.intp)
    if not scan.labels and len(known) > 2:
        step = round(float(np.median(np.diff(known))))
        ends = np.append(known, len(scan.stamps))
        silent = [np.arange(a + step, b - step // 2, step) for a, b in pairwise(ends) if b - a > 1.5 * step]
        known = np.unique(np.concatenate([known, *silent])).astype(np.intp)
    if scan.damage or not scan.end.is_whole:  # the last tick may be half there
        known = known[known < len(scan.stamps) - 1]
    return known


def _black_pictures(scan: Scan) -> list[Finding]:
    of = {name: (np.array(pictures.spreads) < _BLACK, pictures) for name, pictures in scan.pictures.items()}
    found = []
    for name, (flags, pictures) in of.items():
        times_s = scan.stamps_s[pictures.ticks]
        period_s = _period_s(times_s)
        for indices in groups(flags, times_s, 1.5 * period_s):
            from_s, to_s = times_s[indices[0]], times_s[indices[-1]] + period_s
            found.append(
                Finding(
                    Kind.DROPOUT, from_s, to_s, severity_of(to_s - from_s, 0.45, 0.95),
                    f"camera {name}: {_count(len(indices), 'picture')} in {to_s - from_s:.2f} s of one colour "
                    f"(they spread by {np.max(np.array(pictures.spreads)[indices]):.1f} grey levels)",
                    name, from_s,
                    Trace("spread, grey levels", times_s, np.array(pictures.spreads), _BLACK),
                    (Photo(name, from_s - period_s / 2.0), Photo(name, from_s)),
                )
            )  # fmt: skip
    return found


def _missing_ticks(scan: Scan) -> list[Finding]:
    found = []
    steps, gaps = np.diff(scan.ids), np.diff(scan.clocks_s)
    for i in np.flatnonzero((steps > 1) & (np.abs(gaps - steps * scan.tick_s) < 0.5 * scan.tick_s)):
        from_s, to_s, lost = scan.stamps_s[i] + scan.tick_s, scan.stamps_s[i + 1], int(steps[i]) - 1
        found.append(
            Finding(
                Kind.DROPOUT, from_s, to_s, severity_of(to_s - from_s, 0.15, 0.45),
                f"ego state: {_count(lost, 'tick')} missing in {to_s - from_s:.2f} s "
                f"(frame {scan.ids[i]} is followed by {scan.ids[i + 1]})",
                "ego state", from_s,
                Trace("time since the last tick, s", scan.stamps_s[1:], np.diff(scan.stamps_s), 1.5 * scan.tick_s),
            )
        )  # fmt: skip
    return found


def frozen(scan: Scan) -> list[Finding]:
    """Pictures that do not change although the car moves, and what was written twice. While the car stands, real
    pictures are often the same to the last bit: nothing is said about those."""
    flags = {name: _still(scan, pictures) for name, pictures in scan.pictures.items()}
    found = []
    for names, ticks in _shared_ticks(scan, flags):
        times_s = scan.stamps_s[ticks]
        pictures = scan.pictures[names[0]]
        all_s, changes = scan.stamps_s[pictures.ticks], np.array(pictures.changes)
        period_s = _period_s(all_s)
        moved = _moved(scan, max(int(ticks[0]) - 1, 0), int(ticks[-1]))
        repeated = _count(len(ticks), "picture")
        found.append(
            Finding(
                Kind.FROZEN, times_s[0], times_s[-1] + period_s, severity_of(len(ticks) * period_s, 0.25, 0.95),
                f"{_of(names)}: {repeated} in a row as the one before, while the car moves {moved:.2f} m",
                ", ".join(names), times_s[0],
                Trace("change from picture to picture, grey levels", all_s, changes, _limit(scan, pictures)),
                (Photo(names[0], times_s[0] - period_s / 2.0), Photo(names[0], times_s[-1])),
            )
        )  # fmt: skip
    again = np.append(False, np.diff(scan.ids) == 0)
    for indices in groups(again, np.arange(len(again)) * scan.tick_s, 2.0 * scan.tick_s):
        from_s = scan.stamps_s[indices[0]]
        found.append(
            Finding(
                Kind.FROZEN, from_s, scan.stamps_s[indices[-1]] + scan.tick_s, severity_of(len(indices), 2, 10),
                f"ego state: {_count(len(indices), 'tick')} written again (frame {scan.ids[indices[0]]})",
                "ego state", from_s, Trace("frame number", scan.stamps_s, scan.ids.astype(float)),
            )
        )  # fmt: skip
    return found


def _still(scan: Scan, pictures: Pictures) -> Bools:
    """By tick: its picture is the one before although the car moved, or there are two of it."""
    ticks, changes = np.array(pictures.ticks), np.array(pictures.changes)
    same = (np.nan_to_num(changes, nan=np.inf) < _limit(scan, pictures)) & (np.array(pictures.spreads) >= _BLACK)
    moving = np.zeros(len(ticks), bool)
    if len(ticks) > 1:
        before, now = scan.odometry[ticks[:-1]], scan.odometry[ticks[1:]]
        moved = np.hypot(*(now - before)[:, :2].T)
        moving[1:] = (moved > _MOVED_M) | (np.abs(now[:, 2] - before[:, 2]) > _TURNED_RAD) | (np.diff(ticks) == 0)
    flags = np.zeros(len(scan.stamps), bool)
    flags[ticks[same & moving]] = True
    return flags


def _limit(scan: Scan, pictures: Pictures) -> float:
    """Of change [grey levels]: far below that of this camera when the car drives slowly."""
    ticks, changes = np.array(pictures.ticks), np.array(pictures.changes)
    driven = changes[(scan.speeds_mps[ticks] > _ROLLING_MPS) & (changes > _STILL_BOUNDS[0])]
    slow = float(np.percentile(driven, 5)) if len(driven) else 0.0
    return float(np.clip(_STILL * slow, *_STILL_BOUNDS))


def _moved(scan: Scan, first: int, last: int) -> float:
    steps = np.diff(scan.odometry[first : last + 1, :2], axis=0)
    return float(np.hypot(*steps.T).sum())


def time_jumps(scan: Scan) -> list[Finding]:
    """Stamps or clock that do not go on by a tick from one frame to the next."""
    if len(scan.ids) < 3:
        return []
    due_s = np.maximum(np.diff(scan.ids), 0) * scan.tick_s
    by_stamp, by_clock = np.diff(scan.stamps_s) - due_s, np.diff(scan.clocks_s) - due_s
    off_s = np.where(np.abs(by_stamp) >= np.abs(by_clock), by_stamp, by_clock)
    found = []
    for indices in groups(np.abs(off_s) > 0.5 * scan.tick_s, np.arange(len(off_s)) * scan.tick_s, 1.0):
        worst = int(indices[np.argmax(np.abs(off_s[indices]))])
        jump_s, at_s = float(off_s[worst]), float(scan.stamps_s[worst])
        more = "" if len(indices) == 1 else f", the largest of {len(indices)} within {len(indices) * scan.tick_s:.1f} s"
        from_s, to_s = sorted((float(scan.stamps_s[indices[0]]), float(scan.stamps_s[indices[-1] + 1])))
        found.append(
            Finding(
                Kind.TIME_JUMP, from_s, to_s,
                Severity.HIGH if jump_s < 0 else severity_of(jump_s, 0.1, 0.5),
                f"the clock jumps {'ahead' if jump_s > 0 else 'back'} by {abs(jump_s):.3f} s between frames "
                f"{scan.ids[worst]} and {scan.ids[worst + 1]}, where a tick is {scan.tick_s:.3f} s{more}",
                "", at_s, Trace("clock against frame number, s", scan.stamps_s[1:], off_s, 0.5 * scan.tick_s),
            )
        )  # fmt: skip
    return found


def _shared_groups(
    of: Mapping[str, Bools], times_s: FloatArray, join_s: float
) -> list[tuple[tuple[str, ...], npt.NDArray[np.intp]]]:
    """Spans of flags by name; the very same span of several names once."""
    spans: dict[tuple[int, ...], list[str]] = {}
    for name, flags in of.items():
        for indices in groups(flags, times_s, join_s):
            spans.setdefault(tuple(indices.tolist()), []).append(name)
    return [(tuple(names), np.array(indices, dtype=np.intp)) for indices, names in sorted(spans.items())]


def _shared_ticks(scan: Scan, flags: Mapping[str, Bools]) -> list[tuple[tuple[str, ...], npt.NDArray[np.intp]]]:
    rhythm = max((_period_s(scan.stamps_s[p.ticks]) for p in scan.pictures.values()), default=0.1)
    return _shared_groups(flags, scan.stamps_s, 1.5 * rhythm)


def _gap_trace(scan: Scan, camera: str) -> Trace:
    """How long the last picture was ago, by tick."""
    ticks = np.array(scan.pictures[camera].ticks if camera in scan.pictures else [], dtype=np.intp)
    place = np.searchsorted(ticks, np.arange(len(scan.stamps)), side="right") - 1
    last_s = np.where(place >= 0, scan.stamps_s[ticks[np.maximum(place, 0)]] if len(ticks) else 0.0, scan.from_s)
    return Trace(f"age of the last picture of {camera}, s", scan.stamps_s, scan.stamps_s - last_s)


def _period_s(times_s: FloatArray) -> float:
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.1


def _of(names: Iterable[str]) -> str:
    listed = list(names)
    if listed in (["all cameras"], ["ego state"]):
        return listed[0]
    return f"camera {listed[0]}" if len(listed) == 1 else f"cameras {', '.join(listed)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
