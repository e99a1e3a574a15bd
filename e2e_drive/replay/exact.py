"""The same frames through the same stack: must give the same trajectories and controls, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from e2e_drive.errors import UserError
from e2e_drive.logs.about import file_sha256
from e2e_drive.replay.recording import NOWHERE, Recording, Tick
from e2e_drive.stack import DrivingStack, StepRecord, build_stack, weights_folder
from planner.weights import WEIGHTS_FILE


@dataclass(frozen=True)
class Step:
    """A recorded tick, and what the stack did on it now."""

    tick: Tick
    record: StepRecord


@dataclass(frozen=True)
class Difference:
    """The first thing in which a replay departs from its recording."""

    what: str
    frame_id: int
    time_s: float
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return (
            f"{self.what} of frame {self.frame_id} at {self.time_s:.2f} s: recorded {self.recorded}, "
            f"replayed {self.replayed}"
        )


def same_stack(recording: Recording, config: DictConfig) -> DrivingStack:
    """As it was built when the drive began. config: the recording's, or one that says where its weights lie now."""
    if recording.graph is None:
        raise UserError(f"{recording.path} was not driven by the stack: there is nothing to repeat exactly")
    weights = weights_folder(str(config.weights)) / WEIGHTS_FILE
    wanted, found = recording.about.get("weights_sha256"), file_sha256(weights)
    if wanted and wanted != found:
        raise UserError(
            f"{recording.path} was driven with other weights (sha256 {wanted[:12]}...) than weights={config.weights} "
            f"({found[:12]}...); say weights=FOLDER, or mode=model to compare"
        )
    return stack_for(recording, config)


def stack_for(recording: Recording, config: DictConfig) -> DrivingStack:
    torch.set_num_threads(int(config.threads))
    torch.use_deterministic_algorithms(True)
    try:
        return build_stack(config, recording.rig, recording.frame_period_s)
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"{recording.path}: weights={config.weights}: {error}") from error


def steps(recording: Recording, stack: DrivingStack) -> Iterator[Step]:
    """Every recorded frame through the stack, with the radio geometry of then."""
    for tick in recording.ticks():
        stack.step(tick.frame, tick.geometry or NOWHERE)
        assert stack.last is not None
        yield Step(tick, stack.last)


def check_exact(recording: Recording, tick: Tick) -> None:
    if tick.lossy:
        raise UserError(
            f"{recording.path}: its pictures are JPEG, not the pixels that the network saw: exact replay needs a drive "
            "recorded with log_images=png"
        )
    if tick.geometry is None:
        raise UserError(f"{recording.path}: its link has no geometry: it is older than exact replay is")


def difference(step: Step) -> Difference | None:
    """In the order of cause and effect; None when all is the same, bit for bit."""
    tick, record = step.tick, step.record
    pairs: list[tuple[str, Any, Any]] = [
        ("link", tick.link, record.link),
        ("schedule", tick.schedule, record.schedule),
        ("payloads", tick.payloads, record.payloads),
        ("timeline", tick.timeline, record.timeline),
    ]
    now = record.trajectory if record.is_new else None
    for name in ("frame_id", "origin", "path", "speed_probabilities", "waypoints", "light_probabilities"):
        pairs.append((f"trajectory {name}", getattr(tick.trajectory, name, None), getattr(now, name, None)))
    pairs.append(("control", tick.control, record.control))
    for what, recorded, replayed in pairs:
        if not _same(recorded, replayed):
            return Difference(what, tick.frame.frame_id, tick.frame.time_s, _short(recorded), _short(replayed))
    return None


def _same(recorded: Any, replayed: Any) -> bool:
    if isinstance(recorded, np.ndarray) and isinstance(replayed, np.ndarray):
        return np.array_equal(recorded.astype(np.float64), np.asarray(replayed, dtype=np.float64))
    return bool(recorded == replayed) if type(recorded) is type(replayed) else False


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 160 else text[:157] + "..."
