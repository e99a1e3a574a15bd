"""Scheduling policies behind one interface: `decide(problem) -> Schedule`."""

from scheduling.policies.base import Policy, PolicyConfig
from scheduling.policies.exact import ExactPolicy

__all__ = ["ExactPolicy", "Policy", "PolicyConfig"]
