"""What the formulation reads off a problem, by name: one size of the network, and the run the car keeps ready.

Shared by the references only (plain enumeration, MILP, CP-SAT, min cut). It looks things up and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduling.budget import BYTES_PER_NUMBER
from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.types import ModelVariant, Place, StageNode

CAR, EDGE, CLOUD = Place.CAR, Place.EDGE, Place.CLOUD


class Facts:
    """Stages, tensors and prices of one size of the network.

    critical: stages that a sink depends on, in graph order. auxiliary: the others. order: first those, then these.
    """

    def __init__(self, problem: Problem, config: PolicyConfig, model: ModelVariant) -> None:
        self.problem, self.config, self.model, self.graph = problem, config, model, model.graph
        self.tiers = tuple(Place(i) for i in range(len(problem.computers)))
        self.maker = {name: stage for stage in self.graph.stages for name in stage.outputs}
        self.raw = dict(self.graph.sources)
        for stage in self.graph.stages:
            self.raw |= stage.cost.output_bytes
        wanted, needed = list(self.graph.sinks), set()
        while wanted:
            maker = self.maker.get(wanted.pop())
            if maker is not None and maker.name not in needed:
                needed.add(maker.name)
                wanted += maker.inputs
        self.critical = tuple(stage for stage in self.graph.stages if stage.name in needed)
        self.auxiliary = tuple(stage for stage in self.graph.stages if stage.name not in needed)
        self.order = self.critical + self.auxiliary
        self.tensors = tuple(dict.fromkeys([n for s in self.order for n in s.inputs] + list(self.graph.sinks)))
        self.states_away = any(self.source_home(state) != CAR for state in self.graph.states)
        self._flops = sum(stage.cost.flops for stage in self.critical)

    def leader(self, stage: StageNode) -> StageNode | None:
        """The critical stage whose place an auxiliary one takes; None: it stays on the car, as its source does."""
        maker = self.maker.get(stage.inputs[0]) if stage.inputs else None
        return maker if maker is None or maker in self.critical else self.leader(maker)

    def complete(self, where: Mapping[str, Place]) -> dict[str, Place]:
        """The places of critical stages, and of the auxiliary ones that follow them."""
        found = {stage.name: where[stage.name] for stage in self.critical}
        for stage in self.auxiliary:
            leader = self.leader(stage)
            found[stage.name] = CAR if leader is None else where[leader.name]
        return found

    def source_home(self, source: str) -> Place:
        """Where a source is at time 0: a state where it was left, everything else on the car."""
        return self.problem.state_home.get(source, CAR) if source in self.graph.states else CAR

    def remote(self, where: Mapping[str, Place]) -> bool:
        """Whether the answer hangs on the link: something critical runs off the car, or a state lies there."""
        return self.states_away or any(where[stage.name] != CAR for stage in self.critical)

    def home(self, tensor: str, where: Mapping[str, Place]) -> Place:
        return where[self.maker[tensor].name] if tensor in self.maker else self.source_home(tensor)

    def crossing(self, where: Mapping[str, Place]) -> list[str]:
        """The tensors that leave their tier, those that only an auxiliary stage pulls included."""
        found = []
        for tensor in self.tensors:
            home = self.home(tensor, where)
            if any(where[s.name] != home for s in self.order if tensor in s.inputs) or (
                tensor in self.graph.sinks and home != CAR
            ):
                found.append(tensor)
        return found

    def precisions(self, place: Place) -> tuple[str, ...]:
        return self.problem.computers[place].budget.precisions

    def default_precision(self, place: Place) -> str:
        return self.problem.computers[place].budget.precision

    def seconds(self, stage: StageNode, place: Place, precision: str) -> float:
        return self.problem.computers[place].stage_seconds(stage.cost, precision)

    def joules(self, stage: StageNode, place: Place, precision: str) -> float:
        """Energy that the car pays for: none for a stage elsewhere."""
        return self.problem.computers[CAR].stage_joules(stage.cost, precision) if place == CAR else 0.0

    def precision_price_s(self, stage: StageNode, precision: str) -> float:
        if stage not in self.critical or self._flops <= 0.0:
            return 0.0
        return self.config.precision_price_s.get(precision, 0.0) * (stage.cost.flops / self._flops)

    def codecs(self, tensor: str) -> tuple[str, ...]:
        return self.graph.codecs.get(tensor, ("raw",))

    def payload_bytes(self, tensor: str, codec: str) -> float:
        seen = self.problem.payload_bytes.get(tensor, {})
        return seen[codec] if codec in seen else nominal_payload_bytes(codec, self.raw[tensor])

    def crossing_price_s(self, tensor: str, codec: str) -> float:
        return CODECS[codec].quality_price_s + self.config.per_byte_s * self.payload_bytes(tensor, codec)

    def free_at_s(self) -> dict[str, float]:
        """When each resource is free at first."""
        busy = self.problem.busy
        return {
            "CAR": busy.car_s,
            "EDGE": busy.edge_s,
            "CLOUD": busy.cloud_s,
            "up": busy.uplink_s,
            "down": busy.downlink_s,
        }

    def wait_s(self, place: Place, m: int) -> float:
        """How long what comes to a tier stands in line there, in future m."""
        waits = self.problem.waits
        if waits is None or place == CAR:
            return 0.0
        return float((waits.edge_s if place == EDGE else waits.cloud_s)[m])


def parameter_bytes(stage: StageNode, precision: str) -> float:
    return stage.cost.parameter_bytes * BYTES_PER_NUMBER[precision] / 4.0


def working_bytes(stage: StageNode, precision: str) -> float:
    return stage.cost.working_bytes * BYTES_PER_NUMBER[precision] / 4.0


@dataclass(frozen=True)
class FallbackRun:
    """The complete run of the fallback model that the car keeps ready: its critical stages at one precision."""

    model: ModelVariant
    precision: str
    seconds: float  # L_car
    joules: float
    parameter_bytes: float
    due_s: float  # F: when it is meant to start
    start_s: float  # when the car can start it
    end_s: float

    @classmethod
    def of(cls, problem: Problem, config: PolicyConfig) -> FallbackRun:
        facts = Facts(problem, config, problem.fallback_model)
        totals = {p: sum(facts.seconds(s, CAR, p) for s in facts.critical) for p in facts.precisions(CAR)}
        precision = min(totals, key=totals.__getitem__)  # the first of the fastest
        seconds = totals[precision]
        due_s = max(0.0, problem.deadline_s - seconds - config.margin_s)
        start_s = max(due_s, problem.busy.car_s)
        return cls(
            model=problem.fallback_model,
            precision=precision,
            seconds=seconds,
            joules=sum(facts.joules(s, CAR, precision) for s in facts.critical),
            parameter_bytes=sum(parameter_bytes(s, precision) for s in facts.critical),
            due_s=due_s,
            start_s=start_s,
            end_s=start_s + seconds,
        )
