"""Ours with one thing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scheduling.policies.base import Policy, PolicyConfig
from scheduling.policies.exact import ExactPolicy
from scheduling.problem import Problem
from scheduling.types import Schedule


class StaticDeadlinePolicy(ExactPolicy):
    """As ours, but with one deadline for every scene: what D3 (Gog et al., EuroSys 2022) is compared with there."""

    name = "static_deadline"

    def __init__(self, config: PolicyConfig | None = None, *, deadline_s: float = 0.1) -> None:
        super().__init__(config)
        if deadline_s <= 0.0:
            raise ValueError(f"deadline_s must be positive, received {deadline_s}")
        self.deadline_s = deadline_s

    @classmethod
    def configured(cls, **options: object) -> Policy:
        own: dict[str, Any] = {"deadline_s": options.pop("deadline_s")} if "deadline_s" in options else {}
        return cls(PolicyConfig(**options), **own)  # type: ignore[arg-type]

    def decide(self, problem: Problem) -> Schedule:
        return super().decide(replace(problem, deadline_s=self.deadline_s))


class OraclePolicy(ExactPolicy):
    """Ours, with the truth for a forecast: who asks it passes the one future that will come true (`sees_truth`).

    It knows the link and the lines at the servers over the coming frame, but not which frame's messages will be lost,
    nor anything of later frames.
    """

    name = "oracle"
    sees_truth = True
