"""Where the recurrent tensors lie, version by version: frames overlap, so the newest may not exist yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scheduling.types import Place


@dataclass(frozen=True)
class Version:
    order: int  # of the frame that made it
    made_s: float
    home: Place
    value: Any  # None in cost-only mode


class Memory:
    """All versions of the states that a frame, now or later, may still start from."""

    def __init__(self) -> None:
        self._newest: dict[str, list[Version]] = {}
        self._own: dict[str, list[Version]] = {}  # of the car

    def keep(self, state: str, version: Version) -> None:
        """A version that becomes the memory; made on the car, it becomes the car's own as well."""
        self._newest.setdefault(state, []).append(version)
        if version.home == Place.CAR:
            self._own.setdefault(state, []).append(version)

    def newest(self, state: str, now_s: float) -> Version | None:
        """What exists at that moment; None before the first."""
        return _pick(self._newest.get(state), now_s)

    def own(self, state: str, now_s: float) -> Version | None:
        return _pick(self._own.get(state), now_s)

    def homes(self, states: Iterable[str], now_s: float) -> dict[str, Place]:
        found = ((state, self.newest(state, now_s)) for state in states)
        return {state: Place.CAR if version is None else version.home for state, version in found}


def _pick(versions: list[Version] | None, now_s: float) -> Version | None:
    """Of those made by now the one that saw the world last. Forgets those that can never be picked again."""
    if not versions:
        return None
    best = None
    for version in versions:  # the last kept of a frame wins: the fallback's answer over what its main run left behind
        if version.made_s <= now_s and (best is None or version.order >= best.order):
            best = version
    if best is not None and len(versions) > 1:
        versions[:] = [v for v in versions if v.order >= best.order]
    return best
