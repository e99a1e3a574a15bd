"""Traffic lights: one clock for each junction, and which light a vehicle stands at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor, ActorKind, LightState, LightStatus, Shape, compose, relative_to
from carla_bridge.embedded.types import Box, Label, Pose, TrafficLightPlacement

F64 = npt.NDArray[np.float64]

FACING_COSINE = 0.5  # a car obeys a lamp that it sees within 60 degrees of head-on


class LightGroup:
    """The lights of one junction. Each phase in turn is green, yellow and red; all are red in between.

    The durations of a phase are those of its first light. A light that was set by hand keeps its state until the
    clock moves it again.
    """

    def __init__(self, lights: Sequence[LightStatus], offset: float) -> None:
        """offset: where in the cycle the group starts, 0..1 of its length."""
        self.lights = list(lights)
        self.phases = sorted({light.phase for light in lights})
        self.offset = offset
        self.position = 0  # index into phases
        self.stage = LightState.GREEN  # of the current phase
        self.stage_elapsed_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Back to where the group started the episode."""
        self.position, self.stage, self.stage_elapsed_s = 0, LightState.GREEN, 0.0
        self._show(restart_clocks=True)
        cycle = sum(self._duration(p, s) for p in range(len(self.phases)) for s in _STAGES)
        self._advance(self.offset * cycle)

    def step(self, delta_s: float) -> None:
        if any(light.frozen for light in self.lights):
            return
        self._advance(delta_s)

    def _advance(self, delta_s: float) -> None:
        left = delta_s
        while True:
            # A stage ends at the tick that reaches its duration; the margin absorbs the rounding of summed ticks.
            remaining = self._duration(self.position, self.stage) - self.stage_elapsed_s
            if remaining > left + 1e-9:
                break
            remaining = max(0.0, remaining)
            self._age(remaining)
            left = max(0.0, left - remaining)
            self.stage_elapsed_s = 0.0
            if self.stage == LightState.RED:
                self.position = (self.position + 1) % len(self.phases)
            self.stage = _NEXT[self.stage]
            self._show(restart_clocks=False)
            if left <= 1e-9:
                left = 0.0
                break
        self._age(left)
        self.stage_elapsed_s += left

    def _age(self, seconds: float) -> None:
        for light in self.lights:
            light.elapsed_s += seconds

    def _duration(self, position: int, stage: LightState) -> float:
        first = next(light for light in self.lights if light.phase == self.phases[position])
        seconds = {LightState.GREEN: first.green_s, LightState.YELLOW: first.yellow_s, LightState.RED: first.red_s}
        # A floor keeps the clock moving if a client sets all three to nothing.
        return max(0.05, seconds[stage])

    def _show(self, *, restart_clocks: bool) -> None:
        for light in self.lights:
            current = light.phase == self.phases[self.position]
            state = self.stage if current else LightState.RED
            if restart_clocks or state != light.state:
                light.state, light.elapsed_s = state, 0.0


_STAGES = (LightState.GREEN, LightState.YELLOW, LightState.RED)
_NEXT = {LightState.GREEN: LightState.YELLOW, LightState.YELLOW: LightState.RED, LightState.RED: LightState.GREEN}


def build_groups(lights: Sequence[LightStatus], seed: int) -> list[LightGroup]:
    """One controller for each group, started at places of their cycles drawn from the seed."""
    groups = sorted({light.group for light in lights})
    offsets = np.random.default_rng(seed).random(len(groups))
    return [
        LightGroup([light for light in lights if light.group == group], float(offset))
        for group, offset in zip(groups, offsets, strict=True)
    ]


class LightTriggers:
    """Finds the light that governs a vehicle: the one whose trigger volume holds the middle of its front."""

    def __init__(self, placements: Sequence[TrafficLightPlacement]) -> None:
        columns = []
        for placement in placements:
            centre, extent = placement.trigger.centre, placement.trigger.extent
            # The governed traffic drives towards the lamp, so against the direction in which it shines.
            yaw, lane = np.radians(centre.yaw), np.radians(placement.head.yaw + 180.0)
            columns.append(
                [centre.x, centre.y, np.cos(yaw), np.sin(yaw), extent[0], extent[1], np.cos(lane), np.sin(lane)]
            )
        self._columns = np.array(columns, np.float64).reshape(-1, 8).T

    def governing(self, x: F64, y: F64, yaw: F64, front_m: F64) -> npt.NDArray[np.int64]:
        """(V,) index of the light that each vehicle stands at, -1 for none; yaw in radians."""
        if self._columns.shape[1] == 0:
            return np.full(len(x), -1)
        trigger_x, trigger_y, cosine, sine, ex, ey, lane_x, lane_y = self._columns
        cos_yaw, sin_yaw = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
        dx = x[:, None] + front_m[:, None] * cos_yaw - trigger_x
        dy = y[:, None] + front_m[:, None] * sin_yaw - trigger_y
        inside = (np.abs(dx * cosine + dy * sine) <= ex) & (np.abs(dy * cosine - dx * sine) <= ey)
        inside &= cos_yaw * lane_x + sin_yaw * lane_y >= FACING_COSINE
        return np.where(inside.any(axis=1), inside.argmax(axis=1), -1)


class LightBoard:
    """All traffic lights of the town, as actors and as the clocks that switch them."""

    def __init__(self, placements: Sequence[TrafficLightPlacement], first_id: int, seed: int) -> None:
        self.placements = placements
        self.statuses: list[LightStatus] = []
        self.actors: list[Actor] = []
        for number, placement in enumerate(placements):
            pole_index = sum(status.group == placement.group for status in self.statuses)
            status = LightStatus(placement.signal_id, pole_index, placement.group, placement.phase)
            trigger = relative_to(placement.pole, placement.trigger.centre)
            self.statuses.append(status)
            self.actors.append(
                Actor(
                    first_id + number,
                    "traffic.traffic_light",
                    ActorKind.TRAFFIC_LIGHT,
                    placement.pole,
                    extent=placement.trigger.extent,
                    box_centre=(trigger.x, trigger.y, trigger.z),
                    box_rotation=(trigger.pitch, trigger.yaw, trigger.roll),
                    semantic_tags=(int(Label.TRAFFIC_LIGHT),),
                    light=status,
                )
            )
        self.triggers = LightTriggers(placements)
        self._groups = build_groups(self.statuses, seed)

    def step(self, delta_s: float) -> None:
        for group in self._groups:
            group.step(delta_s)

    def freeze(self, frozen: bool) -> None:
        for status in self.statuses:
            status.frozen = frozen

    def reset(self, only: LightStatus | None = None) -> None:
        """All groups, or that of one light, back to where they started the episode."""
        for group in self._groups:
            if only is None or any(status is only for status in group.lights):
                group.reset()

    def group_of(self, status: LightStatus) -> list[int]:
        """Actor ids of the lights of a junction."""
        return [actor.id for actor in self.actors if actor.light is not None and actor.light.group == status.group]

    def head_box(self, index: int, shape: Shape) -> Box:
        """World box of a lamp housing whose mesh has this bounding box."""
        return Box(compose(self.placements[index].head, Pose(*shape.centre)), shape.extent, Label.TRAFFIC_LIGHT)
