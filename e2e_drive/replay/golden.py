"""A stored reference of what a replay gives, to prove that a change changed nothing.

Another machine type rounds another way, so numbers are held to tolerances; places, codecs and which trajectory is
followed are held exactly. A tolerance is far below what a driver would notice and far above rounding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from e2e_drive.errors import UserError
from e2e_drive.replay.exact import Step
from e2e_drive.report import write_json
from scheduling import Place

FORMAT = 1
# quantity -> largest difference allowed
TOLERANCES = {
    "latency_s": 1e-3,
    "path": 0.02,  # [m]
    "waypoints": 0.02,  # [m]
    "speed_probabilities": 5e-3,
    "throttle": 5e-3,
    "brake": 5e-3,
    "steer": 5e-3,
}
_DIGITS = 5  # kept in the file


def reference_of(steps: Iterable[Step], about: Mapping[str, str]) -> dict[str, Any]:
    """What is kept: a row a tick. about: which log and weights it is of."""
    return {"format": FORMAT, "about": dict(about), "ticks": [_row(step) for step in steps]}


def write_reference(path: Path, reference: Mapping[str, Any]) -> None:
    write_json(path, reference)


def read_reference(path: Path) -> dict[str, Any]:
    try:
        reference: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"golden={path}: no such file; refresh=true writes it") from error
    except json.JSONDecodeError as error:
        raise UserError(f"golden={path} is no JSON: {error}") from error
    if not isinstance(reference, dict) or reference.get("format") != FORMAT:
        raise UserError(f"golden={path} is no reference of format {FORMAT}; refresh=true writes one")
    return reference


def differences(reference: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line each, in order of time; empty when nothing has changed."""
    found = [
        f"{key}: was {value}, is {now['about'].get(key)}"
        for key, value in reference["about"].items()
        if now["about"].get(key) != value
    ]
    before, after = reference["ticks"], now["ticks"]
    if len(before) != len(after):
        found.append(f"ticks: were {len(before)}, are {len(after)}")
    for old, new in zip(before, after, strict=False):
        found += [f"frame {old['frame_id']}: {line}" for line in _differing(old, new)]
    return found


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if key in TOLERANCES and was is not None and now is not None:
            gap = float(np.max(np.abs(np.subtract(was, now))))
            if gap > TOLERANCES[key]:
                lines.append(f"{key} differs by {gap:.4g}, allowed are {TOLERANCES[key]:g}")
        elif was != now:
            lines.append(f"{key} was {was}, is {now}")
    return lines


def _row(step: Step) -> dict[str, Any]:
    record = step.record
    control, trajectory = record.control, record.trajectory
    row: dict[str, Any] = {
        "frame_id": record.frame.frame_id,
        "throttle": round(control.throttle, _DIGITS),
        "brake": round(control.brake, _DIGITS),
        "steer": round(control.steer, _DIGITS),
        "follows": -1 if trajectory is None else trajectory.frame_id,
    }
    if record.schedule is not None and record.timeline is not None:
        latency_s = record.timeline.latency_s
        row["places"] = "".join(Place(place).name[:2] for place in record.schedule.place)
        row["codecs"] = dict(sorted(record.schedule.codecs.items()))
        row["latency_s"] = None if latency_s is None else round(latency_s, _DIGITS)
    if record.answer is not None:
        for name in ("path", "waypoints", "speed_probabilities"):
            row[name] = np.round(getattr(record.answer, name), _DIGITS - 1).tolist()
    return row
