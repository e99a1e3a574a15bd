"""A drive as a table: one row a frame with pictures. Columns and their meaning are in docs/exchange.md."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2e_drive.exchange.extras import pyarrow
from e2e_drive.exchange.whole import whole
from e2e_drive.logs import read_drive
from e2e_drive.logs.about import RUN
from e2e_drive.replay import Recording, Tick

_ABOUT = (
    "weights_sha256",
    "seed",
    "route",
    "revision",
    "format",
    "source",
)  # what is kept of what a log says of its run


def write_parquet(recordings: Sequence[Recording], path: Path) -> int:
    """Rows written: of all drives, one behind the other; the column `log` tells them apart."""
    pa, pq = pyarrow()
    with whole(path) as part:
        rows = [{"log": str(recording.path), **row} for recording in recordings for row in frame_rows(recording)]
        about = {str(r.path): {name: r.about[name] for name in _ABOUT if name in r.about} for r in recordings}
        table = pa.Table.from_pylist(rows, schema=_schema(pa)).replace_schema_metadata({RUN: json.dumps(about)})
        pq.write_table(table, part)
    return len(rows)


def frame_rows(recording: Recording) -> Iterator[dict[str, Any]]:
    infractions = [(entry.time_s, entry.value.kind) for entry in read_drive(recording.path, frozenset({"/infraction"}))]
    before_s = -math.inf
    for tick in recording.ticks(pictures=False):
        if tick.frame.images is None:
            continue
        now_s = tick.frame.time_s
        yield _row(tick) | {"infractions": [kind for time_s, kind in infractions if before_s < time_s <= now_s]}
        before_s = now_s


def _row(tick: Tick) -> dict[str, Any]:
    frame, ego = tick.frame, tick.frame.ego
    row: dict[str, Any] = {
        "frame_id": frame.frame_id,
        "time_s": frame.time_s,
        "speed_mps": ego.speed_mps,
        "yaw_rate_rps": ego.yaw_rate_rps,
        "standing_s": ego.standing_s,
        "command": frame.hint.command.name,
        "command_distance_m": frame.hint.distance_m,
        **{name: None if math.isnan(value) else value for name, value in vars(tick.control).items()},
        "trajectory_frame_id": tick.trajectory_frame,
    }
    if tick.truth is not None:
        pose = tick.truth.pose
        row |= {"x_m": pose.x, "y_m": pose.y, "yaw_rad": pose.yaw, "route_progress_m": tick.truth.route_progress_m}
        if tick.users is not None:
            away = [math.hypot(user.pose.x - pose.x, user.pose.y - pose.y) for user in tick.users]
            row |= {"users": len(away), "nearest_user_m": min(away, default=None)}
    if tick.link is not None:
        row |= {name: getattr(tick.link, name) for name in ("up_bps", "down_bps", "rtt_s", "loss", "rsu")}
        row["link_available"] = tick.link.available
    if tick.geometry is not None:
        row |= {"rsu_distance_m": tick.geometry.distance_m, "line_of_sight": tick.geometry.line_of_sight}
    if tick.schedule is not None:
        row |= {"policy": tick.schedule.policy, "places": [place.name for place in tick.schedule.place]}
    if tick.timeline is not None:
        names = ("latency_s", "used_fallback", "bytes_up", "bytes_down", "car_j")
        row |= {name: getattr(tick.timeline, name) for name in names}
        row["dropped"] = tick.timeline.ready_s is None
    return row


def _schema(pa: Any) -> Any:
    """The same for every drive, whatever it lacks."""
    number, whole_number, text, yes_no = pa.float64(), pa.int64(), pa.string(), pa.bool_()
    kinds: Mapping[str, Sequence[str]] = {
        "number": ("time_s", "x_m", "y_m", "yaw_rad", "route_progress_m", "speed_mps", "yaw_rate_rps", "standing_s",
                   "command_distance_m", "throttle", "brake", "steer", "nearest_user_m", "up_bps", "down_bps", "rtt_s",
                   "loss", "rsu_distance_m", "latency_s", "car_j"),
        "whole": ("frame_id", "trajectory_frame_id", "users", "rsu", "bytes_up", "bytes_down"),
        "text": ("log", "command", "policy"),
        "yes_no": ("link_available", "line_of_sight", "used_fallback", "dropped"),
        "texts": ("places", "infractions"),
    }  # fmt: skip
    of_kind = {"number": number, "whole": whole_number, "text": text, "yes_no": yes_no, "texts": pa.list_(text)}
    return pa.schema([(name, of_kind[kind]) for kind, names in kinds.items() for name in names])
