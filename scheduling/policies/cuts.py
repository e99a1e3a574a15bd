"""Policies that cut the network in two: car first, edge afterwards."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
from networkx.algorithms.flow import boykov_kolmogorov

from scheduling.compiled import Ints
from scheduling.planning import Reading
from scheduling.policies.baseline import BaselinePolicy, Crossings, Plan, certain, precision_of
from scheduling.problem import Problem
from scheduling.solver import CAR_TO_EDGE, EDGE_TO_CAR
from scheduling.types import Place, Schedule


class NeurosurgeonPolicy(BaselinePolicy):
    """The best single cut of the network as a chain: a first part in the car, the rest at the edge.

    Kang et al., "Neurosurgeon", ASPLOS 2017: latency of every cut predicted at the current bandwidth and server load,
    the least taken. Simplified: the chain is the graph in list order; predictions are ours, not regressions.
    """

    name = "neurosurgeon"

    def decide(self, problem: Problem) -> Schedule:
        reading = certain(self.planner, problem)[0]
        return self.schedule(reading, best_cut(reading)[1])


class EdgentPolicy(BaselinePolicy):
    """A smaller network and a cut, so that the deadline is met.

    In the manner of Edgent (Li et al., arXiv 1910.05316) and SPINN (Laskaridis et al., MobiCom 2020): the most
    accurate exit whose best cut meets the deadline at the current bandwidth; if none does, the quickest. Simplified:
    exits are the sizes of the model at hand, not branches of one network.
    """

    name = "edgent"

    def decide(self, problem: Problem) -> Schedule:
        best_first = sorted(certain(self.planner, problem), key=lambda reading: reading.model.quality_price_s)
        found = []
        for reading in best_first:
            latency_s, plan = best_cut(reading)
            if latency_s <= problem.deadline_s:
                return self.schedule(reading, plan)
            found.append((latency_s, reading, plan))
        _, reading, plan = min(found, key=lambda one: one[0])
        return self.schedule(reading, plan)


class DadsPolicy(BaselinePolicy):
    """A minimum cut of the graph: stages left of it run in the car, the others at the edge.

    Hu et al., "Dynamic adaptive DNN surgery", INFOCOM 2019, for a lightly loaded edge: minimises the sum of stage and
    transfer times, one after the other, at the mean link. A tensor is charged once however many stages read it: an
    auxiliary node stands between its maker and its readers, one for each direction. Message delays and the line at the
    server do not depend on where the cut lies: they are charged once, as soon as anything is remote.
    """

    name = "dads"

    def decide(self, problem: Problem) -> Schedule:
        reading = certain(self.planner, problem)[0]
        return self.schedule(reading, minimum_cut(reading)[1])


def best_cut(reading: Reading) -> tuple[float, Plan]:
    """(latency, plan) of the quickest cut in list order; the least remote of equals."""
    n, crossings = reading.compiled.n_critical, Crossings(reading)
    car, edge = precision_of(reading, Place.CAR), precision_of(reading, Place.EDGE)
    best_s, best = math.inf, None
    for k in range(n, -1, -1):
        choice = reading.uniform(Place.CAR, car)
        choice[k:] = edge
        plan = crossings.plan(choice)
        latency_s = reading.evaluate(*plan).latency_s
        if latency_s < best_s:
            best_s, best = latency_s, plan
    assert best is not None
    return best_s, best


def serial_seconds(reading: Reading, choice: Ints) -> float:
    """What a minimum cut minimises: all stages and transfers one after the other, codecs' prices included."""
    crossings, s = Crossings(reading), reading.situation
    tiers = crossings.tiers(choice)
    n = reading.compiled.n_critical
    total = sum(float(s.stage_s[i, choice[i]]) for i in range(n))
    total += sum(crossings.transfer(*pair)[0] for pair in crossings.pairs(tiers, critical=True))
    return total + (_round_trip_s(reading) if Place.EDGE in tiers[:n] else 0.0)


def minimum_cut(reading: Reading) -> tuple[float, Plan]:
    """(sum of seconds, plan)."""
    n, crossings = reading.compiled.n_critical, Crossings(reading)
    car, edge = precision_of(reading, Place.CAR), precision_of(reading, Place.EDGE)
    network = _network(reading, crossings, car, edge)
    total, (on_car, _) = nx.minimum_cut(network, "car", "edge", flow_func=boykov_kolmogorov)
    choice = reading.uniform(Place.CAR, car)
    choice[:n] = np.where([i in on_car for i in range(n)], car, edge)
    if Place.EDGE in crossings.tiers(choice)[:n]:
        local = reading.uniform(Place.CAR, car)
        total += _round_trip_s(reading)
        local_s = serial_seconds(reading, local)
        if local_s <= total:
            total, choice = local_s, local
    return float(total), crossings.plan(choice)


def _network(reading: Reading, crossings: Crossings, car: int, edge: int) -> nx.DiGraph:
    """Nodes: "car", "edge", critical positions, and ("up" | "down", tensor). What is cut is paid."""
    a, s, n = reading.compiled.arrays, reading.situation, reading.compiled.n_critical
    network = nx.DiGraph()
    for i in range(n):
        network.add_edge("car", i, capacity=float(s.stage_s[i, edge]))
        network.add_edge(i, "edge", capacity=float(s.stage_s[i, car]))
    for t, producer in enumerate(a.producer.tolist()):
        readers: list[object] = a.reader[a.reader_pointer[t] : a.reader_pointer[t + 1]].tolist()
        if a.is_sink[t]:
            readers.append("car")
        if not readers or producer >= n:
            continue
        # A state that lies in the cloud comes through the edge: for a cut that knows two sides, it lies at the edge.
        maker = producer if producer >= 0 else "car" if s.home[t] == Place.CAR else "edge"
        network.add_edge(maker, ("up", t), capacity=crossings.transfer(t, Place.CAR, Place.EDGE)[0])
        network.add_edge(("down", t), maker, capacity=crossings.transfer(t, Place.EDGE, Place.CAR)[0])
        for reader in readers:  # without a capacity: never cut
            network.add_edge(("up", t), reader)
            network.add_edge(reader, ("down", t))
    return network


def _round_trip_s(reading: Reading) -> float:
    """To the server, its line included, and back."""
    return float(reading.situation.air[CAR_TO_EDGE, 0] + reading.situation.air[EDGE_TO_CAR, 0])
