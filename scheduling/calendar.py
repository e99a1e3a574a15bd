"""When a serial resource is taken: the reservations of all frames in flight."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable


class Calendar:
    """Disjoint reservations (start, end) in order of time; reservations that touch are one."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []

    def __len__(self) -> int:
        return len(self._taken)

    def fit(self, release_s: float, finish: Callable[[float], float]) -> tuple[float, float]:
        """(start, end) in the earliest gap from release_s on that holds a job; finish(start) is when it would end."""
        taken = self._taken
        start_s = release_s
        if taken and taken[-1][1] > release_s:
            for taken_start_s, taken_end_s in taken:
                if taken_end_s <= start_s:
                    continue
                if taken_start_s > start_s:
                    end_s = finish(start_s)
                    if end_s <= taken_start_s:
                        return start_s, end_s
                start_s = taken_end_s
        return start_s, finish(start_s)

    def add(self, start_s: float, end_s: float) -> None:
        if end_s <= start_s:
            return
        taken = self._taken
        if not taken or start_s > taken[-1][1]:  # mostly it is the last one
            taken.append((start_s, end_s))
            return
        if start_s == taken[-1][1]:
            taken[-1] = (taken[-1][0], end_s)
            return
        i = bisect_left(taken, (start_s, end_s))
        if i < len(taken) and taken[i][0] == end_s:
            end_s = taken.pop(i)[1]
        if i > 0 and taken[i - 1][1] == start_s:
            i -= 1
            start_s = taken.pop(i)[0]
        taken.insert(i, (start_s, end_s))

    def is_free_from(self, time_s: float) -> bool:
        """Whether nobody has reserved anything from then on."""
        return not self._taken or self._taken[-1][1] <= time_s

    def free_at(self, time_s: float) -> float:
        """The first moment from time_s on that nobody has reserved."""
        for start_s, end_s in self._taken:
            if start_s > time_s:
                break
            if time_s < end_s:
                time_s = end_s
        return time_s

    def forget_before(self, time_s: float) -> None:
        taken = self._taken
        while taken and taken[0][1] <= time_s:
            del taken[0]
