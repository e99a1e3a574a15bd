"""Plain enumeration again, in compiled loops: looks at every schedule, so that thousands of instances can be compared.

Means exactly what `scheduling.exhaustive` says (which checks it in the tests); no pruning, no bounds, no cleverness.

    n  critical stages            A  auxiliary ones              T  tensors
    J  (place, precision) pairs   M  futures                     O  (tensor, codec) pairs
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from scheduling.codecs import CODECS
from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.references.facts import CAR, CLOUD, EDGE, Facts, FallbackRun, parameter_bytes, working_bytes
from scheduling.types import Place, Schedule, StageNode

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Arrays(NamedTuple):
    """One size of the network in one decision. Stages: critical ones 0..n-1, then auxiliary ones n..n+A-1."""

    pair_place: Ints  # (J,)
    seconds: Floats  # (n, J)
    joules: Floats  # (n, J), 0 off the car
    price_s: Floats  # (n, J) of the precision
    weights: Floats  # (n, J) bytes that this stage adds, 0 where the fallback's weights are shared
    working: Floats  # (n, J)
    pure: Ints  # (J,) 1: this pair is the fallback's own, and so is the model
    leader: Ints  # (A,) critical stage, -1: the car
    aux_joules: Floats  # (A, tiers)
    aux_weights: Floats  # (A, tiers)
    aux_working: Floats  # (A, tiers)
    input_start: Ints  # (n + 1,) into inputs
    inputs: Ints  # tensors, in the order in which stages name them
    sinks: Ints
    maker: Ints  # (T,) stage, -1: a source
    source_home: Ints  # (T,)
    reads: Ints  # (n + A, T) 0 or 1
    option_start: Ints  # (T + 1,) into what follows
    option_bytes: Floats  # (O,)
    option_encode_s: Floats  # (O,)
    option_decode_s: Floats  # (O,)
    option_price_s: Floats  # (O,) of the codec and of its bytes
    state_home: Ints  # (H,)
    state_maker: Ints  # (H,)
    states_away: bool
    quality_s: float
    fallback_quality_s: float  # what a fallback answer loses
    memory: Floats  # (tiers,) what it may hold, the fallback's weights already taken off
    power_j: float  # what the car may spend
    fallback_s: Floats  # (start, end, complete run)
    fallback_j: float
    futures: Floats  # (M, 8) up, down, wan rates; half round trips of radio and wan; loss; waits at edge and cloud
    free_s: Floats  # car, edge, cloud, uplink, downlink
    deadline_s: float
    lambdas: Floats  # mean, late, tail, joule, switch
    worst: int  # futures in the tail


def arrays(facts: Facts, fallback: FallbackRun) -> Arrays:
    problem, c = facts.problem, facts.config
    stages = {stage.name: i for i, stage in enumerate(facts.order)}
    tensors = {name: i for i, name in enumerate(facts.tensors)}
    pairs = [(place, precision) for place in facts.tiers for precision in facts.precisions(place)]
    is_fallback = facts.model.name == fallback.model.name
    own = [int(is_fallback and pair == (CAR, fallback.precision)) for pair in pairs]
    leaders = [facts.leader(stage) for stage in facts.auxiliary]
    defaults = [(place, facts.default_precision(place)) for place in facts.tiers]
    options = [(t, codec) for t in facts.tensors for codec in facts.codecs(t)]
    caps = [problem.computers[place].budget.memory_bytes for place in facts.tiers]
    forecast, futures = problem.forecast, len(problem.forecast)
    free = facts.free_at_s()

    def critical(value: Callable[[StageNode, Place, str], float]) -> Floats:
        table = [[value(s, p, q) for p, q in pairs] for s in facts.critical]
        return np.array(table, np.float64).reshape(len(facts.critical), len(pairs))

    def auxiliary(value: Callable[[StageNode, Place, str], float]) -> Floats:
        table = [[value(s, p, q) for p, q in defaults] for s in facts.auxiliary]
        return np.array(table, np.float64).reshape(len(facts.auxiliary), len(defaults))

    def ints(values: list[int]) -> Ints:
        return np.array(values, np.int64)

    return Arrays(
        pair_place=ints([place for place, _ in pairs]),
        seconds=critical(facts.seconds),
        joules=critical(facts.joules),
        price_s=critical(lambda s, _, q: facts.precision_price_s(s, q)),
        weights=critical(lambda s, _, q: parameter_bytes(s, q)) * (1.0 - np.array(own)),
        working=critical(lambda s, _, q: working_bytes(s, q)),
        pure=ints(own),
        leader=ints([-1 if leader is None else stages[leader.name] for leader in leaders]),
        aux_joules=auxiliary(facts.joules),
        aux_weights=auxiliary(lambda s, _, q: parameter_bytes(s, q)),
        aux_working=auxiliary(lambda s, _, q: working_bytes(s, q)),
        input_start=np.cumsum([0] + [len(s.inputs) for s in facts.critical]),
        inputs=ints([tensors[t] for s in facts.critical for t in s.inputs]),
        sinks=ints([tensors[t] for t in facts.graph.sinks]),
        maker=ints([stages[facts.maker[t].name] if t in facts.maker else -1 for t in facts.tensors]),
        source_home=ints([facts.source_home(t) if t in facts.graph.sources else CAR for t in facts.tensors]),
        reads=np.array([[t in s.inputs for t in facts.tensors] for s in facts.order], np.int64),
        option_start=np.cumsum([0] + [len(facts.codecs(t)) for t in facts.tensors]),
        option_bytes=np.array([facts.payload_bytes(t, codec) for t, codec in options]),
        option_encode_s=np.array([CODECS[codec].encode_s(facts.raw[t]) for t, codec in options]),
        option_decode_s=np.array([CODECS[codec].decode_s(facts.raw[t]) for t, codec in options]),
        option_price_s=np.array([facts.crossing_price_s(t, codec) for t, codec in options]),
        state_home=ints([facts.source_home(state) for state in facts.graph.states]),
        state_maker=ints([stages[facts.maker[output].name] for output in facts.graph.states.values()]),
        states_away=facts.states_away,
        quality_s=float(facts.model.quality_price_s),
        fallback_quality_s=max(0.0, float(fallback.model.quality_price_s - facts.model.quality_price_s)),
        memory=np.array(caps, np.float64) - fallback.parameter_bytes * (np.array(facts.tiers) == CAR),
        power_j=float(problem.computers[CAR].budget.power_cap_w * problem.frame_period_s),
        fallback_s=np.array([fallback.start_s, fallback.end_s, fallback.seconds]),
        fallback_j=float(fallback.joules),
        futures=np.column_stack(
            [
                *(forecast.up_bps, forecast.down_bps, forecast.wan_bps),
                *(0.5 * forecast.rtt_s, 0.5 * forecast.wan_rtt_s, forecast.loss),
                *([facts.wait_s(place, m) for m in range(futures)] for place in (EDGE, CLOUD)),
            ]
        ).astype(np.float64),
        free_s=np.array([free[name] for name in ("CAR", "EDGE", "CLOUD", "up", "down")]),
        deadline_s=float(problem.deadline_s),
        lambdas=np.array([c.mean_weight, c.late_weight, c.tail_weight, c.per_joule_s, c.per_switch_s]),
        worst=math.ceil(c.tail_share * futures),
    )


@njit(cache=True)
def _over(payload, rate):
    return 8.0 * payload / rate if rate > 0.0 else np.inf


@njit(cache=True)
def _fetch(a, t, place, home, option, at, sent, free, future):
    """When tensor t is at that place; -1 in `at` and `sent` means not yet."""
    if at[t, place] < 0.0:
        o = a.option_start[t] + option[t]
        encoded = at[t, home] + a.option_encode_s[o]
        wide_s = _over(a.option_bytes[o], future[2]) + future[4]
        if home == 0:
            if sent[t] < 0.0:
                free[3] = max(encoded, free[3]) + _over(a.option_bytes[o], future[0])
                sent[t] = free[3]
            arrives = sent[t] + future[3] + (wide_s if place == 2 else 0.0)
        elif place == 0:
            at_antenna = encoded + (wide_s if home == 2 else 0.0)
            free[4] = max(at_antenna, free[4]) + _over(a.option_bytes[o], future[1])
            arrives = free[4] + future[3]
        else:
            arrives = encoded + wide_s
        if place > 0:
            arrives += future[5 + place]  # the line at the server
        at[t, place] = arrives + a.option_decode_s[o]
    return at[t, place]


@njit(cache=True)
def _answer(a, pair, home, option, m, at, sent):
    """(R_m, end of the last critical stage on the car)"""
    n, free, future = len(pair), a.free_s.copy(), a.futures[m]
    at[:], sent[:] = -1.0, -1.0
    for t in range(len(home)):
        if a.maker[t] < 0:
            at[t, home[t]] = 0.0
    last_car_s = 0.0
    for v in range(n):
        place, ready = a.pair_place[pair[v]], 0.0
        for i in range(a.input_start[v], a.input_start[v + 1]):
            ready = max(ready, _fetch(a, a.inputs[i], place, home[a.inputs[i]], option, at, sent, free, future))
        free[place] = max(ready, free[place]) + a.seconds[v, pair[v]]
        for t in range(len(home)):
            if a.maker[t] == v:
                at[t, place] = free[place]
        if place == 0:
            last_car_s = free[0]
    answer = 0.0
    for t in a.sinks:
        answer = max(answer, _fetch(a, t, 0, home[t], option, at, sent, free, future))
    return answer, last_car_s


@njit(cache=True)
def _objective(a, pair, place, home, leaves, option, at, sent, late):
    """(objective, mean latency) of one schedule; place, home, leaves as `_follow` leaves them."""
    n, futures = len(pair), len(a.futures)
    price, joules, remote = 0.0, 0.0, a.states_away
    for v in range(n):
        price += a.price_s[v, pair[v]]
        joules += a.joules[v, pair[v]]
        remote = remote or place[v] != 0
    for t in range(len(home)):
        if leaves[t]:
            price += a.option_price_s[a.option_start[t] + option[t]]
    for i in range(len(a.state_home)):
        if place[a.state_maker[i]] != a.state_home[i]:
            price += a.lambdas[4]
    for x in range(len(a.leader)):
        joules += a.aux_joules[x, place[n + x]]
    start_s, end_s, run_s = a.fallback_s
    latency, late_sum, fallback_j, answers = 0.0, 0.0, 0.0, 0.0
    for m in range(futures):
        main, last_car_s = _answer(a, pair, home, option, m, at, sent)
        if not remote:
            latency += main
            late[m] = max(0.0, main - a.deadline_s)
        else:
            lost, loss = last_car_s > start_s, a.futures[m, 5]
            first = end_s if lost else min(main, end_s)
            latency += (1.0 - loss) * first + loss * end_s
            late[m] = (1.0 - loss) * max(0.0, first - a.deadline_s) + loss * max(0.0, end_s - a.deadline_s)
            answers += (1.0 - loss) * (1.0 if lost or end_s < main else 0.0) + loss
            share = min(1.0, max(0.0, first - start_s) / run_s) if run_s > 0.0 else 0.0
            fallback_j += ((1.0 - loss) * share + loss) * a.fallback_j
        late_sum += late[m]
    worst = 0.0
    for _ in range(a.worst):  # the largest so many, one after the other
        largest = late.argmax()
        worst += late[largest]
        late[largest] = -1.0
    total = a.quality_s + price + a.lambdas[3] * (joules + fallback_j / futures)
    total += a.lambdas[0] * (latency / futures) + answers / futures * a.fallback_quality_s
    total += a.lambdas[1] * (late_sum / futures) + a.lambdas[2] * (worst / a.worst)
    return total, latency / futures


@njit(cache=True)
def _follow(a, pair, place, home, leaves):
    """Fills in the places of all stages, the homes of tensors and which of them leave their tier."""
    n, auxiliary = len(pair), len(a.leader)
    for v in range(n):
        place[v] = a.pair_place[pair[v]]
    for x in range(auxiliary):
        place[n + x] = 0 if a.leader[x] < 0 else place[a.leader[x]]
    for t in range(len(home)):
        home[t] = a.source_home[t] if a.maker[t] < 0 else place[a.maker[t]]
        leaves[t] = False
        for v in range(n + auxiliary):
            if a.reads[v, t] and place[v] != home[t]:
                leaves[t] = True
    for t in a.sinks:
        if home[t] != 0:
            leaves[t] = True


@njit(cache=True)
def _fits(a, pair, place):
    """Memory and power; the pure fallback always fits."""
    n, auxiliary = len(pair), len(a.leader)
    pure, joules = True, 0.0
    for v in range(n):
        pure = pure and a.pure[pair[v]] == 1
        joules += a.joules[v, pair[v]]
    if pure:
        return True
    for x in range(auxiliary):
        joules += a.aux_joules[x, place[n + x]]
    for p in range(len(a.memory)):
        weights, working = 0.0, 0.0
        for v in range(n):
            if place[v] == p:
                weights += a.weights[v, pair[v]]
                working = max(working, a.working[v, pair[v]])
        for x in range(auxiliary):
            if place[n + x] == p:
                weights += a.aux_weights[x, p]
                working = max(working, a.aux_working[x, p])
        if weights + working > a.memory[p]:
            return False
    return joules <= a.power_j


@njit(cache=True)
def _enumerate(a):
    """(objective, pairs (n,), codecs (T,) as positions among a tensor's options, schedules looked at)"""
    n, tensors, pairs = len(a.input_start) - 1, len(a.maker), len(a.pair_place)
    place, home = np.zeros(n + len(a.leader), np.int64), np.zeros(tensors, np.int64)
    leaves, option, pair = np.zeros(tensors, np.bool_), np.zeros(tensors, np.int64), np.zeros(n, np.int64)
    at, sent, late = np.empty((tensors, 3)), np.empty(tensors), np.empty(len(a.futures))
    best, best_pair, best_option, looked_at = np.inf, pair.copy(), option.copy(), 0
    more_pairs = True
    while more_pairs:
        _follow(a, pair, place, home, leaves)
        more_codecs = _fits(a, pair, place)
        option[:] = 0
        while more_codecs:
            looked_at += 1
            value = _objective(a, pair, place, home, leaves, option, at, sent, late)[0]
            if value < best:
                best, best_pair[:], best_option[:] = value, pair, option
            more_codecs = False
            for t in range(tensors):  # count on: the next codecs of the tensors that leave
                if leaves[t]:
                    option[t] += 1
                    if option[t] < a.option_start[t + 1] - a.option_start[t]:
                        more_codecs = True
                        break
                    option[t] = 0
        more_pairs = False
        for v in range(n):
            pair[v] += 1
            if pair[v] < pairs:
                more_pairs = True
                break
            pair[v] = 0
    return best, best_pair, best_option, looked_at


@njit(cache=True)
def _evaluate(a, pair, option):
    """(objective, mean latency, whether it fits)"""
    tensors = len(a.maker)
    place, home, leaves = np.zeros(len(pair) + len(a.leader), np.int64), option.copy(), np.zeros(tensors, np.bool_)
    _follow(a, pair, place, home, leaves)
    at, sent, late = np.empty((tensors, 3)), np.empty(tensors), np.empty(len(a.futures))
    value, mean_s = _objective(a, pair, place, home, leaves, option, at, sent, late)
    return value, mean_s, _fits(a, pair, place)


def count_schedules(problem: Problem, config: PolicyConfig) -> float:
    """Upper bound on the schedules to look at: every tensor counted as if it left its tier."""
    total = 0.0
    for facts in (Facts(problem, config, model) for model in problem.models):
        pairs = sum(len(facts.precisions(place)) for place in facts.tiers)
        total += float(pairs) ** len(facts.critical) * math.prod(len(facts.codecs(t)) for t in facts.tensors)
    return total


def enumerate_all(problem: Problem, config: PolicyConfig) -> tuple[float, Schedule]:
    """(optimum, a schedule that attains it), having looked at every candidate."""
    fallback = FallbackRun.of(problem, config)
    best: tuple[float, Facts, Ints, Ints] | None = None
    for model in (problem.fallback_model, *problem.models):  # first the one that is always possible
        facts = Facts(problem, config, model)
        value, pair, option, _ = _enumerate(arrays(facts, fallback))
        if best is None or value < best[0]:
            best = (float(value), facts, pair, option)
    assert best is not None
    value, facts, pair, option = best
    return value, _schedule(facts, fallback, pair, option)


def evaluate(problem: Problem, config: PolicyConfig, schedule: Schedule) -> tuple[float, float, bool]:
    """(objective, mean latency, whether it fits in memory and power) of a schedule whose auxiliary stages follow."""
    models = {model.name: model for model in problem.models}
    facts = Facts(problem, config, models[schedule.model or problem.models[0].name])
    pairs = [(place, precision) for place in facts.tiers for precision in facts.precisions(place)]
    precisions = schedule.precisions or [facts.default_precision(place) for place in schedule.place]
    names = [stage.name for stage in facts.graph.stages]
    chosen = dict(zip(names, zip(schedule.place, precisions, strict=True), strict=True))
    where = {name: place for name, (place, _) in chosen.items()}
    if facts.complete(where) != where:
        raise ValueError(f"auxiliary stages follow the maker of their first input, received places {where}")
    option = [facts.codecs(t).index(schedule.codecs[t]) if t in schedule.codecs else 0 for t in facts.tensors]
    pair = [pairs.index(chosen[stage.name]) for stage in facts.critical]
    found = arrays(facts, FallbackRun.of(problem, config))
    value, mean_s, fits = _evaluate(found, np.array(pair, np.int64), np.array(option, np.int64))
    return float(value), float(mean_s), bool(fits)


def _schedule(facts: Facts, fallback: FallbackRun, pair: Ints, option: Ints) -> Schedule:
    pairs = [(place, precision) for place in facts.tiers for precision in facts.precisions(place)]
    chosen = {stage.name: pairs[j] for stage, j in zip(facts.critical, pair.tolist(), strict=True)}
    where = facts.complete({name: place for name, (place, _) in chosen.items()})
    options = dict(zip(facts.tensors, option.tolist(), strict=True))
    value = _evaluate(arrays(facts, fallback), pair, option)
    return Schedule(
        place=tuple(Place(where[stage.name]) for stage in facts.graph.stages),
        codecs={t: facts.codecs(t)[options[t]] for t in facts.crossing(where)},
        fallback_at_s=fallback.due_s if facts.remote(where) else None,
        expected_latency_s=float(value[1]),
        policy="enumeration",
        model=facts.model.name,
        precisions=tuple(
            chosen[s.name][1] if s.name in chosen else facts.default_precision(where[s.name])
            for s in facts.graph.stages
        ),
    )
