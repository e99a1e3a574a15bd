"""The scheduling problem of one model size as a mixed-integer linear program, ready for any solver.

An exact reformulation of what `scheduling.exhaustive` says. What is decided are binaries: a (place, precision) pair
for each critical stage and a codec for each tensor that leaves its tier. Everything timed is a number of each future,
bounded from below only, since no weight is negative and so nobody gains by being late:

* List order is fixed, so each computer has a chain of moments at which it is free, one link a stage.
* Which fetch sends a tensor up or down depends on the places. Every (stage, input) is an event with a binary "sends":
  the first event of a tensor whose reader stands elsewhere. Events form the chains of uplink and downlink.
* The race against the car's own run is a binary of each future, "the fallback answers". It frees the main run of all
  timing in that future, which also keeps big-M small: no time that matters exceeds the fallback's end.
* CVaR by Rockafellar and Uryasev, J. Risk 2(3), 2000: min over eta of eta + 1/k sum (late_m - eta)^+, which for
  k equally likely futures of M is the mean of the k largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from scheduling.codecs import CODECS
from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.facts import CAR, CLOUD, EDGE, Facts, FallbackRun, parameter_bytes, working_bytes
from scheduling.references.program import Linear, Literal, Program, var
from scheduling.types import ModelVariant, Place, Schedule, StageNode


class Formulation(Program):
    """The program of one size of the model, and the way back from its variables to a schedule."""

    def __init__(
        self, problem: Problem, config: PolicyConfig, model: ModelVariant, *, choose_tail: bool = False
    ) -> None:
        """choose_tail: the k worst futures are chosen by binaries, each to count at least as late as any other future.
        As exact, and no time has a negative sign, without which a solver that propagates bounds of whole numbers
        creeps along the flat direction of eta by single nanoseconds."""
        super().__init__()
        self.choose_tail = choose_tail
        self.problem, self.config = problem, config
        self.facts = facts = Facts(problem, config, model)
        self.fallback = FallbackRun.of(problem, config)
        self.same_model = model.name == self.fallback.model.name
        self.pairs = [(place, precision) for place in facts.tiers for precision in facts.precisions(place)]
        self._choices()
        self._crossings()
        self._limits()
        self._events()
        self._objective()

    # What is decided.

    def _choices(self) -> None:
        facts = self.facts
        self.pick: dict[tuple[str, Place, str], int] = {}
        self.at: dict[tuple[str, Place], Literal] = {}
        for stage in facts.critical:
            for pair, pick in zip(self.pairs, self.one_of(len(self.pairs)), strict=True):
                self.pick[(stage.name, *pair)] = pick
            self.equal(self._sum(stage, lambda *_: 1.0), 1.0)
            for place in facts.tiers:
                here = self.at[stage.name, place] = self.switch()
                self.equal(
                    var(here),
                    Linear(
                        dict.fromkeys((self.pick[(stage.name, *pair)] for pair in self.pairs if pair[0] == place), 1.0)
                    ),
                )
        for stage in facts.auxiliary:
            leader = facts.leader(stage)
            for place in facts.tiers:
                self.at[stage.name, place] = place == CAR if leader is None else self.at[leader.name, place]
        self.local = self.switch()
        for stage in facts.critical:
            self.at_least(var(self.at[stage.name, CAR]), var(self.local))
        on_car = sum((var(self.at[stage.name, CAR]) for stage in facts.critical), Linear())
        if facts.states_away:
            self.at_least(0.0, var(self.local))
        else:
            self.at_least(var(self.local), on_car - (len(facts.critical) - 1.0))

    def _sum(self, stage: StageNode, value: Callable[[Place, str], float]) -> Linear:
        """value(place, precision) of a critical stage's choice."""
        return Linear({self.pick[(stage.name, *pair)]: value(*pair) for pair in self.pairs})

    def _home(self, tensor: str, place: Place) -> Literal:
        maker = self.facts.maker.get(tensor)
        return self.facts.source_home(tensor) == place if maker is None else self.at[maker.name, place]

    def _crossings(self) -> None:
        facts = self.facts
        self.codec: dict[tuple[str, str], int] = {}
        for tensor in facts.tensors:
            leaves, names = self.switch(), facts.codecs(tensor)
            self.codec |= dict(zip([(tensor, name) for name in names], self.one_of(len(names)), strict=True))
            self.equal(self._coded(tensor, lambda _: 1.0), var(leaves))
            for place in facts.tiers:
                for stage in facts.order:
                    if tensor in stage.inputs:
                        here = var(self.at[stage.name, place])
                        self.at_least(var(leaves), var(self._home(tensor, place)) - here)
            if tensor in facts.graph.sinks:
                self.at_least(var(leaves), 1.0 - var(self._home(tensor, CAR)))

    def _precision_price_s(self, stage: StageNode, _: Place, precision: str) -> float:
        return self.facts.precision_price_s(stage, precision)

    def _coded(self, tensor: str, value: Callable[[str], float]) -> Linear:
        """value(codec) of the codec chosen; 0 for a tensor that stays."""
        return Linear({self.codec[tensor, name]: value(name) for name in self.facts.codecs(tensor)})

    def _limits(self) -> None:
        """Memory and power as shares of what there is, so that all coefficients are of one size."""
        facts, fallback = self.facts, self.fallback
        pure: Literal = False
        if self.same_model:
            pure = self.switch()
            for stage in facts.critical:
                self.at_least(var(self.pick[stage.name, CAR, fallback.precision]), var(pure))
        for place in facts.tiers:
            cap = self.problem.computers[place].budget.memory_bytes
            total = Linear(constant=fallback.parameter_bytes / cap if place == CAR else 0.0)
            largest = self.number(2.0)
            for stage in facts.critical:
                for precision in facts.precisions(place):
                    pick = var(self.pick[stage.name, place, precision])
                    if not (place == CAR and self.same_model and precision == fallback.precision):
                        total += pick * (parameter_bytes(stage, precision) / cap)
                    self.at_least(largest, pick * min(2.0, working_bytes(stage, precision) / cap))
            for stage in facts.auxiliary:
                here, precision = var(self.at[stage.name, place]), facts.default_precision(place)
                total += here * (parameter_bytes(stage, precision) / cap)
                self.at_least(largest, here * min(2.0, working_bytes(stage, precision) / cap))
            self.at_least(1.0, total + largest, unless=[pure] if place == CAR else [])
        cap_j = self.problem.computers[CAR].budget.power_cap_w * self.problem.frame_period_s
        self.car_j = Linear()
        for stage in facts.critical:
            self.car_j += self._sum(stage, partial(facts.joules, stage))
        for stage in facts.auxiliary:
            self.car_j += var(self.at[stage.name, CAR]) * facts.joules(stage, CAR, facts.default_precision(CAR))
        self.at_least(1.0, self.car_j * (1.0 / cap_j), unless=[pure])

    def _events(self) -> None:
        """Which fetch sends a tensor over the air: (tensor, reader or None for a sink) -> binary."""
        facts = self.facts
        self.fetches = [(t, stage) for stage in facts.critical for t in dict.fromkeys(stage.inputs)]
        sinks = [(t, None) for t in dict.fromkeys(facts.graph.sinks)]
        self.fetches_down: list[tuple[str, StageNode | None]] = [*self.fetches, *sinks]
        self.sends_up: dict[tuple[str, str], Literal] = {}
        self.sends_down: dict[tuple[str, str], Literal] = {}
        for up, fetches, sends in (
            (True, self.fetches, self.sends_up),
            (False, self.fetches_down, self.sends_down),
        ):
            before: dict[str, Linear] = {}
            for tensor, stage in fetches:
                on_car = var(True if stage is None else self.at[stage.name, CAR])
                home_on_car = var(self._home(tensor, CAR))
                reader, home = (1.0 - on_car, home_on_car) if up else (on_car, 1.0 - home_on_car)
                send = self.switch()
                sends[tensor, "" if stage is None else stage.name] = send
                sent = before[tensor] = before.get(tensor, Linear()) + var(send)
                self.at_least(reader, var(send))
                self.at_least(home, var(send))
                self.at_least(sent, reader + home - 1.0)
            for sent in before.values():
                self.at_least(1.0, sent)

    # What follows in each future.

    def _horizon_s(self) -> float:
        """No time that matters lies later: a remote answer after the fallback's end is none, a local one has every
        stage at its slowest."""
        facts = self.facts
        local = self.problem.busy.car_s
        for stage in facts.critical:
            local += max(facts.seconds(stage, CAR, precision) for precision in facts.precisions(CAR))
        return float(max(local, self.fallback.end_s)) * (1.0 + 1e-6)

    def _future(self, m: int) -> tuple[Linear, int]:
        """(R_m, whether the fallback answers)"""
        facts, forecast, horizon = self.facts, self.problem.forecast, self._horizon_s()
        answers = self.switch()
        free = {name: Linear(constant=time_s) for name, time_s in facts.free_at_s().items()}
        made = {source: Linear() for source in facts.graph.sources}
        left_car = {t: self.number(horizon) for t, _ in self.fetches}  # when it has left an antenna
        left_edge = {t: self.number(horizon) for t, _ in self.fetches_down}
        radio_s, wan_s = 0.5 * float(forecast.rtt_s[m]), 0.5 * float(forecast.wan_rtt_s[m])

        def over(tensor: str, rate: float) -> Linear:
            def seconds(codec: str) -> float:
                bits = 8.0 * facts.payload_bytes(tensor, codec)
                return min(bits / rate, 2.0 * horizon) if rate > 0.0 else 2.0 * horizon  # too late is too late

            return self._coded(tensor, seconds)

        def later(left: Linear, right: Linear, when: Sequence[Literal] = ()) -> None:
            self.at_least(left, right, when, unless=[answers])

        def fetch(tensor: str, stage: StageNode | None, start: Linear) -> None:
            """start >= arrival of a tensor at its reader."""
            at = {p: p == CAR if stage is None else self.at[stage.name, p] for p in facts.tiers}
            home = {p: self._home(tensor, p) for p in facts.tiers}
            encoded = made[tensor] + self._coded(tensor, lambda c: CODECS[c].encode_s(facts.raw[tensor]))
            decode = self._coded(tensor, lambda c: CODECS[c].decode_s(facts.raw[tensor]))
            wide = over(tensor, float(forecast.wan_bps[m])) + wan_s
            later(start, made[tensor])
            name = "" if stage is None else stage.name
            if stage is not None:
                send, air = self.sends_up[tensor, name], over(tensor, float(forecast.up_bps[m]))
                after = self.number(horizon)
                later(after, free["up"])
                later(after, free["up"] + air, [send])
                later(after, encoded + air, [send])
                later(left_car[tensor], after, [send])
                free["up"] = after
                edge_s, cloud_s = facts.wait_s(EDGE, m), facts.wait_s(CLOUD, m)
                later(start, left_car[tensor] + radio_s + edge_s + decode, [home[CAR], at[EDGE]])
                if CLOUD in at:
                    later(start, left_car[tensor] + radio_s + wide + cloud_s + decode, [home[CAR], at[CLOUD]])
                    later(start, encoded + wide + cloud_s + decode, [home[EDGE], at[CLOUD]])
                    later(start, encoded + wide + edge_s + decode, [home[CLOUD], at[EDGE]])
            send, air = self.sends_down[tensor, name], over(tensor, float(forecast.down_bps[m]))
            after = self.number(horizon)
            later(after, free["down"])
            later(after, free["down"] + air, [send])
            later(after, encoded + air, [send])
            if CLOUD in home:
                later(after, encoded + wide + air, [send, home[CLOUD]])
            later(left_edge[tensor], after, [send])
            free["down"] = after
            for place in facts.tiers[1:]:
                later(start, left_edge[tensor] + radio_s + decode, [home[place], at[CAR]])

        for stage in facts.critical:
            start = self.number(horizon)
            for tensor in dict.fromkeys(stage.inputs):
                fetch(tensor, stage, start)
            end = start + self._sum(stage, partial(facts.seconds, stage))
            for place in facts.tiers:
                here = self.at[stage.name, place]
                later(start, free[place.name], [here])
                after = self.number(horizon)
                later(after, free[place.name])
                later(after, end, [here])
                free[place.name] = after
            made |= dict.fromkeys(stage.outputs, end)
        answer = self.number(horizon)
        for tensor in dict.fromkeys(facts.graph.sinks):
            fetch(tensor, None, answer)
        # The race: the car's own run starts on time, and the main answer comes first or not at all.
        self.at_least(self.fallback.start_s, free["CAR"], unless=[answers, self.local])
        self.at_least(self.fallback.end_s, answer, unless=[answers, self.local])
        self.at_least(1.0 - var(self.local), var(answers))
        return answer, answers

    def _objective(self) -> None:
        facts, c, fallback = self.facts, self.config, self.fallback
        futures, deadline_s = len(self.problem.forecast), self.problem.deadline_s
        total = Linear(constant=facts.model.quality_price_s) + self.car_j * c.per_joule_s
        for stage in facts.critical:
            total += self._sum(stage, partial(self._precision_price_s, stage))
        for tensor in facts.tensors:
            total += self._coded(tensor, partial(facts.crossing_price_s, tensor))
        for state, output in facts.graph.states.items():
            stays = self.at[facts.maker[output].name, facts.source_home(state)]
            total += (1.0 - var(stays)) * c.per_switch_s
        quality = max(0.0, fallback.model.quality_price_s - facts.model.quality_price_s)
        remote = 1.0 - var(self.local)
        horizon, all_late = self._horizon_s(), []
        for m in range(futures):
            loss = float(self.problem.forecast.loss[m])
            answer, answers = self._future(m)
            first, second = self.number(horizon), self.number(horizon)  # if the messages arrive; if they are lost
            self.at_least(first, answer, unless=[answers])
            self.at_least(first, fallback.end_s, when=[answers])
            self.at_least(second, fallback.end_s, unless=[self.local])
            self.at_least(second, answer, when=[self.local])
            late_first, late_second, late = (self.number(horizon) for _ in range(3))
            self.at_least(late_first, first - deadline_s)
            self.at_least(late_second, second - deadline_s)
            self.at_least(late, late_first * (1.0 - loss) + late_second * loss)
            all_late.append(late)
            total += (first * (1.0 - loss) + second * loss) * (c.mean_weight / futures)
            total += late * (c.late_weight / futures)
            total += (var(answers) * (1.0 - loss) + remote * loss) * (quality / futures)
            if fallback.seconds > 0.0:
                run = self.number(horizon)  # how long the car works on its own run
                self.at_least(run, first - fallback.start_s, unless=[self.local])
                spent = (run * ((1.0 - loss) / fallback.seconds) + remote * loss) * fallback.joules
                total += spent * (c.per_joule_s / futures)
        self.objective = total + self._tail(all_late) * c.tail_weight

    def _tail(self, late: list[Linear]) -> Linear:
        """CVaR of late_m."""
        count, horizon = math.ceil(self.config.tail_share * len(late)), self._horizon_s()
        eta, parts = self.number(horizon), [self.number(horizon) for _ in late]
        total = sum(parts, Linear()) * (1.0 / count)
        if not self.choose_tail:
            for x, part in zip(late, parts, strict=True):
                self.at_least(part, x - eta)
            return total + eta
        chosen = [self.switch() for _ in late]
        self.equal(sum((var(choice) for choice in chosen), Linear()), float(count))
        for x, part, choice in zip(late, parts, chosen, strict=True):
            self.at_least(part, x, when=[choice])
            self.at_least(part, eta, when=[choice])
            self.at_least(eta, x, unless=[choice])
        return total

    def schedule(self, values: Sequence[float], policy: str) -> Schedule:
        """The schedule that a solution's values mean."""
        facts = self.facts
        chosen = {
            stage: (place, precision)
            for (stage, place, precision), variable in self.pick.items()
            if values[variable] > 0.5
        }
        where = facts.complete({name: place for name, (place, _) in chosen.items()})
        crossing = facts.crossing(where)
        return Schedule(
            place=tuple(where[s.name] for s in facts.graph.stages),
            codecs={t: c for (t, c), v in self.codec.items() if values[v] > 0.5 and t in crossing},
            fallback_at_s=self.fallback.due_s if facts.remote(where) else None,
            expected_latency_s=math.nan,
            policy=policy,
            model=facts.model.name,
            precisions=tuple(
                chosen[s.name][1] if s.name in chosen else facts.default_precision(where[s.name])
                for s in facts.graph.stages
            ),
        )
