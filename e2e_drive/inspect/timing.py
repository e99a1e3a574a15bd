"""Answers that come late, and placements that do not settle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bev import FloatArray
from e2e_drive.inspect.findings import Finding, Kind, Trace, groups, severity_of
from e2e_drive.inspect.scan import Scan
from scheduling import Schedule, Timeline

_AROUND_S = 3.0  # what is usual, is so over this long before and after
_ABOVE_S, _TIMES = 0.08, 1.8  # a spike is this much above the usual, and this many times
_NEVER_S = 1.0  # an answer that never came is drawn and weighed as one of this latency
_JOIN_S = 0.5
_WINDOW_S, _CHANGES = 1.5, 5  # so many changes of placement within so long are flapping


def latency_spikes(scan: Scan) -> list[Finding]:
    """Answers far slower than those around them, and frames without an answer."""
    if len(scan.timelines) < 3:
        return []
    ticks = [tick for tick, _ in scan.timelines]
    times_s, even_s = scan.stamps_s[ticks], scan.even_s[ticks]
    latency_s = np.array([_latency_s(timeline) for _, timeline in scan.timelines])
    usual_s = _usual(even_s, latency_s)
    known = np.where(np.isnan(latency_s), np.maximum(_NEVER_S, usual_s), latency_s)
    spikes = (known > usual_s + _ABOVE_S) & (known > _TIMES * usual_s)
    trace = Trace("latency, ms", times_s, 1e3 * known, 1e3 * float(np.median(usual_s + _ABOVE_S)))
    found = []
    for indices in groups(spikes, even_s, _JOIN_S):
        worst = int(indices[np.argmax(known[indices])])
        never = int(np.isnan(latency_s[indices]).sum())
        count = f"{len(indices)} frame{'s' if len(indices) > 1 else ''}"
        answer = "no answer at all" if np.isnan(latency_s[worst]) else f"up to {1e3 * known[worst]:.0f} ms"
        longest = max(scan.timelines[worst][1].spans, key=lambda span: span.end_s - span.start_s, default=None)
        what = "" if longest is None else (
            f"; longest was {longest.stage} on {longest.resource} with {1e3 * (longest.end_s - longest.start_s):.0f} ms"
        )  # fmt: skip
        found.append(
            Finding(
                Kind.LATENCY, times_s[indices[0]], times_s[indices[-1]] + float(known[indices[-1]]),
                severity_of(float(known[indices].max() - usual_s[worst]) + 0.1 * never, 0.2, 0.6),
                f"{count} late: {answer}, where {1e3 * usual_s[worst]:.0f} ms are usual"
                + (f"; {never} never answered" if never else "") + what,
                "", times_s[worst], trace,
            )
        )  # fmt: skip
    return found


def _latency_s(timeline: Timeline) -> float:
    return float("nan") if timeline.latency_s is None else timeline.latency_s


def _usual(times_s: FloatArray, latency_s: FloatArray) -> FloatArray:
    """Median of the answered frames around each."""
    overall = float(np.nanmedian(latency_s)) if not np.isnan(latency_s).all() else 0.0
    usual = np.full(len(times_s), overall)
    for i, now_s in enumerate(times_s):
        near = latency_s[np.abs(times_s - now_s) <= _AROUND_S]
        near = near[~np.isnan(near)]
        if len(near):
            usual[i] = np.median(near)
    return usual


def flapping(scan: Scan) -> list[Finding]:
    """Placements that change again and again, faster than they can pay."""
    if len(scan.schedules) < _CHANGES:
        return []
    ticks = [tick for tick, _ in scan.schedules]
    times_s, even_s = scan.stamps_s[ticks], scan.even_s[ticks]
    places = [schedule.place for _, schedule in scan.schedules]
    changed = np.array([False, *(a != b for a, b in pairwise(places))])
    at = np.flatnonzero(changed)
    busy = np.zeros(len(times_s), bool)
    for i in range(len(at) - _CHANGES + 1):
        if even_s[at[i + _CHANGES - 1]] - even_s[at[i]] <= _WINDOW_S:
            busy[at[i : i + _CHANGES]] = True
    names = [_name(schedule) for _, schedule in scan.schedules]
    found = []
    for indices in groups(busy, even_s, _WINDOW_S):
        first, last = int(indices[0]), int(indices[-1])
        between = list(dict.fromkeys(names[first - 1 : last + 1]))
        lasts_s = even_s[last] - even_s[first]
        found.append(
            Finding(
                Kind.FLAPPING, times_s[first], times_s[last], severity_of(len(indices), 8, 20),
                f"stages change their place {len(indices)} times in {lasts_s:.2f} s, between {' and '.join(between)}",
                "", times_s[first], _placement_trace(times_s, names),
            )
        )  # fmt: skip
    return found


def _name(schedule: Schedule) -> str:
    """Where the stages run: "CAR", or "CAR 3 + EDGE 9"."""
    places = [place.name for place in schedule.place]
    counts = {name: places.count(name) for name in dict.fromkeys(places)}
    return next(iter(counts)) if len(counts) == 1 else " + ".join(f"{name} {n}" for name, n in counts.items())


def _placement_trace(times_s: FloatArray, names: list[str]) -> Trace:
    levels = tuple(dict.fromkeys(names))
    return Trace("placement", times_s, np.array([float(levels.index(name)) for name in names]), levels=levels)
