"""Finished drives, read back from their folders for the report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev import FloatArray
from e2e_drive.errors import UserError
from e2e_drive.logs import read_drive
from e2e_drive.report.files import LOG, RESULTS, RUN
from e2e_drive.report.tally import placement_of

_TOPICS = frozenset({"/timeline", "/schedule", "/truth", "/link", "/infraction"})
_UNKNOWN = "unknown"
_AFTER = re.compile(r" at \(x=([-\d.]+), y=([-\d.]+)\) after ([\d.]+) s$")


@dataclass(frozen=True)
class Setting:
    """What a drive was driven with; drives that share it are one row of the report."""

    policy: str
    link: str
    soc: str
    weights: str

    def title(self, names: Sequence[str]) -> str:
        """Of the fields of those names."""
        return ", ".join(f"link {self.link}" if name == "link" else str(getattr(self, name)) for name in names)


@dataclass(frozen=True)
class Mishap:
    """One infraction. x, y: where the car was [m], world frame; None where the message does not say."""

    kind: str
    message: str
    time_s: float | None
    x: float | None
    y: float | None


@dataclass(frozen=True, eq=False)
class DriveData:
    """One drive. latencies_s: of the frames that got an answer. spots (N, 2): where the car was [m] at each frame with
    pictures, and placements (N) what became of that frame. up_bps, rtt_s: (N,), of the link; up_bps 0 without one.
    video_from_s: simulated time of the video's first picture."""

    folder: Path
    name: str
    route: str
    town: str
    seed: int
    setting: Setting
    record: Mapping[str, Any]
    rules: str
    mishaps: tuple[Mishap, ...]
    latencies_s: FloatArray
    spots: FloatArray
    placements: tuple[str, ...]
    up_bps: FloatArray
    rtt_s: FloatArray
    video_from_s: float
    about: Mapping[str, Any]

    @property
    def scores(self) -> Mapping[str, float]:
        scores: Mapping[str, float] = self.record["scores"]
        return scores

    @property
    def is_success(self) -> bool:
        """Bench2Drive's rule: completed, with no infraction but min speed."""
        return self.record["status"] in ("Perfect", "Completed") and all(
            mishap.kind == "min_speed_infractions" for mishap in self.mishaps
        )

    def file(self, name: str) -> Path | None:
        path = self.folder / name
        return path if path.is_file() else None


def find_drives(root: Path) -> list[Path]:
    """Folders below `root` that hold a finished drive, in order. UserError if there is none."""
    found = sorted(path.parent for path in root.rglob(RESULTS) if (path.parent / RUN).is_file())
    if not found:
        raise UserError(f"in={root}: no drive in there; a drive is a folder with {RESULTS} and {RUN}")
    return found


def read_folder(folder: Path, root: Path) -> DriveData:
    """One drive; a log that is missing or cut costs the curves, not the scores."""
    results, run = _json(folder / RESULTS), _json(folder / RUN)
    try:
        record = results["_checkpoint"]["records"][0]
        mishaps = tuple(_mishaps(record["infractions"]))
        config, choices, overrides = run["config"], run.get("choices", {}), run.get("overrides", ())
        seed, town, rules = int(run["seeds"]["seed"]), str(config["world"]["town"]), str(results.get("rules", ""))
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"{folder}: {RESULTS} or {RUN} is not of a drive: no {error}") from error
    log = _read_log(folder / LOG)
    setting = _setting(config, choices, overrides, log.policy)
    name = str(folder.relative_to(root)) if folder != root else folder.name
    return DriveData(
        folder, name, str(record["route_id"]), town, seed, setting, record, rules, mishaps, log.latencies_s, log.spots,
        log.placements, log.up_bps, log.rtt_s, log.first_s, run,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Log:
    latencies_s: FloatArray
    spots: FloatArray
    placements: tuple[str, ...]
    up_bps: FloatArray
    rtt_s: FloatArray
    first_s: float
    policy: str


def _read_log(path: Path) -> _Log:
    latencies, spots, placements, up, rtt = [], [], [], [], []
    first_s, policy, schedule, place = 0.0, "", None, (0.0, 0.0)
    for number, entry in enumerate(read_drive(path, _TOPICS) if path.is_file() else ()):
        if number == 0:
            first_s = entry.time_s
        if entry.topic == "/truth":
            place = (entry.value.pose.x, entry.value.pose.y)
        elif entry.topic == "/link":
            link = entry.value
            up.append(link.up_bps if link.available else 0.0)
            rtt.append(link.rtt_s)
        elif entry.topic == "/schedule":
            schedule = entry.value
            policy = schedule.policy
        elif entry.topic == "/timeline" and schedule is not None:
            spots.append(place)
            placements.append(placement_of(schedule, entry.value))
            if entry.value.latency_s is not None:
                latencies.append(entry.value.latency_s)
    return _Log(
        np.array(latencies),
        np.array(spots, dtype=np.float64).reshape(-1, 2),
        tuple(placements),
        np.array(up),
        np.array(rtt),
        first_s,
        policy,
    )


def _setting(config: Mapping[str, Any], choices: Mapping[str, Any], overrides: Sequence[str], logged: str) -> Setting:
    """Choices of groups, each with what was set finer than that ("fixed link.latency_s=2.0")."""

    def of(group: str, fallback: str) -> str:
        finer = [word for word in overrides if word.startswith(f"{group}.")]
        return " ".join([str(choices.get(group) or fallback), *finer])

    if config.get("driver") == "expert":
        return Setting("expert", "none", "none", "none")
    weights = Path(str(config.get("weights", _UNKNOWN))).as_posix()
    costs = config.get("costs") or {}
    if costs.get("model") is not None:
        weights += f" at the cost of {costs['model']}, pictures x{costs['picture_scale']}"
    return Setting(of("scheduler", logged or _UNKNOWN), of("link", _UNKNOWN), of("soc", _UNKNOWN), weights)


def _mishaps(infractions: Mapping[str, list[str]]) -> Iterator[Mishap]:
    for kind, messages in infractions.items():
        for message in messages:
            found = _AFTER.search(message)
            if found is None:
                yield Mishap(kind, message, None, None, None)
            else:
                x, y, time_s = (float(value) for value in found.groups())
                yield Mishap(kind, message[: found.start()], time_s, x, y)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
