"""The nouns of scheduling: stages with costs, computers with budgets, a radio link, a schedule, a timeline.

Nothing here knows what a stage computes. Units are in the names: s, bps (bits a second), bytes, flops, w, j.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Place(IntEnum):
    """A tier: the car's own computer, the roadside edge server behind the radio, a central cloud behind the edge."""

    CAR = 0
    EDGE = 1
    CLOUD = 2


@dataclass(frozen=True)
class StageCost:
    """What one run of a stage costs, traced from its module (see `scheduling.trace`)."""

    flops: float  # a multiply-add counts as 2
    bytes_moved: float  # inputs + parameters + outputs, once each, at the traced precision
    parameter_bytes: float
    output_bytes: dict[str, int]  # output tensor name -> raw fp32/uint8 bytes
    kernels: int = 1  # convolutions, matrix products, gathers: each pays the accelerator's fixed cost once
    working_bytes: float = 0.0  # most bytes of activations that one operator reads and writes, at the traced precision


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
    codecs: tensor name -> names of the codecs that may carry it over the air; a tensor not listed crosses raw.
    states: recurrent sources, e.g. the BEV memory: name of the source -> name of the output that becomes it in the
    next frame. A state lies where the stage that made it ran; to run that stage elsewhere, the state must travel."""

    stages: tuple[StageNode, ...]
    sources: dict[str, int]
    sinks: tuple[str, ...]
    codecs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = {name for stage in self.stages for name in stage.outputs}
        for state, output in self.states.items():
            if state not in self.sources or output not in made:
                raise ValueError(
                    f"a state is a source and becomes an output: received {state!r} <- {output!r}, with sources "
                    f"{sorted(self.sources)} and outputs {sorted(made)}"
                )


@dataclass(frozen=True)
class ModelVariant:
    """One size of the network. All sizes answer one contract, so a frame may be driven by any of them.

    quality_price_s: what driving by this one instead of the best is worth, in seconds of latency (a preference).
    """

    name: str
    graph: StageGraph
    quality_price_s: float = 0.0


@dataclass(frozen=True)
class LinkGeometry:
    """What the world says about the path between the car's antenna and one roadside unit."""

    rsu: int  # which roadside unit; -1: none in range
    distance_m: float
    line_of_sight: bool
    blocking_vehicles: int  # vehicles on the straight line
    blocker_height_m: float = 1.6  # the highest of them; 1.6 car, 3.0 truck (TR 37.885)
    speed_mps: float = 0.0  # how fast the car moves through the radio field, whether towards the unit or not


@dataclass(frozen=True)
class LinkState:
    """The way from the car to the edge server (radio, transport, core) and on to the cloud (wide-area network)."""

    up_bps: float
    down_bps: float
    rtt_s: float  # car - edge - car, a small message: radio + transport + core
    loss: float  # probability that what a frame sends is lost: losses that survive HARQ come in bursts
    rsu: int
    available: bool = True
    wan_rtt_s: float = 0.041  # edge - cloud - edge; so car - cloud - car is rtt_s + wan_rtt_s
    wan_bps: float = 1e9  # between edge and cloud, either way


@dataclass(frozen=True)
class Schedule:
    """Where each stage of one frame runs.

    place: one `Place` a stage, in graph order. codecs: tensor name -> codec name for tensors that leave their tier.
    fallback_at_s: when, after capture, the car starts its own complete run if no answer has come; None = it never
    does (the car runs everything anyway, or the policy has no fallback). expected_latency_s: what the policy believed
    (mean over its futures). model: name of the `ModelVariant` ("": the only one). precisions: one a stage (empty:
    every computer's default). decided_at: the tier whose controller decides; a remote one's decision is on the car
    one round trip after capture, and nothing starts before. fifo: work waits in line however old it gets, instead of
    being superseded by the next frame.
    """

    place: tuple[Place, ...]
    codecs: dict[str, str]
    fallback_at_s: float | None
    expected_latency_s: float
    policy: str
    model: str = ""
    precisions: tuple[str, ...] = ()
    decided_at: Place = Place.CAR
    fifo: bool = False


class Span(NamedTuple):
    """One piece of work on one resource, in simulated seconds. resource: "car", "uplink", "edge",
    "downlink", "cloud", "wan_up" (edge to cloud) or "wan_down" (cloud to edge); only the last two may overlap."""

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
    car_j: float = 0.0  # energy of the car's accelerator and radio for this frame

    @property
    def latency_s(self) -> float | None:
        return None if self.ready_s is None else self.ready_s - self.capture_s
