"""When a serial resource is taken: the reservations of all frames in flight."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable


class Calendar:
    """Disjoint reservations (start, end) in order of time."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []

    def fit(self, release_s: float, finish: Callable[[float], float]) -> tuple[float, float]:
        """(start, end) in the earliest gap from release_s on that holds a job; finish(start) is when it would end."""
        start_s = release_s
        for taken_start_s, taken_end_s in self._taken:
            if taken_end_s <= start_s:
                continue
            end_s = finish(start_s)
            if end_s <= taken_start_s:
                return start_s, end_s
            start_s = taken_end_s
        return start_s, finish(start_s)

    def add(self, start_s: float, end_s: float) -> None:
        if end_s > start_s:
            insort(self._taken, (start_s, end_s))

    def free_at(self, time_s: float) -> float:
        """The first moment from time_s on that nobody has reserved."""
        for start_s, end_s in self._taken:
            if start_s <= time_s < end_s:
                time_s = end_s
        return time_s

    def forget_before(self, time_s: float) -> None:
        self._taken = [taken for taken in self._taken if taken[1] > time_s]
