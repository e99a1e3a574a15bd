"""The nouns of scheduling: stages with costs, computers with budgets, a radio link, a schedule, a timeline.

Nothing here knows what a stage computes. Units are in the names: s, bps (bits a second), bytes, flops, w, j.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Place(IntEnum):
    CAR = 0
    EDGE = 1


@dataclass(frozen=True)
class StageCost:
    """What one run of a stage costs, traced from its module (see `scheduling.trace`)."""

    flops: float  # a multiply-add counts as 2
    bytes_moved: float  # inputs + parameters + outputs, once each, at the traced precision
    parameter_bytes: float
    output_bytes: dict[str, int]  # output tensor name -> raw fp32/uint8 bytes
    kernels: int = 1  # convolutions, matrix products, gathers: each pays the accelerator's fixed cost once


@dataclass(frozen=True)
class StageNode:
    """One stage. inputs/outputs name tensors; a tensor no stage produces is a source (made at the car)."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cost: StageCost


@dataclass(frozen=True)
class StageGraph:
    """Stages in topological order. sources: tensor name -> raw bytes, captured on the car.
    sinks: the tensors that must end up on the car (the trajectory).
    codecs: tensor name -> names of the codecs that may carry it over the air; a tensor not listed crosses raw."""

    stages: tuple[StageNode, ...]
    sources: dict[str, int]
    sinks: tuple[str, ...]
    codecs: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkGeometry:
    """What the world says about the path between the car's antenna and one roadside unit."""

    rsu: int  # which roadside unit; -1: none in range
    distance_m: float
    line_of_sight: bool
    blocking_vehicles: int  # vehicles on the straight line


@dataclass(frozen=True)
class LinkState:
    up_bps: float
    down_bps: float
    rtt_s: float  # of a small message, radio + transport + core
    loss: float  # probability that a message is lost outright
    rsu: int
    available: bool = True


@dataclass(frozen=True)
class Schedule:
    """Where each stage of one frame runs.

    place: one `Place` a stage, in graph order. codecs: tensor name -> codec name for tensors that cross the air.
    fallback_at_s: when, after capture, the car starts its own complete run if no answer has come; None = the car
    runs everything anyway. expected_latency_s: what the policy believed (mean over its futures).
    """

    place: tuple[Place, ...]
    codecs: dict[str, str]
    fallback_at_s: float | None
    expected_latency_s: float
    policy: str


@dataclass(frozen=True)
class Span:
    """One piece of work on one resource, in simulated seconds. resource: "car", "uplink", "edge", "downlink"."""

    stage: str
    resource: str
    start_s: float
    end_s: float
    bytes: int = 0


@dataclass(frozen=True)
class Timeline:
    """What really happened to one frame. ready_s: when its trajectory could first be used (simulated time);
    None when the frame was dropped. used_fallback: the car's own run answered first."""

    frame_id: int
    capture_s: float
    ready_s: float | None
    spans: tuple[Span, ...]
    used_fallback: bool
    bytes_up: int
    bytes_down: int

    @property
    def latency_s(self) -> float | None:
        return None if self.ready_s is None else self.ready_s - self.capture_s
