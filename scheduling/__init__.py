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
    TraceConfig,
    TraceLink,
    drive_geometry,
)
from scheduling.policies import ExactPolicy, Policy, PolicyConfig
from scheduling.problem import Busy, Problem, Waits
from scheduling.queue import SharedQueue
from scheduling.thermal import Thermal, ThermalConfig
from scheduling.timeline import perfetto_events, write_perfetto
from scheduling.trace import trace_stages
from scheduling.types import (
    LinkGeometry,
    LinkState,
    ModelVariant,
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
    "ExactPolicy",
    "ExecutorConfig",
    "FixedLink",
    "FixedLinkConfig",
    "LinkForecast",
    "LinkGeometry",
    "LinkModel",
    "LinkState",
    "LinkTrace",
    "ModelVariant",
    "OffLink",
    "Place",
    "Policy",
    "PolicyConfig",
    "Problem",
    "RadioConfig",
    "RadioLink",
    "Schedule",
    "SharedQueue",
    "Span",
    "StageCost",
    "StageGraph",
    "StageNode",
    "TenantLoad",
    "Thermal",
    "ThermalConfig",
    "Timeline",
    "TraceConfig",
    "TraceLink",
    "VirtualExecutor",
    "Waits",
    "drive_geometry",
    "perfetto_events",
    "trace_stages",
    "write_perfetto",
]
