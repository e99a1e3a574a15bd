"""No network runs: recorded stage costs, payloads and radio geometry through a policy, a computer or a link.

What is not changed is as it was: the same dispatcher decides and the same executor accounts, so with nothing changed
the latencies are those of the drive. The car's way through the world is the recorded one, whatever a schedule does.

Payloads: a tensor that left its tier in the recorded frame weighs what it weighed; one that did not weighs its mean
over the recording with that codec, else what the codec nominally makes of it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from omegaconf import DictConfig

from e2e_drive.dispatch import Dispatcher, build_dispatcher
from e2e_drive.errors import UserError
from e2e_drive.replay.recording import NOWHERE, Recording, Tick
from scheduling import ModelVariant, Place, Schedule, Timeline
from scheduling.problem import PayloadBytes


@dataclass(frozen=True)
class Outcome:
    """One frame with images. recorded: its timeline in the drive, None in logs without."""

    frame_id: int
    deadline_s: float
    schedule: Schedule
    timeline: Timeline
    recorded: Timeline | None

    @property
    def is_late(self) -> bool:
        return self.timeline.latency_s is None or self.timeline.latency_s > self.deadline_s

    @property
    def is_same(self) -> bool:
        """As it was in the drive, bit for bit."""
        return self.recorded == self.timeline


@dataclass(frozen=True)
class ScheduleReplay:
    outcomes: tuple[Outcome, ...]
    spent_s: float  # on one core by the frames alone, without reading the log and setting up

    @property
    def frames_per_s(self) -> float:
        return len(self.outcomes) / max(self.spent_s, 1e-9)

    def summary(self) -> dict[str, float]:
        """latency_*: over frames that were answered; differing_frames: whose timeline is not the recorded one."""
        outcomes = self.outcomes
        answered = [1e3 * o.timeline.latency_s for o in outcomes if o.timeline.latency_s is not None]
        found = {
            f"latency_p{p}_ms": float(np.percentile(answered, p)) if answered else float("nan") for p in (50, 95, 99)
        }
        count = max(len(outcomes), 1)
        remote = sum(any(place != Place.CAR for place in o.schedule.place) for o in outcomes)
        return found | {
            "frames": len(outcomes),
            "unanswered_share": (len(outcomes) - len(answered)) / count,
            "late_share": sum(o.is_late for o in outcomes) / count,
            "fallback_share": sum(o.timeline.used_fallback for o in outcomes) / count,
            "remote_share": remote / count,
            "mb_up": sum(o.timeline.bytes_up for o in outcomes) / 1e6,
            "mb_down": sum(o.timeline.bytes_down for o in outcomes) / 1e6,
            "car_j_per_frame": sum(o.timeline.car_j for o in outcomes) / count,
            "differing_frames": sum(not o.is_same for o in outcomes),
            "frames_per_s": self.frames_per_s,
        }


def replay_schedules(recording: Recording, ticks: Sequence[Tick], config: DictConfig) -> ScheduleReplay:
    """ticks: of the recording, without their pictures. config: the recording's, perhaps with another scheduler, soc,
    edge, cloud, link, deadline or seed."""
    if recording.graph is None:
        raise UserError(f"{recording.path} was not driven by the stack: it holds no stage costs")
    models = (ModelVariant(str(config.weights), recording.graph),)
    dispatcher = build_dispatcher(config, models, recording.frame_period_s, payload_jitter=0.0)
    with _collection_paused():
        began = time.process_time()
        outcomes = _run(ticks, dispatcher)
    return ScheduleReplay(tuple(outcomes), time.process_time() - began)


@contextmanager
def _collection_paused() -> Iterator[None]:
    """No search for reference cycles: outcomes are trees that all stay, and looking for cycles in ever more of them
    takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _run(ticks: Sequence[Tick], dispatcher: Dispatcher) -> list[Outcome]:
    executor, link, usual = dispatcher.executor, dispatcher.link, mean_payloads(ticks)
    outcomes = []
    for tick in ticks:
        frame, now_s = tick.frame, tick.frame.time_s
        dispatcher.tick(tick.geometry or NOWHERE, now_s)
        if frame.images is None:
            continue
        executor.payloads = {**usual, **{t: {**usual[t], **sizes} for t, sizes in tick.payloads.items()}}
        schedule = dispatcher.decide(now_s, frame.ego.speed_mps)
        _, timeline = executor.run(schedule, None, {}, link.truth(), frame.frame_id, now_s)
        deadline_s = dispatcher.deadline.deadline_s(frame.ego.speed_mps)
        outcomes.append(Outcome(frame.frame_id, deadline_s, schedule, timeline, tick.timeline))
    return outcomes


def mean_payloads(ticks: Sequence[Tick]) -> PayloadBytes:
    """Tensor -> codec -> mean bytes over the recording."""
    seen: dict[str, dict[str, list[float]]] = {}
    for tick in ticks:
        for tensor, sizes in tick.payloads.items():
            for codec, size in sizes.items():
                seen.setdefault(tensor, {}).setdefault(codec, []).append(size)
    return {tensor: {c: float(np.mean(sizes)) for c, sizes in codecs.items()} for tensor, codecs in seen.items()}
