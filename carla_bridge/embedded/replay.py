"""Replaying a recording: its vehicles and walkers are moved along, and nothing else is touched."""

from __future__ import annotations

import bisect
from collections.abc import Callable

import numpy as np

from carla_bridge.embedded.actors import Actor, ActorKind, compose
from carla_bridge.embedded.recordings import MOVERS, RecordedActor, Recording
from carla_bridge.embedded.types import Pose
from carla_bridge.embedded.world import World

Spawn = Callable[[RecordedActor], "Actor | None"]  # None: there is no room


class Replay:
    """One recording on its way through the world."""

    def __init__(
        self,
        recording: Recording,
        world: World,
        spawn: Spawn,
        *,
        start_s: float,
        duration_s: float,
        follow: int = 0,
        offset: Pose,
        ignore_hero: bool = False,
    ) -> None:
        """start_s: negative counts from the end; duration_s 0: to the end. follow: recorded id, for the spectator."""
        self._recording, self.world, self._spawn = recording, world, spawn
        self._times = [frame.elapsed_s for frame in recording.frames]
        end_s = recording.duration_s
        self.begin_s = min(max(0.0, start_s if start_s >= 0.0 else end_s + start_s), end_s)
        self.end_s = end_s if duration_s <= 0.0 else min(end_s, self.begin_s + duration_s)
        self._now_s = self.begin_s
        self._follow, self._offset = follow, offset
        self._ignore_hero = ignore_hero
        self._next_frame = 0  # whose comings and goings are still to be played
        self._ours: dict[int, int] = {}  # recorded id -> id here
        self.left_out = 0
        self.time_factor = 1.0
        self._show()

    @property
    def over(self) -> bool:
        return self._now_s >= self.end_s

    def advance(self, delta_s: float) -> None:
        """Called before each step of the world."""
        self._now_s = min(self.end_s, self._now_s + delta_s * self.time_factor)
        self._show()

    def stop(self, *, keep_actors: bool) -> None:
        """Give the actors back to physics, or take them away."""
        for actor_id in self._ours.values():
            if actor_id in self.world.actors:
                if keep_actors:
                    self.world.set_simulate_physics(actor_id, True)
                else:
                    self.world.destroy(actor_id)
        self._ours = {}

    def _show(self) -> None:
        frames = self._recording.frames
        last = bisect.bisect_right(self._times, self._now_s + 1e-9) - 1
        while self._next_frame <= last:
            frame = frames[self._next_frame]
            for actor in frame.added:
                self._enter(actor)
            for actor_id in frame.removed:
                self._leave(actor_id)
            self._next_frame += 1
        if last < 0:
            return
        before, after = frames[last], frames[min(last + 1, len(frames) - 1)]
        span_s = after.elapsed_s - before.elapsed_s
        part = (self._now_s - before.elapsed_s) / span_s if span_s > 0.0 else 0.0
        later = {int(row["id"]): row["pose"] for row in after.moving}
        for row in before.moving:
            recorded = int(row["id"])
            if recorded in self._ours:
                pose = _between(row["pose"], later.get(recorded, row["pose"]), part)
                self._place(self._ours[recorded], pose)
                if recorded == self._follow:
                    self.world.set_pose(self.world.spectator_id, compose(pose, self._offset))

    def _place(self, actor_id: int, pose: Pose) -> None:
        if actor_id in self.world.actors:
            self.world.set_pose(actor_id, pose)

    def _enter(self, recorded: RecordedActor) -> None:
        if recorded.kind not in MOVERS or self._ignored(recorded):
            return
        here = self.world.actors.get(recorded.id)
        actor = here if here is not None and here.type_id == recorded.type_id else self._spawn(recorded)
        if actor is None:
            self.left_out += 1
            return
        self._ours[recorded.id] = actor.id
        self.world.set_simulate_physics(actor.id, False)

    def _leave(self, recorded_id: int) -> None:
        actor_id = self._ours.pop(recorded_id, None)
        if actor_id is not None:
            self.world.destroy(actor_id)

    def _ignored(self, recorded: RecordedActor) -> bool:
        hero = recorded.kind is ActorKind.VEHICLE and recorded.attributes.get("role_name", (0, ""))[1] == "hero"
        return self._ignore_hero and hero


def _between(a: np.ndarray, b: np.ndarray, part: float) -> Pose:
    """Linear in place, the short way round in angles."""
    turn = (b[3:].astype(float) - a[3:] + 180.0) % 360.0 - 180.0
    place = a[:3] + part * (b[:3].astype(float) - a[:3])
    return Pose(*place.tolist(), *(a[3:] + part * turn).tolist())
