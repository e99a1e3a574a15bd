"""Scheduling policies behind one interface: `decide(graph, car, edge, forecast, deadline_s, previous) -> Schedule`."""

from scheduling.policies.base import Busy, Policy, PolicyConfig
from scheduling.policies.baselines import EdgeOnlyPolicy, LocalOnlyPolicy
from scheduling.policies.exact import ExactPolicy

__all__ = ["Busy", "EdgeOnlyPolicy", "ExactPolicy", "LocalOnlyPolicy", "Policy", "PolicyConfig"]
