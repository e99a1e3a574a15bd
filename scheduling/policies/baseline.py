"""What the policies that ours is compared with have in common: one certain link, and an answer from elsewhere or none.

Where a paper leaves something open, or restricts itself to what would lose at once here, the baseline gets the better
of it: a computer runs the network at the precision that suits it best, a tensor that leaves its tier takes the codec
that suits the link best (the papers send raw or 8-bit tensors), and predictions are those of docs/scheduling.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from scheduling.compiled import Ints
from scheduling.link.base import LinkForecast
from scheduling.planning import Estimate, Planner, Reading
from scheduling.policies.base import Policy, PolicyConfig
from scheduling.problem import Floats, Problem, Waits
from scheduling.solver import BYTES, DECODE, DOWN_S, ENCODE, PRICE, UP_S, WAN_S
from scheduling.types import Place, Schedule

NEVER_S = 1e6  # when the fallback starts where there is none; also what a dead link costs
Plan = tuple[Ints, Ints]  # (choice by position, option by tensor)


class BaselinePolicy(Policy):
    """fallback: give it the local fallback just in time for the deadline, which ours has, too."""

    OWN_OPTIONS: ClassVar[tuple[str, ...]] = ("fallback",)  # beside those of the objective

    def __init__(self, config: PolicyConfig | None = None, *, fallback: bool = False) -> None:
        super().__init__(config)
        self.planner = Planner(self.config)
        self.fallback = fallback

    @classmethod
    def configured(cls, **options: object) -> Policy:
        own: dict[str, Any] = {name: options.pop(name) for name in cls.OWN_OPTIONS if name in options}
        return cls(PolicyConfig(**options), **own)  # type: ignore[arg-type]

    def schedule(self, reading: Reading, plan: Plan) -> Schedule:
        """In names, with the fallback if this policy has one."""
        latency_s = reading.evaluate(*plan).latency_s
        return reading.schedule(*plan, latency_s, self.name, fallback_at_s="auto" if self.fallback else None)


def certain(planner: Planner, problem: Problem, pessimism: float | None = None) -> list[Reading]:
    """One reading a model for the mean of all futures and no fallback, as if the link were certain and lost nothing.

    pessimism: instead of the mean, each quantity at its own quantile, rates at 1 - pessimism, delays at pessimism.
    """

    def rate(values: Floats) -> Floats:
        return np.array([np.mean(values) if pessimism is None else np.quantile(values, 1.0 - pessimism)])

    def delay(values: Floats) -> Floats:
        return np.array([np.mean(values) if pessimism is None else np.quantile(values, pessimism)])

    f, waits = problem.forecast, problem.waits
    link = LinkForecast(
        rate(f.up_bps), rate(f.down_bps), delay(f.rtt_s), np.zeros(1), f.rsu,
        wan_rtt_s=delay(f.wan_rtt_s), wan_bps=rate(f.wan_bps),
    )  # fmt: skip
    line = None if waits is None else Waits(delay(waits.edge_s), delay(waits.cloud_s))
    alone = Problem(
        models=problem.models, computers=problem.computers, forecast=link, deadline_s=problem.deadline_s,
        fallback=problem.fallback, payload_bytes=problem.payload_bytes, busy=problem.busy, waits=line,
        state_home=problem.state_home, frame_period_s=problem.frame_period_s,
    )  # fmt: skip
    readings = planner.read(alone)
    for reading in readings:
        reading.situation = reading.situation._replace(
            fallback_start_s=NEVER_S, fallback_s=0.0, fallback_j=0.0, fallback_penalty_s=0.0
        )
    return readings


def precision_of(reading: Reading, tier: Place) -> int:
    """Choice number of the precision that suits a tier best when the whole network runs there."""
    n, s = reading.compiled.n_critical, reading.situation
    total = s.stage_s[:n].sum(axis=0) + s.stage_price[:n].sum(axis=0)
    return min((c for c, (its, _) in enumerate(reading.compiled.choices) if its == tier), key=total.__getitem__)


def remote_tiers(problem: Problem) -> tuple[Place, ...]:
    return tuple(Place(tier) for tier in range(1, len(problem.computers)))


def within_limits(entries: list[tuple[Estimate, Reading, Plan]]) -> list[tuple[Estimate, Reading, Plan]]:
    """Those that memory and power allow; if none, those of the fallback model, which the car holds anyway."""
    return [entry for entry in entries if entry[0].fits] or [entry for entry in entries if entry[1].is_fallback]


class Crossings:
    """Which tensors leave their tier, and what they cost then, for one certain reading."""

    def __init__(self, reading: Reading, may: Callable[[str], bool] = lambda codec: True) -> None:
        """may(codec name): restricts the codecs of tensors that have one which it allows."""
        self.reading, self.may = reading, may
        self._cheapest: dict[tuple[int, int, int], tuple[float, int]] = {}

    def transfer(self, tensor: int, origin: int, target: int) -> tuple[float, int]:
        """(cost in seconds, option): encoding, both hops' bits and decoding, and the codec's price; no delays."""
        found = self._cheapest.get((tensor, origin, target))
        if found is None:
            compiled, s = self.reading.compiled, self.reading.situation
            pointer = compiled.arrays.option_pointer
            options = range(pointer[tensor], pointer[tensor + 1])
            options = [o for o in options if self.may(compiled.options[o][1])] or options  # type: ignore[assignment]
            per_byte = 0.0
            if Place.CAR in (origin, target):
                per_byte += s.air[UP_S if origin == Place.CAR else DOWN_S, 0]
            if Place.CLOUD in (origin, target):
                per_byte += s.air[WAN_S, 0]
            rows = ((s.options[o], o) for o in options)
            found = self._cheapest[tensor, origin, target] = min(
                (float(row[ENCODE] + row[DECODE] + row[PRICE] + row[BYTES] * per_byte), o) for row, o in rows
            )
        return found

    def tiers(self, choice: Ints) -> list[int]:
        """By position; auxiliary stages follow the maker of their first input."""
        compiled = self.reading.compiled
        tiers = [int(compiled.choices[c][0]) for c in choice.tolist()]
        for i in range(compiled.n_critical, len(tiers)):
            leader = int(compiled.arrays.follows[i])
            tiers[i] = int(Place.CAR) if leader < 0 else tiers[leader]
        return tiers

    def pairs(self, tiers: list[int], *, critical: bool = False) -> list[tuple[int, int, int]]:
        """(tensor, origin, target) of everything that leaves its tier. critical: for answers only."""
        compiled, a, s = self.reading.compiled, self.reading.compiled.arrays, self.reading.situation
        home = [int(s.home[t]) if p < 0 else tiers[p] for t, p in enumerate(a.producer.tolist())]
        found: dict[tuple[int, int, int], None] = {}
        for i in range(compiled.n_critical if critical else len(tiers)):
            for t in a.input_tensor[a.input_pointer[i] : a.input_pointer[i + 1]].tolist():
                if home[t] != tiers[i]:
                    found[t, home[t], tiers[i]] = None
        for t in a.sinks.tolist():
            if home[t] != Place.CAR:
                found[t, home[t], int(Place.CAR)] = None
        return list(found)

    def plan(self, choice: Ints) -> Plan:
        """With the cheapest codec for every tensor that leaves its tier (the first way of several decides)."""
        option = self.reading.no_options()
        for t, origin, target in self.pairs(self.tiers(choice)):
            if option[t] < 0:
                option[t] = self.transfer(t, origin, target)[1]
        return choice, option
