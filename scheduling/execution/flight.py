"""One frame on its way: when each of its stages runs and when each of its tensors arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scheduling.calendar import Calendar
from scheduling.execution.cargo import Cargo
from scheduling.execution.plan import Plan
from scheduling.link.base import LinkTrace
from scheduling.types import LinkState, Place

NEVER = float("inf")
CAR, EDGE, CLOUD = int(Place.CAR), int(Place.EDGE), int(Place.CLOUD)
UPLINK, DOWNLINK, WAN_UP, WAN_DOWN = 3, 4, 5, 6  # behind the three tiers
RESOURCES = ("car", "edge", "cloud", "uplink", "downlink", "wan_up", "wan_down")
SERIAL = 5  # the first five serve one job at a time
new = tuple.__new__  # a named tuple's own constructor is a Python function, and there are dozens of pieces a frame


class Piece(NamedTuple):
    """A span in the making. joules: of the car's accelerator."""

    name: str
    resource: int
    start_s: float
    end_s: float
    bytes: int = 0
    joules: float = 0.0


class Table(NamedTuple):
    """Stages of a plan on one computer at one precision and clock: seconds alone on it, joules."""

    seconds: tuple[float, ...]
    joules: tuple[float, ...]


class Superseded(Exception):
    """A frame's work would have to wait so long that the next frame takes its place."""


@dataclass(frozen=True)
class World:
    """What all frames share. slowdown[tier](start): factor on the time of a job that starts then."""

    calendars: tuple[Calendar, ...]
    slowdown: tuple[Callable[[float], float], ...]
    line: tuple[Callable[[float], float], ...]  # [tier](arrival): wait behind other cars' jobs
    learn: Callable[[Plan, int, str, int], None]  # (plan, tensor, codec, payload bytes)


class Flight:
    def __init__(
        self,
        world: World,
        plan: Plan,
        place: Sequence[int],
        tables: Sequence[Table],
        homes: dict[int, int],
        codecs: dict[str, str],
        trace: LinkTrace,
        cargo: Cargo,
        begin_s: float,
        free_s: Sequence[float],
        patience_s: float,
        give_up_s: float,
        draw: Callable[[], float],
    ) -> None:
        """place, tables: by stage. homes: state -> tier. begin_s: when the decision is on the car. free_s: by serial
        resource. patience_s: how long work waits for earlier frames before it is superseded. give_up_s: how long after
        its beginning a transfer without end is given up. draw(): uniform in [0, 1), for loss."""
        self.world, self.plan, self.place, self.tables = world, plan, place, tables
        self.codecs, self.trace, self.cargo, self.begin_s = codecs, trace, cargo, begin_s
        self.patience_s, self.give_up_s, self.draw = patience_s, give_up_s, draw
        self.limit_s = NEVER  # at which another answer is there: nothing starts or counts from then on
        self.car_limit_s = NEVER  # from which on the car works for the fallback
        self.home = [CAR if i < 0 else place[i] for i in plan.maker]
        for t, home in homes.items():
            self.home[t] = home
        self.known_s: list[dict[int, float]] = [{}, {}, {}]  # [tier]: tensor -> since when it is there
        for t in plan.sources:
            self.known_s[self.home[t]][t] = begin_s
        self.free_s, self.worked_s = list(free_s), [begin_s] * SERIAL
        self.pieces: list[Piece] = []
        self.lost: bool | None = None
        self._payload: dict[int, int] = {}
        self._uplinked_s: dict[int, float] = {}
        self._across_wan_s: dict[int, float] = {}

    def run_critical(self) -> float:
        """When all sinks are on the car; NEVER if that is not before the limit."""
        for i in self.plan.critical:
            self._run(i)
        ready_s = max([self._at(t, CAR) for t in self.plan.sinks])
        return ready_s if ready_s < self.limit_s else NEVER

    def run_auxiliary(self, answer_s: float) -> None:
        self.limit_s = self.car_limit_s = NEVER
        self.free_s = [max(free_s, answer_s) for free_s in self.free_s]
        self.worked_s = [max(worked_s, answer_s) for worked_s in self.worked_s]
        for i in self.plan.auxiliary:
            try:
                self._run(i)
            except Superseded:
                self._fail(i)

    def made_s(self, tensor: int) -> float:
        """When its maker had made it, wherever; NEVER if it has not."""
        return self.known_s[self.home[tensor]].get(tensor, NEVER)

    def _run(self, i: int) -> None:
        """Run one stage at its tier, bringing its inputs there in order."""
        tier = self.place[i]
        known_s, ready_s, release_s = self.known_s[tier], self.begin_s, self.free_s[tier]
        for t in self.plan.inputs[i]:
            at_s = known_s.get(t)
            if at_s is None:
                at_s = known_s[t] = self._bring(t, tier)
            if at_s > ready_s:
                ready_s = at_s
        # bringing the inputs takes the radio, never this computer
        if ready_s > release_s:
            release_s = ready_s
        if release_s >= self.limit_s or ready_s == NEVER:
            return self._fail(i)
        table, slowdown = self.tables[i], self.world.slowdown[tier]
        alone_s, joules = table.seconds[i], table.joules[i] if tier == CAR else 0.0
        calendar = self.world.calendars[tier]
        if calendar.is_free_from(release_s):
            start_s, end_s = release_s, release_s + alone_s * slowdown(release_s)
        else:
            start_s, end_s = calendar.fit(release_s, lambda at_s: at_s + alone_s * slowdown(at_s))
        if start_s - max(ready_s, self.worked_s[tier]) >= self.patience_s:
            raise Superseded
        name = self.plan.stages[i].name
        self.free_s[tier] = self.worked_s[tier] = end_s
        if tier == CAR and end_s > self.car_limit_s:
            if start_s < self.car_limit_s:
                self.pieces.append(cut(Piece(name, CAR, start_s, end_s, 0, joules), self.car_limit_s, self.trace))
            return self._fail(i)
        self.pieces.append(new(Piece, (name, tier, start_s, end_s, 0, joules)))
        if end_s >= self.limit_s:
            return self._fail(i)
        self.cargo.compute(i, tier)
        for t in self.plan.outputs[i]:
            known_s[t] = end_s
        return None

    def _fail(self, i: int) -> None:
        for t in self.plan.outputs[i]:
            self.known_s[self.place[i]][t] = NEVER

    def _at(self, t: int, tier: int) -> float:
        """When the tensor is known at that tier; sends it there if it is not."""
        at_s = self.known_s[tier].get(t)
        if at_s is None:
            at_s = self.known_s[tier][t] = self._bring(t, tier)
        return at_s

    def _bring(self, t: int, tier: int) -> float:
        home = self.home[t]
        codec, encode_s, decode_s = self.plan.coding(t, self.codecs.get(self.plan.tensors[t], "raw"))
        encoded_s = self.known_s[home][t] + encode_s
        if encoded_s >= self.limit_s or encoded_s == NEVER:
            return NEVER
        size = self._payload.get(t)
        if size is None:
            size = self._payload[t] = self.cargo.weigh(t, home, codec)
            self.world.learn(self.plan, t, codec.name, size)
        arrival_s = self._carry(t, home, tier, encoded_s, size)
        if arrival_s == NEVER:
            return NEVER
        self.cargo.deliver(t, home, tier, codec)
        return arrival_s + decode_s

    def _carry(self, t: int, home: int, tier: int, encoded_s: float, size: int) -> float:
        """When the last byte of an encoded tensor is at that tier and, at a server, first in line."""
        if tier != CAR:
            if home == CAR:
                there_s = self._uplinked_s.get(t)
                if there_s is None:
                    there_s = self._uplinked_s[t] = self._radio(t, UPLINK, encoded_s, size)
                if tier == CLOUD:
                    there_s = self._wan(t, WAN_UP, there_s, size)
            else:
                there_s = self._wan(t, WAN_UP if tier == CLOUD else WAN_DOWN, encoded_s, size)
            return there_s if there_s == NEVER else there_s + self.world.line[tier](there_s)
        return self._radio(t, DOWNLINK, encoded_s if home == EDGE else self._wan(t, WAN_DOWN, encoded_s, size), size)

    def _radio(self, t: int, resource: int, release_s: float, size: int) -> float:
        """Over the air, half a round trip included."""
        trace, up = self.trace, resource == UPLINK
        release_s = max(release_s, self.free_s[resource])
        if release_s >= self.limit_s or release_s == NEVER:
            return NEVER
        opens_s = link_up_from(trace, release_s, up)
        if opens_s == NEVER and self.patience_s == NEVER:
            return NEVER  # it stands in line for a link that never comes back
        if opens_s - release_s >= self.patience_s:
            raise Superseded
        calendar = self.world.calendars[resource]
        if calendar.is_free_from(opens_s):
            start_s, end_s = opens_s, trace.finish(opens_s, size, up)
        else:
            start_s, end_s = calendar.fit(opens_s, lambda start_s: trace.finish(start_s, size, up))
        if start_s - release_s >= self.patience_s:
            raise Superseded
        if start_s >= self.limit_s:
            return NEVER
        name = self.plan.tensors[t]
        if self.lost is None:
            self.lost = self.draw() < trace.at(start_s).loss
        if end_s == NEVER and self.limit_s == NEVER:
            self.pieces.append(cut(Piece(name, resource, start_s, end_s, size), start_s + self.give_up_s, trace))
            self.free_s[resource] = start_s + self.give_up_s
            return NEVER
        self.pieces.append(new(Piece, (name, resource, start_s, end_s, size, 0.0)))
        self.free_s[resource] = end_s
        if self.lost:
            return NEVER
        state = trace.at(end_s)
        if not state.available:  # the last bit left while it was up
            state = trace.at(start_s)
        return end_s + 0.5 * state.rtt_s

    def _wan(self, t: int, resource: int, release_s: float, size: int) -> float:
        """Between edge and cloud, half a round trip included."""
        far_s = self._across_wan_s.get(t)
        if far_s is None:
            far_s = NEVER
            if release_s < self.limit_s and release_s != NEVER:
                state = self.trace.at(release_s)
                if state.wan_bps > 0.0:
                    end_s = release_s + 8.0 * size / state.wan_bps
                    self.pieces.append(Piece(self.plan.tensors[t], resource, release_s, end_s, size))
                    far_s = end_s + 0.5 * state.wan_rtt_s
            self._across_wan_s[t] = far_s
        return far_s


def link_up_from(trace: LinkTrace, time_s: float, up: bool) -> float:
    """The first moment from then on at which something can be sent; NEVER if there is none in the trace."""
    state = trace.at(time_s)
    if _is_up(state, up):
        return time_s
    for start_s, state in zip(trace.starts_s, trace.states, strict=True):
        if start_s > time_s and _is_up(state, up):
            return start_s
    return NEVER


def _is_up(state: LinkState, up: bool) -> bool:
    return state.available and (state.up_bps if up else state.down_bps) > 0.0


def cut(piece: Piece, at_s: float, trace: LinkTrace) -> Piece:
    """What remains of a piece that has started by then when it is cancelled at that time."""
    name, resource, start_s, end_s, size, joules = piece
    if end_s <= at_s:
        return piece
    if resource in (UPLINK, DOWNLINK):
        size = min(size, trace.bytes_between(start_s, at_s, resource == UPLINK))
    elif size:
        size = int(size * (at_s - start_s) / (end_s - start_s))
    return Piece(name, resource, start_s, at_s, size, joules * (at_s - start_s) / (end_s - start_s))


def cut_all(pieces: Sequence[Piece], at_s: float, trace: LinkTrace) -> list[Piece]:
    return [cut(piece, at_s, trace) for piece in pieces if piece.start_s < at_s or piece.end_s <= at_s]
