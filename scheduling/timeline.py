"""Timelines as Chrome trace JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

One track a resource - car, uplink, edge, downlink, cloud - one of frames from capture to answer, and one a direction
of the wide-area network. On these last three spans may overlap, so they are asynchronous events.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scheduling.types import Schedule, Span, Timeline

_PROCESS = 1
_TRACKS = ("frames", "car", "uplink", "edge", "downlink", "cloud", "wan_up", "wan_down")
_FRAMES_TRACK = 0
_OVERLAPPING = ("wan_up", "wan_down")


def _micros(time_s: float) -> float:
    return round(time_s * 1e6, 3)


def perfetto_events(
    timelines: Iterable[Timeline], schedules: Mapping[int, Schedule] | None = None
) -> list[dict[str, Any]]:
    """Trace events; schedules (by frame id) only add what a policy expected to the frames' details."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": "e2e-drive (simulated time)"}}
    ]
    for number, name in enumerate(_TRACKS):
        common = {"ph": "M", "pid": _PROCESS, "tid": number}
        events.append({**common, "name": "thread_name", "args": {"name": name}})
        events.append({**common, "name": "thread_sort_index", "args": {"sort_index": number}})
    for timeline in timelines:
        frame = f"frame {timeline.frame_id}"
        details: dict[str, Any] = {
            "used_fallback": timeline.used_fallback,
            "bytes_up": timeline.bytes_up,
            "bytes_down": timeline.bytes_down,
            "car_j": round(timeline.car_j, 6),
        }
        schedule = (schedules or {}).get(timeline.frame_id)
        if schedule is not None:
            details |= {
                "policy": schedule.policy,
                "model": schedule.model,
                "place": " ".join(place.name.lower() for place in schedule.place),
                "precisions": " ".join(schedule.precisions),
                "codecs": dict(sorted(schedule.codecs.items())),
                "expected_ms": round(schedule.expected_latency_s * 1e3, 3),
            }
        place = {"pid": _PROCESS, "tid": _FRAMES_TRACK}
        if timeline.ready_s is None:
            dropped = {"ph": "i", "s": "t", "name": f"{frame} dropped", "ts": _micros(timeline.capture_s)}
            events.append({**place, **dropped, "args": details})
        else:
            # Frames overlap in flight, so they are asynchronous events with the frame as identity.
            both = {**place, "cat": "frame", "name": frame, "id": timeline.frame_id}
            events.append({**both, "ph": "b", "ts": _micros(timeline.capture_s), "args": details})
            events.append({**both, "ph": "e", "ts": _micros(timeline.ready_s)})
        for number, span in enumerate(timeline.spans):
            events += _span_events(span, timeline.frame_id, number)
    return events


def _span_events(span: Span, frame_id: int, number: int) -> list[dict[str, Any]]:
    """number: of the span in its frame."""
    event: dict[str, Any] = {
        "pid": _PROCESS,
        "tid": _TRACKS.index(span.resource),
        "name": span.stage,
        "cat": span.resource,
        "ts": _micros(span.start_s),
    }
    args = {"frame": frame_id, **({"bytes": span.bytes} if span.bytes else {})}
    if span.resource not in _OVERLAPPING:
        return [{**event, "ph": "X", "dur": _micros(span.end_s - span.start_s), "args": args}]
    event["id"] = f"{frame_id}.{number}"
    return [{**event, "ph": "b", "args": args}, {**event, "ph": "e", "ts": _micros(span.end_s)}]


def write_perfetto(
    path: str | Path, timelines: Iterable[Timeline], schedules: Mapping[int, Schedule] | None = None
) -> None:
    """Written under a temporary name first, so that a reader never meets half a file."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    document = {"displayTimeUnit": "ms", "traceEvents": perfetto_events(timelines, schedules)}
    temporary.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    os.replace(temporary, path)
