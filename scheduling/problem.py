"""What a policy is asked when a frame has been captured, and all that it may know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scheduling.budget import BudgetState
from scheduling.link.base import LinkForecast
from scheduling.types import ModelVariant, Place, Schedule

Floats = npt.NDArray[np.float64]
PayloadBytes = Mapping[str, Mapping[str, float]]  # tensor -> codec -> bytes


@dataclass(frozen=True)
class Busy:
    """For how long, from now, each resource still serves earlier frames."""

    car_s: float = 0.0
    uplink_s: float = 0.0
    edge_s: float = 0.0
    downlink_s: float = 0.0
    cloud_s: float = 0.0


@dataclass(frozen=True)
class Waits:
    """How long a job that arrives now stands in line behind other cars' jobs, by future (M,), in seconds."""

    edge_s: Floats
    cloud_s: Floats

    @classmethod
    def none(cls, futures: int) -> Waits:
        return cls(np.zeros(futures), np.zeros(futures))


@dataclass(frozen=True)
class Problem:
    """One decision.

    models: sizes of the network to choose from, best first. fallback: index of the one that the car always keeps
    ready to run alone. computers: one a tier that exists, by `Place` (car and edge, or car, edge and cloud).
    forecast: M futures of the link; waits: of the queues, the same M. deadline_s: after capture.
    previous: the schedule before this one. payload_bytes: what tensors last weighed. busy: see `Busy`.
    state_home: where each recurrent tensor lies (absent: on the car). frame_period_s: between two frames.
    ahead: what the link may be like later on, one forecast a step; each step stands for `ahead_frames` frames. Where
    the memory ends up now decides what those frames cost (receding horizon).
    """

    models: tuple[ModelVariant, ...]
    computers: tuple[BudgetState, ...]
    forecast: LinkForecast
    deadline_s: float
    fallback: int = -1
    previous: Schedule | None = None
    payload_bytes: PayloadBytes = field(default_factory=dict)
    busy: Busy = field(default_factory=Busy)
    waits: Waits | None = None
    state_home: Mapping[str, Place] = field(default_factory=dict)
    frame_period_s: float = 0.1
    ahead: tuple[LinkForecast, ...] = ()
    ahead_frames: int = 1

    def __post_init__(self) -> None:
        if not self.models or not -len(self.models) <= self.fallback < len(self.models):
            raise ValueError(f"fallback must name one of {len(self.models)} models, received {self.fallback}")
        if not 2 <= len(self.computers) <= len(Place):
            raise ValueError(f"computers of the car, the edge and perhaps the cloud, received {len(self.computers)}")
        if self.deadline_s <= 0 or self.frame_period_s <= 0:
            raise ValueError(f"deadline_s and frame_period_s must be positive, received {self}")
        if self.ahead_frames < 1:
            raise ValueError(f"a step ahead stands for at least one frame, received ahead_frames={self.ahead_frames}")
        if self.waits is not None and len(self.waits.edge_s) != len(self.forecast):
            raise ValueError(f"one wait a future: {len(self.forecast)} futures, {len(self.waits.edge_s)} waits")

    @property
    def fallback_model(self) -> ModelVariant:
        return self.models[self.fallback]
