"""Plain enumeration of the scheduling problem in readable Python: the yardstick for `scheduling.solver`.

It works on names and dictionaries, looks at every schedule, and shares no code with the solver. Random problems to
compare the two on are made here too, since the benchmark and the tests both need them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from scheduling.budget import BudgetState
from scheduling.codecs import CODECS, nominal_payload_bytes
from scheduling.link.base import LinkForecast
from scheduling.policies.base import Busy, PolicyConfig
from scheduling.types import Place, Schedule, StageCost, StageGraph, StageNode

CAR, EDGE = Place.CAR, Place.EDGE


class Exhaustive:
    """Objective of any schedule, and the best one by plain enumeration."""

    def __init__(
        self, graph: StageGraph, car: BudgetState, edge: BudgetState, forecast: LinkForecast, deadline_s: float,
        config: PolicyConfig, previous: Schedule | None = None, payload: dict[str, dict[str, float]] | None = None,
        busy: Busy | None = None,
    ) -> None:  # fmt: skip
        self.graph, self.car, self.edge, self.forecast = graph, car, edge, forecast
        self.deadline_s, self.config, self.previous = deadline_s, config, previous
        self.payload, self.busy = payload or {}, busy or Busy()
        self.maker = {name: stage for stage in graph.stages for name in stage.outputs}
        self.raw = graph.sources | {n: b for stage in graph.stages for n, b in stage.cost.output_bytes.items()}
        wanted = list(graph.sinks)
        self.critical: set[str] = set()
        while wanted:
            stage = self.maker.get(wanted.pop())
            if stage and stage.name not in self.critical:
                self.critical.add(stage.name)
                wanted += stage.inputs
        self.order = [s for s in graph.stages if s.name in self.critical]
        self.order += [s for s in graph.stages if s.name not in self.critical]
        self.tensors = list(dict.fromkeys([n for s in self.order for n in s.inputs] + list(graph.sinks)))

    def bytes(self, tensor: str, codec: str) -> float:
        return self.payload.get(tensor, {}).get(codec, nominal_payload_bytes(codec, self.raw[tensor]))

    def crossing(self, where: dict[str, Place], critical_only: bool = False) -> list[str]:
        found = []
        for tensor in self.tensors:
            home = where[self.maker[tensor].name] if tensor in self.maker else CAR
            readers = [s for s in self.order if tensor in s.inputs and (not critical_only or s.name in self.critical)]
            if any(where[s.name] != home for s in readers) or (tensor in self.graph.sinks and home == EDGE):
                found.append(tensor)
        return found

    def latency(self, where: dict[str, Place], codecs: dict[str, str], m: int) -> tuple[float, float]:
        """(main answer, end of the car's last critical stage) in one future, as a list schedule."""
        up, down, rtt = (float(x[m]) for x in (self.forecast.up_bps, self.forecast.down_bps, self.forecast.rtt_s))
        free = {
            "car": self.busy.car_s,
            "up": self.busy.uplink_s,
            "edge": self.busy.edge_s,
            "down": self.busy.downlink_s,
        }
        known = {(name, CAR): 0.0 for name in self.graph.sources}
        last_car = 0.0

        def bring(tensor: str, place: Place) -> float:
            if (tensor, place) not in known:
                codec = CODECS[codecs[tensor]]
                air, rate = ("up", up) if place == EDGE else ("down", down)
                start = max(known[tensor, Place(1 - place)] + codec.encode_s(self.raw[tensor]), free[air])
                free[air] = start + (8.0 * self.bytes(tensor, codec.name) / rate if rate > 0 else math.inf)
                known[tensor, place] = free[air] + 0.5 * rtt + codec.decode_s(self.raw[tensor])
            return known[tensor, place]

        for stage in self.order:
            if stage.name not in self.critical:
                continue
            place = where[stage.name]
            ready = max(bring(name, place) for name in stage.inputs)
            machine, budget = ("car", self.car) if place == CAR else ("edge", self.edge)
            free[machine] = max(ready, free[machine]) + budget.stage_seconds(stage.cost)
            known |= {(name, place): free[machine] for name in stage.outputs}
            if place == CAR:
                last_car = free["car"]
        return max(bring(name, CAR) for name in self.graph.sinks), last_car

    def objective(self, places: tuple[Place, ...], codecs: dict[str, str]) -> tuple[float, float]:
        """(objective, mean latency)"""
        c, futures = self.config, len(self.forecast)
        where = {stage.name: place for stage, place in zip(self.graph.stages, places, strict=True)}
        local = all(where[name] == CAR for name in self.critical)
        price = 0.0
        before = dict(zip(where, self.previous.place, strict=True)) if self.previous else where
        for stage in self.order:
            if where[stage.name] == CAR:
                price += c.per_joule_s * self.car.stage_joules(stage.cost)
            if before[stage.name] != where[stage.name]:
                price += c.per_switch_s
        for tensor in self.crossing(where):
            price += CODECS[codecs[tensor]].quality_price_s + c.per_byte_s * self.bytes(tensor, codecs[tensor])
        local_s = local_j = 0.0
        for stage in self.order:
            if stage.name in self.critical:
                local_s += self.car.stage_seconds(stage.cost)
                local_j += self.car.stage_joules(stage.cost)
        start = max(max(0.0, self.deadline_s - local_s - c.margin_s), self.busy.car_s)
        fallback = start + local_s
        crossings = len(self.crossing(where, critical_only=True))
        latencies, lates, joules = [], [], []
        for m in range(futures):
            main, last_car = self.latency(where, codecs, m)
            first = main if local else min(main, fallback) if last_car <= start else fallback
            kept = 1.0 if local else math.prod([1.0 - float(self.forecast.loss[m])] * crossings)
            latencies.append(kept * first + (1.0 - kept) * fallback)
            lates.append(kept * max(0.0, first - self.deadline_s) + (1.0 - kept) * max(0.0, fallback - self.deadline_s))
            used = 0.0 if local else kept * (max(0.0, first - start) / local_s) + (1.0 - kept)
            joules.append(local_j * used)
        worst = sorted(lates, reverse=True)[: max(1, math.ceil(c.tail_share * futures))]
        mean = sum(latencies) / futures
        total = price + c.mean_weight * mean + c.late_weight * (sum(lates) / futures)
        total += c.tail_weight * (sum(worst) / len(worst))
        return total + c.per_joule_s * (sum(joules) / futures), mean

    def best(self) -> float:
        found = math.inf
        for places in itertools.product((CAR, EDGE), repeat=len(self.graph.stages)):
            where = {stage.name: place for stage, place in zip(self.graph.stages, places, strict=True)}
            if EDGE in places and not any(where[name] == EDGE for name in self.critical):
                continue  # nothing goes on the air for auxiliary stages alone
            crossing = self.crossing(where)
            for names in itertools.product(*(self.graph.codecs.get(tensor, ("raw",)) for tensor in crossing)):
                found = min(found, self.objective(places, dict(zip(crossing, names, strict=True)))[0])
        return found


def random_graph(rng: np.random.Generator, stages: int) -> StageGraph:
    """Any DAG: inputs drawn from everything known so far, sinks from the outputs of the last stages."""
    sources = {f"s{i}": int(rng.integers(100, 200_000)) for i in range(int(rng.integers(1, 4)))}
    known, nodes = list(sources), []
    for i in range(stages):
        count = min(len(known), int(rng.integers(1, 4)))
        inputs = tuple(known[j] for j in sorted(rng.choice(len(known), count, replace=False)))
        outputs = {f"t{i}.{j}": int(rng.integers(10, 300_000)) for j in range(int(rng.integers(1, 3)))}
        cost = StageCost(float(rng.uniform(1e7, 3e9)), 0.0, 0.0, outputs)
        nodes.append(StageNode(f"n{i}", inputs, tuple(outputs), cost))
        known += outputs
    last = [name for stage in nodes[-2:] for name in stage.outputs]
    sinks = tuple(name for name in last if rng.random() < 0.6) or (last[-1],)
    choices: tuple[tuple[str, ...], ...] = (("raw",), ("raw", "fp16"), ("int8", "raw"), ("int8", "fp16", "raw"))
    codecs = {name: choices[int(rng.integers(len(choices)))] for name in known}
    return StageGraph(tuple(nodes), sources, sinks, codecs)


def random_forecast(rng: np.random.Generator, futures: int) -> LinkForecast:
    up = rng.choice([0.0, 1.0], futures, p=[0.1, 0.9]) * rng.lognormal(math.log(2e7), 1.0, futures)
    loss = np.where(up > 0, rng.choice([0.0, 0.01, 0.2], futures), 1.0)
    return LinkForecast(up, up * rng.uniform(1, 4), rng.lognormal(math.log(0.028), 0.3, futures), loss)
