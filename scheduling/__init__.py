"""Stages, compute budgets, a radio link, an exact scheduler and execution in virtual time.

Knows nothing of cameras or cars beyond their names: it sees a graph of stages with costs and payload sizes.
"""

from scheduling.budget import BudgetState, ComputeBudget, TenantLoad
from scheduling.codecs import CODECS, Codec
from scheduling.execution import ExecutorConfig, VirtualExecutor
from scheduling.link import (
    FixedLink,
    FixedLinkConfig,
    LinkForecast,
    LinkModel,
    LinkTrace,
    OffLink,
    RadioConfig,
    RadioLink,
)
from scheduling.policies import ExactPolicy, Policy, PolicyConfig
from scheduling.problem import Busy, Problem, Waits
from scheduling.timeline import perfetto_events, write_perfetto
from scheduling.trace import trace_stages
from scheduling.types import (
    LinkGeometry,
    LinkState,
    Place,
    Schedule,
    Span,
    StageCost,
    StageGraph,
    StageNode,
    Timeline,
)

__all__ = [
    "CODECS",
    "BudgetState",
    "Busy",
    "Codec",
    "ComputeBudget",
    "EdgeOnlyPolicy",
    "ExactPolicy",
    "ExecutorConfig",
    "FixedLink",
    "FixedLinkConfig",
    "LinkForecast",
    "LinkGeometry",
    "LinkModel",
    "LinkState",
    "LinkTrace",
    "LocalOnlyPolicy",
    "OffLink",
    "Place",
    "Policy",
    "PolicyConfig",
    "RadioConfig",
    "RadioLink",
    "Schedule",
    "Span",
    "StageCost",
    "StageGraph",
    "StageNode",
    "TenantLoad",
    "Timeline",
    "VirtualExecutor",
    "perfetto_events",
    "trace_stages",
    "write_perfetto",
]
