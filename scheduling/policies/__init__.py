"""Scheduling policies behind one interface: `decide(problem) -> Schedule`. `exact` is ours, the others are what it is
compared with."""

from scheduling.policies.base import Policy, PolicyConfig
from scheduling.policies.baseline import BaselinePolicy
from scheduling.policies.cuts import DadsPolicy, EdgentPolicy, NeurosurgeonPolicy
from scheduling.policies.exact import ExactPolicy
from scheduling.policies.races import ReplicateFirstWinsPolicy, SpeculateAlwaysPolicy
from scheduling.policies.single import (
    CloudCentralPolicy,
    EdgeOnlyPolicy,
    FifoPolicy,
    JpegRemotePolicy,
    LocalOnlyPolicy,
)
from scheduling.policies.utility import TurboIlpPolicy
from scheduling.policies.variants import OraclePolicy, StaticDeadlinePolicy

POLICIES: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (
        ExactPolicy,
        LocalOnlyPolicy,
        EdgeOnlyPolicy,
        JpegRemotePolicy,
        NeurosurgeonPolicy,
        DadsPolicy,
        EdgentPolicy,
        TurboIlpPolicy,
        SpeculateAlwaysPolicy,
        ReplicateFirstWinsPolicy,
        StaticDeadlinePolicy,
        CloudCentralPolicy,
        FifoPolicy,
        OraclePolicy,
    )
}

__all__ = [
    "POLICIES",
    "BaselinePolicy",
    "CloudCentralPolicy",
    "DadsPolicy",
    "EdgeOnlyPolicy",
    "EdgentPolicy",
    "ExactPolicy",
    "FifoPolicy",
    "JpegRemotePolicy",
    "LocalOnlyPolicy",
    "NeurosurgeonPolicy",
    "OraclePolicy",
    "Policy",
    "PolicyConfig",
    "ReplicateFirstWinsPolicy",
    "SpeculateAlwaysPolicy",
    "StaticDeadlinePolicy",
    "TurboIlpPolicy",
]
