"""Policies that run a frame twice and take whichever answer is first."""

from __future__ import annotations

from dataclasses import replace

from scheduling.policies.baseline import BaselinePolicy, certain, remote_tiers
from scheduling.policies.single import jpeg_upload
from scheduling.problem import Problem
from scheduling.types import Place, Schedule


class SpeculateAlwaysPolicy(BaselinePolicy):
    """Every frame runs both in the car, at once, and at the edge, on JPEG images.

    As arXiv 2308.03204 does it: run both, use the better by the deadline. Simplified: the first answer wins and
    cancels the other, since an executor that holds a ready answer back until the deadline would only add latency; the
    local run is that of the fallback model.
    """

    name = "speculate_always"
    OWN_OPTIONS = ()  # its local run is its fallback

    def decide(self, problem: Problem) -> Schedule:
        reading, plan = jpeg_upload(certain(self.planner, problem)[0], Place.EDGE)
        return replace(self.schedule(reading, plan), fallback_at_s=0.0)


class ReplicateFirstWinsPolicy(BaselinePolicy):
    """The same request at several places, the first answer wins.

    FogROS2-PLR (arXiv 2410.05562) sends it to several servers over several networks. Simplified: the executor knows
    one remote run a frame, so the copies are one in the car, at once, and one at whichever of edge and cloud is the
    quicker at the mean link.
    """

    name = "replicate_first_wins"
    OWN_OPTIONS = ()  # its local run is its fallback

    def decide(self, problem: Problem) -> Schedule:
        reading = certain(self.planner, problem)[0]
        plans = [jpeg_upload(reading, tier)[1] for tier in remote_tiers(problem)]
        plan = min(plans, key=lambda plan: reading.evaluate(*plan).latency_s)
        return replace(self.schedule(reading, plan), fallback_at_s=0.0)
