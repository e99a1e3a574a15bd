"""What sensors made of rays have in common."""

from __future__ import annotations

from typing import Protocol

from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.rays import RayFrame, RayScene
from carla_bridge.embedded.rpc import CarlaError
from carla_bridge.embedded.stream import Message, Stream

MAX_POINTS_PER_SECOND = 10_000_000
MAX_RANGE_M = 10_000.0


class Echo(Protocol):
    """One reading still to be taken: everything a worker thread needs, nothing that the next step changes."""

    @property
    def stream(self) -> Stream: ...

    def take(self, rays: RayScene, frame: RayFrame) -> Message | None:
        """The message; None when there is nothing to say."""


class Attributes:
    """Reads numbers from an actor's attributes; CarlaError for those out of bounds."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number in low..high."""
        value = float(self._actor.attribute(name, str(default)))
        if not low <= value <= high:
            raise CarlaError(f"{self._actor.type_id}: {name} must lie between {low:g} and {high:g}, received {value:g}")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """An integer in low..high.."""
        value = int(self._actor.attribute(name, str(default)))
        if not low <= value <= high:
            raise CarlaError(f"{self._actor.type_id}: {name} must lie between {low} and {high}, received {value}")
        return value

    def seed(self, name: str = "noise_seed") -> int:
        return int(self._actor.attribute(name, "0")) & 0xFFFFFFFF

    def flag(self, name: str, default: bool) -> bool:
        return self._actor.attribute(name, str(default)).strip().lower() in ("true", "1")
