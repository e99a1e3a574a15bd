"""What the frames of one drive add up to: latency, placement, bytes and energy, all in simulated time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scheduling.types import Place, Schedule, Timeline

IN_CAR, SPLIT, AT_EDGE, IN_CLOUD = "all in the car", "split", "all at the edge", "all in the cloud"
FALLBACK, DROPPED = "fallback", "dropped"
PLACEMENTS = (IN_CAR, SPLIT, AT_EDGE, IN_CLOUD, FALLBACK, DROPPED)
_WHOLE = {Place.CAR: IN_CAR, Place.EDGE: AT_EDGE, Place.CLOUD: IN_CLOUD}


@dataclass
class Tally:
    """Grows frame by frame. latencies_s: of every frame whose trajectory became usable, in order of capture."""

    latencies_s: list[float] = field(default_factory=list)
    placements: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACEMENTS, 0))
    bytes_up: int = 0
    bytes_down: int = 0
    car_j: float = 0.0  # energy of the car's accelerator and radio

    def add(self, schedule: Schedule, timeline: Timeline) -> None:
        self.placements[placement_of(schedule, timeline)] += 1
        self.bytes_up += timeline.bytes_up
        self.bytes_down += timeline.bytes_down
        self.car_j += timeline.car_j
        if timeline.latency_s is not None:
            self.latencies_s.append(timeline.latency_s)

    @property
    def frames(self) -> int:
        return sum(self.placements.values())

    def latency_ms(self, percentile: float) -> float | None:
        """The smallest latency that `percentile` % of the frames do not exceed; None without a single frame."""
        if not self.latencies_s:
            return None
        return float(np.percentile(self.latencies_s, percentile, method="inverted_cdf")) * 1e3

    def share(self, placement: str) -> float:
        return self.placements[placement] / self.frames if self.frames else 0.0


def placement_of(schedule: Schedule, timeline: Timeline) -> str:
    """Under which heading a frame counts: what happened to it, else where it was meant to run."""
    if timeline.ready_s is None:
        return DROPPED
    if timeline.used_fallback:
        return FALLBACK
    places = set(schedule.place)
    return _WHOLE[places.pop()] if len(places) == 1 else SPLIT
