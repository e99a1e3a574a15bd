"""A study model as the scheduler sees it: stages with costs and payloads, traced without weights."""

from __future__ import annotations

from functools import lru_cache

from planner.study import StudyConfig, study_stages
from scheduling.trace import trace_stages
from scheduling.types import StageGraph


@lru_cache(maxsize=16)
def study_graph(config: StudyConfig) -> StageGraph:
    """Takes a second or so for a large model; asked again for the same configuration, the same graph."""
    study = study_stages(config)
    return trace_stages(study.stages, study.sources, study.sinks, study.states)
