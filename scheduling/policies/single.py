"""Policies that run the whole network in one place."""

from __future__ import annotations

from dataclasses import replace

from scheduling.planning import Reading
from scheduling.policies.baseline import (
    BaselinePolicy,
    Crossings,
    Plan,
    certain,
    precision_of,
    remote_tiers,
    within_limits,
)
from scheduling.problem import Problem
from scheduling.types import Place, Schedule


class LocalOnlyPolicy(BaselinePolicy):
    """Everything in the car, with the size and the one precision whose objective is least within memory and power."""

    name = "local_only"

    def decide(self, problem: Problem) -> Schedule:
        reading, plan = _best_in(certain(self.planner, problem), Place.CAR)
        return self.schedule(reading, plan)


class EdgeOnlyPolicy(BaselinePolicy):
    """Everything at the edge, with the size, the one precision and the codecs whose objective is least at the mean
    link."""

    name = "edge_only"

    def decide(self, problem: Problem) -> Schedule:
        reading, plan = _best_in(certain(self.planner, problem), Place.EDGE)
        return self.schedule(reading, plan)


class JpegRemotePolicy(BaselinePolicy):
    """Camera images go up as JPEG, the largest network runs at the edge.

    The baseline to which split computing often loses when it is left out (Matsubara et al., "SC2 Benchmark", arXiv
    2203.08875). Here the quality of the JPEG is chosen for the mean link.
    """

    name = "jpeg_remote"

    def decide(self, problem: Problem) -> Schedule:
        return self.schedule(*jpeg_upload(certain(self.planner, problem)[0], Place.EDGE))


class FifoPolicy(JpegRemotePolicy):
    """As `jpeg_remote`, but nothing is ever superseded: a frame waits in line however old it gets, and every answer
    comes, late or not. So do closed-loop robustness tests that delay all answers alike (in the manner of
    Bench2Drive-Robust; there the delay is a constant, here it is what the line makes of it)."""

    name = "fifo"

    def decide(self, problem: Problem) -> Schedule:
        return replace(super().decide(problem), fifo=True)


class CloudCentralPolicy(BaselinePolicy):
    """The classic arrangement: a controller in the cloud decides for all cars, and the network runs beside it.

    It chooses size, precision and codecs for the mean link. Its decision is on the car one round trip after capture,
    and nothing starts before. Without a cloud, the edge takes its part.
    """

    name = "cloud_central"

    def decide(self, problem: Problem) -> Schedule:
        tier = remote_tiers(problem)[-1]
        reading, plan = _best_in(certain(self.planner, problem), tier)
        return replace(self.schedule(reading, plan), decided_at=tier)


def jpeg_upload(reading: Reading, tier: Place) -> tuple[Reading, Plan]:
    choice = reading.uniform(tier, precision_of(reading, tier))
    return reading, Crossings(reading, lambda codec: codec.startswith("jpeg")).plan(choice)


def _best_in(readings: list[Reading], tier: Place) -> tuple[Reading, Plan]:
    """Least objective of all sizes and precisions within memory and power; if nothing fits, the fallback model."""
    found = []
    for reading in readings:
        crossings = Crossings(reading)
        for c, (its, _) in enumerate(reading.compiled.choices):
            if its == tier:
                plan = crossings.plan(reading.uniform(tier, c))
                found.append((reading.evaluate(*plan), reading, plan))
    _, reading, plan = min(within_limits(found), key=lambda entry: entry[0].objective_s)
    return reading, plan
