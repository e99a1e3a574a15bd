"""What every scheduling policy offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from scheduling.preferences import PolicyConfig
from scheduling.problem import Problem
from scheduling.types import Schedule


class Policy(ABC):
    """`decide` sees nothing but the problem; what it remembers between calls are caches only."""

    name: str
    sees_truth = False  # whether its problems' forecasts have to be what will happen (`true_forecast`)

    def __init__(self, config: PolicyConfig | None = None) -> None:
        self.config = config or PolicyConfig()

    @classmethod
    def configured(cls, **options: object) -> Policy:
        return cls(PolicyConfig(**options))  # type: ignore[arg-type]

    @abstractmethod
    def decide(self, problem: Problem) -> Schedule:
        """Where each stage of the frame just captured should run."""
