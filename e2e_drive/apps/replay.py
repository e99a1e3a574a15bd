"""`e2e-drive replay log=... mode=exact|model|schedule|golden`: a recorded drive at the desk."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from e2e_drive.errors import UserError
from e2e_drive.replay.exact import Difference, Step, check_exact, difference, same_stack, stack_for, steps
from e2e_drive.replay.golden import differences, read_reference, reference_of, write_reference
from e2e_drive.replay.open_loop import judge, summary
from e2e_drive.replay.recording import Recording, open_recording
from e2e_drive.replay.schedules import replay_schedules
from e2e_drive.report import write_json

EXIT_DIFFERENT = 1  # the replay works, and is not what it should be
_GROUPS = ("soc", "edge", "cloud", "link", "scheduler")
_VALUES = ("seed", "weights", "threads")
_OF_SCHEDULES = (*_GROUPS, "seed")
_SHOWN = 20  # differences printed


def run(cfg: DictConfig) -> int:
    if cfg.mode not in _MODES:
        raise UserError(f"mode must be one of {', '.join(_MODES)}, received {cfg.mode!r}")
    recording = open_recording(Path(cfg.log))
    changed = [name for name in (*_GROUPS, *_VALUES) if OmegaConf.select(cfg, name) is not None]
    for name in changed:
        if cfg.mode in ("exact", "golden") and name in _OF_SCHEDULES:
            raise UserError(f"mode={cfg.mode} repeats the drive as it was: {name}=... is for model and schedule")
    return _MODES[cfg.mode](cfg, recording, config_of(cfg, recording))


def config_of(cfg: DictConfig, recording: Recording) -> DictConfig:
    """The drive's own configuration, with what the user wants to be different."""
    config = recording.config.copy()
    for name in (*_GROUPS, *_VALUES):
        value = OmegaConf.select(cfg, name)
        if value is not None:
            # a group unresolved: it takes the drive's seed, as in `evaluate`
            config[name] = OmegaConf.create(OmegaConf.to_container(value)) if name in _GROUPS else value
    resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    assert isinstance(resolved, DictConfig)
    return resolved


def _exact(cfg: DictConfig, recording: Recording, config: DictConfig) -> int:
    last_s, count, found = 0.0, 0, None
    for step in _with_bar(steps(recording, same_stack(recording, config))):
        check_exact(recording, step.tick)
        last_s, count = step.tick.frame.time_s, count + 1
        found = difference(step)
        if found is not None:
            break
    _say_missing(recording, last_s, count)
    _write(cfg, {"ticks": count, "identical": found is None, "first_difference": _as_text(found)})
    if found is not None:
        print(f"not identical: {found}")
        return EXIT_DIFFERENT
    print(f"identical: {count} ticks, up to {last_s:.2f} s, bit for bit")
    return 0


def _model(cfg: DictConfig, recording: Recording, config: DictConfig) -> int:
    gathered = list(_without_pictures(_with_bar(steps(recording, stack_for(recording, config)))))
    _say_missing(recording, gathered[-1].tick.frame.time_s if gathered else 0.0, len(gathered))
    rows = judge(gathered, list(recording.lanes().values()))
    if not rows:
        raise UserError(f"{recording.path}: no frame with an answer and the truth about the car: nothing can be judged")
    found = summary(rows)
    _write_rows(Path(cfg.out) / "frames.csv", [asdict(row) for row in rows])
    _write(cfg, found)
    _show(f"{config.weights} on {recording.path.name}", found)
    return 0


def _schedule(cfg: DictConfig, recording: Recording, config: DictConfig) -> int:
    ticks = list(recording.ticks(pictures=False))
    _say_missing(recording, ticks[-1].frame.time_s if ticks else 0.0, len(ticks))
    result = replay_schedules(recording, ticks, config)
    _write_rows(
        Path(cfg.out) / "frames.csv",
        [
            {
                "frame_id": o.frame_id,
                "capture_s": o.timeline.capture_s,
                "latency_s": "" if o.timeline.latency_s is None else o.timeline.latency_s,
                "recorded_latency_s": ""
                if o.recorded is None or o.recorded.latency_s is None
                else o.recorded.latency_s,
                "deadline_s": o.deadline_s,
                "used_fallback": int(o.timeline.used_fallback),
                "places": " ".join(place.name for place in o.schedule.place),
                "bytes_up": o.timeline.bytes_up,
                "bytes_down": o.timeline.bytes_down,
                "car_j": o.timeline.car_j,
            }
            for o in result.outcomes
        ],
    )
    found = result.summary()
    _write(cfg, found)
    _show("schedules", found)
    return 0


def _golden(cfg: DictConfig, recording: Recording, config: DictConfig) -> int:
    if cfg.golden is None:
        raise UserError("mode=golden needs golden=FILE, the reference to compare with (refresh=true writes it)")
    path = Path(cfg.golden)
    before = None if cfg.refresh else read_reference(path)
    about = {"log": recording.path.name, "weights_sha256": recording.about.get("weights_sha256", "")}
    found_now = list(_without_pictures(_with_bar(steps(recording, same_stack(recording, config)))))
    _say_missing(recording, found_now[-1].tick.frame.time_s if found_now else 0.0, len(found_now))
    now = reference_of(found_now, about)
    if before is None:
        write_reference(path, now)
        print(f"{path}: {len(now['ticks'])} ticks, written anew")
        return 0
    found = differences(before, now)
    if not found:
        print(f"as in {path}: {len(now['ticks'])} ticks")
        return 0
    print(*found[:_SHOWN], sep="\n")
    print(f"{len(found)} differences from {path}; if they are meant, refresh=true takes them over")
    return EXIT_DIFFERENT


_MODES = {"exact": _exact, "model": _model, "schedule": _schedule, "golden": _golden}


def _with_bar(found: Iterator[Step]) -> Iterator[Step]:
    return iter(tqdm(found, unit="tick", desc="replay", mininterval=0.5, dynamic_ncols=True, leave=False, disable=None))


def _without_pictures(found: Iterator[Step]) -> Iterator[Step]:
    """Steps that may be kept for a whole drive."""
    for step in found:
        frame = replace(step.tick.frame, images=None)
        yield Step(replace(step.tick, frame=frame), replace(step.record, frame=frame, outputs=None))


def _say_missing(recording: Recording, last_s: float, count: int) -> None:
    if count == 0:
        raise UserError(
            f"{recording.path}: not one whole tick ({recording.end.broken_bytes} bytes are no whole record)"
        )
    missing = recording.missing(last_s)
    if missing:
        print(missing, file=sys.stderr)


def _as_text(found: Difference | None) -> str | None:
    return None if found is None else str(found)


def _write(cfg: DictConfig, found: Mapping[str, Any]) -> None:
    plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in found.items()}
    write_json(Path(cfg.out) / "replay.json", {"log": str(cfg.log), "mode": cfg.mode, **plain})


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _show(title: str, found: Mapping[str, float]) -> None:
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in found.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
