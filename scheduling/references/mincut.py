"""The partition of DADS (Hu et al., INFOCOM 2019): a minimum s-t cut of the stage graph under the mean link.

A cut minimises the *sum* of stage and transfer times, one job after another, of a single link that is certain: no
overlap, no queue, no future but the mean, no race against the car's own run, no limits. So it is a heuristic for the
problem here, and a fast one. A tensor is charged once however many stages read it: an auxiliary node stands between
its maker and its readers, one for each direction. Precision and codec cost nothing extra to choose, since in a sum
each stage and each tensor takes its own cheapest. A cut knows two sides: with a cloud, car | edge and car | cloud are
both solved and the smaller sum taken.
"""

from __future__ import annotations

import time

import networkx as nx
import numpy as np

from scheduling.codecs import CODECS
from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.facts import CAR, CLOUD, Facts, FallbackRun
from scheduling.references.result import Result
from scheduling.types import Place, Schedule, StageNode

_NEVER_S = 1e6  # what a link of rate 0 costs


def solve(problem: Problem, config: PolicyConfig, time_limit_s: float = 60.0) -> Result:
    """objective: of the sum. For the largest model; the time limit is never reached. proven: of the sum only."""
    facts = Facts(problem, config, problem.models[0])
    cuts = [_Cut(facts, remote) for remote in facts.tiers[1:]]
    start_s = time.perf_counter()
    solved = [(*nx.minimum_cut(cut.network, "car", "remote"), cut) for cut in cuts]
    seconds = time.perf_counter() - start_s
    total, (on_car, _), cut = min(solved, key=lambda found: found[0])
    return Result(float(total), cut.schedule(on_car), seconds, True)


class _Cut:
    """The network of a partition between the car and one remote tier."""

    def __init__(self, facts: Facts, remote: Place) -> None:
        self.facts, self.remote = facts, remote
        forecast = facts.problem.forecast
        self.up_bps, self.down_bps = float(np.mean(forecast.up_bps)), float(np.mean(forecast.down_bps))
        self.wan_bps = float(np.mean(forecast.wan_bps)) if remote == CLOUD else np.inf
        half_trips = forecast.rtt_s + (forecast.wan_rtt_s if remote == CLOUD else 0.0)
        self.delay_s = 0.5 * float(np.mean(half_trips))
        self.network = nx.DiGraph()
        for stage in facts.critical:
            self.network.add_edge("car", stage.name, capacity=self._stage(stage, remote)[0])
            self.network.add_edge(stage.name, "remote", capacity=self._stage(stage, CAR)[0])
        for tensor in facts.tensors:
            readers = [stage.name for stage in facts.critical if tensor in stage.inputs]
            if tensor in facts.graph.sinks:
                readers.append("car")
            if tensor in facts.maker:
                maker = facts.maker[tensor].name
            else:
                maker = "car" if facts.source_home(tensor) == CAR else "remote"
            if maker in self.network:
                self.network.add_edge(maker, f"up {tensor}", capacity=self._transfer(tensor, up=True)[0])
                self.network.add_edge(f"down {tensor}", maker, capacity=self._transfer(tensor, up=False)[0])
                for reader in readers:  # without a capacity: never cut
                    self.network.add_edge(f"up {tensor}", reader)
                    self.network.add_edge(reader, f"down {tensor}")

    def _stage(self, stage: StageNode, place: Place) -> tuple[float, str]:
        """(cost in seconds, precision) at its cheapest."""
        facts, c = self.facts, self.facts.config
        return min(
            (
                c.mean_weight * facts.seconds(stage, place, precision)
                + c.per_joule_s * facts.joules(stage, place, precision)
                + facts.precision_price_s(stage, precision),
                precision,
            )
            for precision in facts.precisions(place)
        )

    def _transfer(self, tensor: str, *, up: bool) -> tuple[float, str]:
        """(cost in seconds, codec) at its cheapest."""
        facts, raw = self.facts, self.facts.raw[tensor]
        rate = self.up_bps if up else self.down_bps
        found = []
        for name in facts.codecs(tensor):
            bits = 8.0 * facts.payload_bytes(tensor, name)
            time_s = CODECS[name].encode_s(raw) + CODECS[name].decode_s(raw) + self.delay_s + bits / self.wan_bps
            time_s += bits / rate if rate > 0.0 else _NEVER_S
            found.append((facts.config.mean_weight * time_s + facts.crossing_price_s(tensor, name), name))
        return min(found)

    def schedule(self, on_car: set[str]) -> Schedule:
        facts, fallback = self.facts, FallbackRun.of(self.facts.problem, self.facts.config)
        where = facts.complete({s.name: CAR if s.name in on_car else self.remote for s in facts.critical})
        precision = {s.name: self._stage(s, where[s.name])[1] for s in facts.critical}
        return Schedule(
            place=tuple(where[s.name] for s in facts.graph.stages),
            codecs={t: self._transfer(t, up=facts.home(t, where) == CAR)[1] for t in facts.crossing(where)},
            fallback_at_s=fallback.due_s if facts.remote(where) else None,
            expected_latency_s=float("nan"),
            policy="mincut",
            model=facts.model.name,
            precisions=tuple(precision.get(s.name, facts.default_precision(where[s.name])) for s in facts.graph.stages),
        )
