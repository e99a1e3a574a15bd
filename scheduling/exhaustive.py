"""Plain enumeration of the scheduling problem in readable Python: the yardstick for every faster solver.

Written from the formulation (docs/scheduling.md) alone, on names and dictionaries; it looks at every schedule. Where
the formulation leaves room, this is what is meant:

Candidates. A size of the model x a place for each critical stage x a precision that the computer there supports x a
codec for each tensor that leaves its tier. An auxiliary stage stands where the maker of its first input stands (if
that one is auxiliary, where that one follows to; the car if it is a source), at that computer's default precision.

Crossings. A tensor leaves its tier when a stage that reads it, critical or auxiliary, stands elsewhere, or when it is
a sink made off the car. It pays its codec's price and its bytes once, whatever number of hops it takes. A state is a
source that waits at its home (`Problem.state_home`, else the car) from time 0 on; every other source is on the car.
A message over a link of rate 0 never arrives. Whatever comes to the edge or to the cloud from another tier stands in
line there (`Problem.waits`) before it is decoded and counts as arrived; on the way to the cloud it passes the edge's
line by.

Order. Critical stages run in graph order; before a stage starts its inputs are fetched in the order it names them,
each when it is not at that tier yet; after the last stage the sinks are fetched to the car in their order. These
fetches, in this order, occupy the uplink (car to elsewhere) and the downlink (elsewhere to car). A tensor that has
been sent up for one remote tier reaches the other one by the same transmission.

Fallback. Its precision is the one of the car's that minimises the sum of the seconds of the fallback model's critical
stages, the same for all of them; L_car, its joules and its parameters are the sums over these stages.
F = max(0, D - L_car - margin), start_F = max(F, busy car), end_F = start_F + L_car.

Remote schedules (a critical stage off the car, or a state of this size's graph at home off the car). The main answer
of a future is lost if the last critical car stage ends after start_F (strictly). first = end_F if it is lost, else
min(R, end_F).
    L = (1 - loss) first + loss end_F,  late likewise from (first - D)^+ and (end_F - D)^+
    fallback answers = (1 - loss) [lost or end_F < R] + loss
    fallback joules  = ((1 - loss) clip((first - start_F) / L_car, 0, 1) + loss) x joules of the complete run
Local schedules (all others): no fallback and no loss; L = R, late = (R - D)^+.

Prices. CVaR is the mean of the ceil(alpha M) largest late_m. A state moves when the stage that makes its next value
stands elsewhere than its home. Energy is that of all car stages, auxiliary ones included, plus the mean of the
fallback's joules. A stage's precision price is the configured price of the whole network times its share of the
FLOPs of the critical stages (none for an auxiliary stage). mean_weight multiplies the mean latency.

Limits. Memory of a tier: parameters at the precision used of all stages there, plus the largest working set among
them at its precision; on the car the fallback's parameters in addition, where a critical stage of the fallback model
at the fallback's precision shares the weights (counts once). Power of the car: joules of all stages of the
main run on it, at most power cap x frame period. The pure fallback (the fallback model, all critical stages on the car
at the fallback's precision) is exempt from both: it is always there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scheduling.codecs import CODECS
from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.enumeration import enumerate_all, evaluate
from scheduling.references.facts import CAR, CLOUD, EDGE, Facts, FallbackRun, parameter_bytes, working_bytes
from scheduling.references.random_problems import random_forecast, random_graph, random_problem
from scheduling.types import ModelVariant, Place, Schedule

__all__ = [
    "Exhaustive",
    "enumerate_all",
    "evaluate",
    "random_forecast",
    "random_graph",
    "random_problem",
]


@dataclass(frozen=True)
class Choice:
    """A schedule by name: stage -> place and precision, tensor -> codec."""

    facts: Facts
    where: Mapping[str, Place]
    precision: Mapping[str, str]
    codecs: Mapping[str, str]

    @property
    def remote(self) -> bool:
        return self.facts.remote(self.where)


class Exhaustive:
    """Objective and feasibility of any schedule, and the best one by plain enumeration."""

    def __init__(self, problem: Problem, config: PolicyConfig) -> None:
        self.problem, self.config = problem, config
        self.sizes = {model.name: Facts(problem, config, model) for model in problem.models}
        self.fallback = FallbackRun.of(problem, config)

    def choice(self, schedule: Schedule) -> Choice:
        if schedule.model not in self.sizes and (schedule.model or len(self.sizes) > 1):
            raise ValueError(f"a schedule must name one of the models {list(self.sizes)}, received {schedule.model!r}")
        facts = self.sizes[schedule.model or self.problem.models[0].name]
        names = [stage.name for stage in facts.graph.stages]
        where = dict(zip(names, schedule.place, strict=True))
        defaults = [facts.default_precision(place) for place in schedule.place]
        precision = dict(zip(names, schedule.precisions or defaults, strict=True))
        missing = [tensor for tensor in facts.crossing(where) if tensor not in schedule.codecs]
        if missing:
            raise ValueError(f"a schedule names a codec for each tensor that leaves its tier, {missing} lack one")
        return Choice(facts, where, precision, schedule.codecs)

    def objective(self, schedule: Schedule) -> tuple[float, float]:
        """(objective, mean latency)"""
        return self._objective(self.choice(schedule))

    def feasible(self, schedule: Schedule) -> bool:
        """Whether it is a candidate: options that exist, auxiliary stages that follow, within memory and power."""
        choice = self.choice(schedule)
        facts, where = choice.facts, choice.where
        following = facts.complete(where) == dict(where) and all(
            choice.precision[stage.name] == facts.default_precision(where[stage.name]) for stage in facts.auxiliary
        )
        known = all(choice.precision[name] in facts.precisions(place) for name, place in where.items()) and all(
            choice.codecs[tensor] in facts.codecs(tensor) for tensor in facts.crossing(where)
        )
        return following and known and self._fits(choice)

    def best(self) -> tuple[float, Schedule]:
        """The optimum; among equals the first found, the pure fallback before all."""
        pure = self._pure_fallback()
        found, chosen = self._objective(pure)[0], pure
        for choice in self._candidates():
            if self._fits(choice):
                value = self._objective(choice)[0]
                if value < found:
                    found, chosen = value, choice
        return found, self._schedule(chosen)

    def _candidates(self) -> Iterator[Choice]:
        for facts in self.sizes.values():
            options = [(place, precision) for place in facts.tiers for precision in facts.precisions(place)]
            for combination in itertools.product(options, repeat=len(facts.critical)):
                placed = {s.name: place for s, (place, _) in zip(facts.critical, combination, strict=True)}
                where = facts.complete(placed)
                precision = {s.name: p for s, (_, p) in zip(facts.critical, combination, strict=True)}
                precision |= {s.name: facts.default_precision(where[s.name]) for s in facts.auxiliary}
                crossing = facts.crossing(where)
                for codecs in itertools.product(*(facts.codecs(tensor) for tensor in crossing)):
                    yield Choice(facts, where, precision, dict(zip(crossing, codecs, strict=True)))

    def _pure_fallback(self) -> Choice:
        facts = self.sizes[self.fallback.model.name]
        where = facts.complete({stage.name: CAR for stage in facts.critical})
        precision = {stage.name: self.fallback.precision for stage in facts.critical}
        precision |= {stage.name: facts.default_precision(CAR) for stage in facts.auxiliary}
        return Choice(facts, where, precision, {t: facts.codecs(t)[0] for t in facts.crossing(where)})

    def _is_pure(self, choice: Choice) -> bool:
        return self._same_model(choice.facts.model) and all(
            choice.where[stage.name] == CAR and choice.precision[stage.name] == self.fallback.precision
            for stage in choice.facts.critical
        )

    def _same_model(self, model: ModelVariant) -> bool:
        return model.name == self.fallback.model.name

    def _fits(self, choice: Choice) -> bool:
        if self._is_pure(choice):
            return True
        facts, fallback = choice.facts, self.fallback
        for place in facts.tiers:
            here = [stage for stage in facts.order if choice.where[stage.name] == place]
            weights = fallback.parameter_bytes if place == CAR else 0.0
            working = 0.0
            for stage in here:
                precision = choice.precision[stage.name]
                shared = place == CAR and self._same_model(facts.model) and precision == fallback.precision
                if not (shared and stage in facts.critical):
                    weights += parameter_bytes(stage, precision)
                working = max(working, working_bytes(stage, precision))
            if weights + working > self.problem.computers[place].budget.memory_bytes:
                return False
        return self._car_joules(choice) <= self.problem.computers[CAR].budget.power_cap_w * self.problem.frame_period_s

    def _car_joules(self, choice: Choice) -> float:
        return sum(
            choice.facts.joules(s, choice.where[s.name], choice.precision[s.name]) for s in choice.facts.order
        )  # fmt: skip

    def answer(self, choice: Choice, m: int) -> tuple[float, float]:
        """(R_m, end of the last critical stage on the car) in future m, as a list schedule."""
        facts, forecast = choice.facts, self.problem.forecast
        up, down, wan = float(forecast.up_bps[m]), float(forecast.down_bps[m]), float(forecast.wan_bps[m])
        radio_s, wan_s = 0.5 * float(forecast.rtt_s[m]), 0.5 * float(forecast.wan_rtt_s[m])
        free = facts.free_at_s()
        at = {(source, facts.source_home(source)): 0.0 for source in facts.graph.sources}  # when a tensor is where
        sent: dict[str, float] = {}  # when it left the car's antenna

        def seconds(payload: float, rate: float) -> float:
            return 8.0 * payload / rate if rate > 0.0 else math.inf

        def fetch(tensor: str, place: Place) -> float:
            home = facts.home(tensor, choice.where)
            if (tensor, place) in at:
                return at[tensor, place]
            codec, raw = CODECS[choice.codecs[tensor]], facts.raw[tensor]
            payload = facts.payload_bytes(tensor, codec.name)
            encoded = at[tensor, home] + codec.encode_s(raw)
            wide_s = seconds(payload, wan) + wan_s
            if home == CAR:
                if tensor not in sent:
                    sent[tensor] = free["up"] = max(encoded, free["up"]) + seconds(payload, up)
                arrives = sent[tensor] + radio_s + (wide_s if place == CLOUD else 0.0)
            elif place == CAR:
                at_antenna = encoded + (wide_s if home == CLOUD else 0.0)
                free["down"] = max(at_antenna, free["down"]) + seconds(payload, down)
                arrives = free["down"] + radio_s
            else:
                assert {home, place} == {EDGE, CLOUD}
                arrives = encoded + wide_s
            at[tensor, place] = arrives + facts.wait_s(place, m) + codec.decode_s(raw)
            return at[tensor, place]

        last_car_s = 0.0
        for stage in facts.critical:
            place = choice.where[stage.name]
            ready = max((fetch(tensor, place) for tensor in stage.inputs), default=0.0)
            end = max(ready, free[place.name]) + facts.seconds(stage, place, choice.precision[stage.name])
            free[place.name] = end
            at |= {(tensor, place): end for tensor in stage.outputs}
            if place == CAR:
                last_car_s = end
        return max(fetch(sink, CAR) for sink in facts.graph.sinks), last_car_s

    def _objective(self, choice: Choice) -> tuple[float, float]:
        facts, c, fallback = choice.facts, self.config, self.fallback
        deadline_s, futures = self.problem.deadline_s, len(self.problem.forecast)
        latency, late, joules, answers = 0.0, [], 0.0, 0.0
        for m in range(futures):
            main, last_car_s = self.answer(choice, m)
            if not choice.remote:
                latency += main
                late.append(max(0.0, main - deadline_s))
                continue
            lost = last_car_s > fallback.start_s
            first = fallback.end_s if lost else min(main, fallback.end_s)
            loss = float(self.problem.forecast.loss[m])
            latency += (1.0 - loss) * first + loss * fallback.end_s
            late.append((1.0 - loss) * max(0.0, first - deadline_s) + loss * max(0.0, fallback.end_s - deadline_s))
            answers += (1.0 - loss) * (1.0 if lost or fallback.end_s < main else 0.0) + loss
            share = min(1.0, max(0.0, first - fallback.start_s) / fallback.seconds) if fallback.seconds > 0 else 0.0
            joules += ((1.0 - loss) * share + loss) * fallback.joules
        worst = sorted(late, reverse=True)[: math.ceil(c.tail_share * futures)]
        quality = max(0.0, fallback.model.quality_price_s - facts.model.quality_price_s)
        total = facts.model.quality_price_s + self._prices(choice)
        total += c.per_joule_s * (self._car_joules(choice) + joules / futures)
        total += c.mean_weight * (latency / futures) + answers / futures * quality
        total += c.late_weight * (sum(late) / futures) + c.tail_weight * (sum(worst) / len(worst))
        return total, latency / futures

    def _prices(self, choice: Choice) -> float:
        """Precisions, crossings and moved states: what a schedule costs in every future."""
        facts = choice.facts
        price = sum(facts.precision_price_s(stage, choice.precision[stage.name]) for stage in facts.critical)
        price += sum(facts.crossing_price_s(t, choice.codecs[t]) for t in facts.crossing(choice.where))
        for state, output in facts.graph.states.items():
            if choice.where[facts.maker[output].name] != facts.source_home(state):
                price += self.config.per_switch_s
        return price

    def _schedule(self, choice: Choice) -> Schedule:
        stages = choice.facts.graph.stages
        return Schedule(
            place=tuple(choice.where[stage.name] for stage in stages),
            codecs=dict(choice.codecs),
            fallback_at_s=self.fallback.due_s if choice.remote else None,
            expected_latency_s=self._objective(choice)[1],
            policy="exhaustive",
            model=choice.facts.model.name,
            precisions=tuple(choice.precision[stage.name] for stage in stages),
        )
