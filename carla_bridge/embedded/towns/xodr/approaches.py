"""Who obeys a signal: from <signal> and <signalReference> elements to the lanes that lead into a junction.

Validity tells the lanes where a file gives it; files exported by RoadRunner (CARLA's own towns) give the physical
signal a validity of lane 0 and refer to it from the connecting roads inside the junction, with an orientation that
means the opposite of the standard's, so the driving direction of the lanes named is what counts there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely

from carla_bridge.embedded.towns.xodr.model import Array, Network, Road, Signal
from carla_bridge.embedded.towns.xodr.strips import DRIVING, SampledRoad, Strip, resample

LIGHT_TYPES = frozenset(["1000001", "1000008", "1000009", "1000010", "1000011", "1000020"])
FOLLOW_M = 90.0  # a signal may stand this far before its junction, over several roads
HOPS = 4


@dataclass(frozen=True)
class Approach:
    """Lanes of one road with a common direction, up to a stop."""

    road: str
    lanes: tuple[int, ...]
    at_end: bool  # they drive towards the road's end
    junction: str | None  # what they lead into; None: the signal stands on its own
    stop_s: float | None = None  # where to stop when it is not the road's end


@dataclass(frozen=True)
class LaneEnd:
    road: str
    lane: int
    at_end: bool


def is_light(signal: Signal) -> bool:
    return signal.dynamic and signal.type.partition(".")[0] in LIGHT_TYPES


def _section_at(road: Road, s: float) -> int:
    return max((i for i, section in enumerate(road.sections) if section.s <= s + 1e-6), default=0)


def _follow(road: Road, section: int, lane_id: int) -> tuple[LaneEnd | None, float]:
    """Along a lane to the end of its road; the lane id changes at sections. Also how far that is."""
    at_end = road.forwards(lane_id)
    rest = road.sections[section:] if at_end else road.sections[section::-1]
    for k, part in enumerate(rest):
        lane = part.lane(lane_id)
        if lane is None or lane.kind not in DRIVING:
            return None, 0.0
        ahead = lane.successor if at_end else lane.predecessor
        if k + 1 < len(rest):
            lane_id = ahead if ahead is not None else lane_id
    return LaneEnd(road.id, lane_id, at_end), road.length


def _next(network: Network, end: LaneEnd) -> tuple[Road, int, int] | str | None:
    """What lies beyond a lane's end: (road, section, lane), a junction's id, or nothing."""
    road = network.road(end.road)
    link = None if road is None else road.successor if end.at_end else road.predecessor
    if road is None or link is None:
        return None
    if link.to_junction:
        return link.id
    lane = road.sections[-1 if end.at_end else 0].lane(end.lane)
    beyond = network.road(link.id)
    target = None if lane is None else lane.successor if end.at_end else lane.predecessor
    if beyond is None or target is None:
        return None
    if beyond.in_junction:
        return beyond.junction
    return beyond, 0 if link.contact == "start" else len(beyond.sections) - 1, target


def into_junction(network: Network, road: Road, s: float, lane_id: int) -> tuple[LaneEnd, str] | None:
    """The end of the lane that enters the next junction ahead of s, if one is near enough."""
    here, section, lane = road, _section_at(road, s), lane_id
    driven = -s if road.forwards(lane_id) else s - road.length
    for _ in range(HOPS):
        end, length = _follow(here, section, lane)
        if end is None:
            return None
        driven += length
        beyond = _next(network, end)
        if isinstance(beyond, str):
            return (end, beyond) if driven < FOLLOW_M else None
        if beyond is None or driven > FOLLOW_M:
            return None
        here, section, lane = beyond
    return None


def before_connector(network: Network, road: Road, lane_id: int) -> LaneEnd | None:
    """The lane that leads into a lane of a connecting road."""
    forwards = road.forwards(lane_id)
    link = road.predecessor if forwards else road.successor
    lane = road.sections[0 if forwards else -1].lane(lane_id)
    if link is None or lane is None or link.to_junction:
        return None
    incoming = network.road(link.id)
    target = lane.predecessor if forwards else lane.successor
    if target is None:
        for junction in network.junctions:
            if junction.id == road.junction:
                pairs = [p for c in junction.connections if c.connecting == road.id for p in c.lanes]
                target = next((a for a, b in pairs if b == lane_id), None)
    at_end = link.contact == "end"
    if incoming is None or target is None or incoming.forwards(target) != at_end:
        return None
    section = incoming.sections[-1 if at_end else 0].lane(target)
    return LaneEnd(incoming.id, target, at_end) if section is not None and section.kind in DRIVING else None


def _named_lanes(road: Road, signal: Signal) -> list[int]:
    """Driving lanes that a signal or reference holds for; none where its validity is lane 0."""
    section = road.sections[_section_at(road, min(max(signal.s, 0.0), road.length))]
    lanes = [k.id for k in section.lanes if k.id and k.kind in DRIVING]
    if signal.validity:
        lanes = [k for k in lanes if any(low <= k <= high for low, high in signal.validity)]
        if len({road.forwards(k) for k in lanes}) < 2:
            return lanes
    if signal.orientation in ("+", "-"):
        lanes = [k for k in lanes if road.forwards(k) == (signal.orientation == "+")]
    return lanes


def _ends(network: Network, signal: Signal, lanes: list[int]) -> list[tuple[LaneEnd, str | None, float | None]]:
    road = network.road(signal.road)
    found: list[tuple[LaneEnd, str | None, float | None]] = []
    if road is None:
        return found
    for lane in lanes:
        if road.in_junction:
            end = before_connector(network, road, lane)
            if end is not None:
                found.append((end, road.junction, None))
        else:
            ahead = into_junction(network, road, signal.s, lane)
            if ahead is not None:
                found.append((*ahead, None))
            else:
                found.append((LaneEnd(road.id, lane, road.forwards(lane)), None, signal.s))
    return found


def governed(network: Network, signal: Signal, references: list[Signal], *, to_junction: bool) -> Approach | None:
    """The approach that a signal rules. to_junction: it must lead into one (lights, stop and yield signs)."""
    road = network.road(signal.road)
    if road is None:
        return None
    ends = _ends(network, signal, _named_lanes(road, signal))
    for reference in references:
        other = network.road(reference.road)
        if other is not None:
            ends += _ends(network, reference, _named_lanes(other, reference))
    if to_junction and any(junction is not None for _, junction, _ in ends):
        ends = [e for e in ends if e[1] is not None]
    if not ends and signal.validity:  # valid for lane 0 and nobody refers to it: it stands on its lanes' side
        blank = Signal(signal.id, signal.road, signal.s, signal.t, orientation=signal.orientation)
        section = road.sections[_section_at(road, min(max(signal.s, 0.0), road.length))]
        beside = [k.id for k in section.lanes if k.id * signal.t > 0.0 and k.kind in DRIVING]
        ends = _ends(network, blank, beside or _named_lanes(road, blank))
    if not ends:
        return None
    votes: dict[tuple[str, bool, str | None], set[int]] = defaultdict(set)
    stops: dict[tuple[str, bool, str | None], float | None] = {}
    for end, junction, stop in ends:
        key = (end.road, end.at_end, junction)
        votes[key].add(end.lane)
        stops.setdefault(key, stop)
    best = max(votes, key=lambda key: (len(votes[key]), key[0], key[1]))
    return Approach(best[0], tuple(sorted(votes[best])), best[1], best[2], stops[best])


@dataclass(frozen=True)
class Frame:
    """Where an approach stops, in the plane: origin in the middle of its lanes where they end."""

    origin: Array  # (3,)
    heading: float  # of travel
    half_width: float
    straight_m: float  # how far back the lanes run straight enough for one box

    def at(self, ahead: float, left: float) -> tuple[float, float]:
        c, s = np.cos(self.heading), np.sin(self.heading)
        return float(self.origin[0] + ahead * c - left * s), float(self.origin[1] + ahead * s + left * c)

    def local(self, x: float, y: float) -> tuple[float, float]:
        """(ahead, left)"""
        dx, dy = x - self.origin[0], y - self.origin[1]
        c, s = np.cos(self.heading), np.sin(self.heading)
        return float(dx * c + dy * s), float(dy * c - dx * s)


def lane_strips(sampled: SampledRoad, lane_id: int) -> list[Strip]:
    return [k for k in sampled.strips if k.lane.id == lane_id and k.drivable]


def frame_of(sampled: SampledRoad, approach: Approach, longest_m: float = 12.0) -> Frame | None:
    """The frame at the end of the governed lanes (or at the signal, where there is no junction)."""
    road = sampled.road
    if approach.stop_s is not None:
        stop = min(max(approach.stop_s, 0.0), road.length)
    else:
        stop = road.length if approach.at_end else 0.0
    edges = []
    for lane in approach.lanes:
        for strip in lane_strips(sampled, lane):
            if strip.s[0] - 0.01 <= stop <= strip.s[-1] + 0.01:
                edges.append(
                    (strip, resample(strip.s, np.column_stack([strip.right, strip.left]), np.array([stop]))[0])
                )
                break
    if not edges:
        return None
    rights, lefts = np.array([e[:3] for _, e in edges]), np.array([e[3:] for _, e in edges])
    pose = sampled.line.poses(np.array([stop]))[0]
    heading = float(pose[2]) + (0.0 if approach.at_end else np.pi)
    across = np.array([-np.sin(pose[2]), np.cos(pose[2])])
    right, left = rights[np.argmin(rights[:, :2] @ across)], lefts[np.argmax(lefts[:, :2] @ across)]
    origin = (right + left) / 2.0
    frame = Frame(origin, heading, float(np.hypot(*(left - right)[:2])) / 2.0, longest_m)
    return Frame(origin, heading, frame.half_width, _straight(sampled, frame, stop, approach.at_end, longest_m))


def _straight(sampled: SampledRoad, frame: Frame, stop: float, at_end: bool, longest_m: float) -> float:
    """How far back from the stop the reference line stays within half a metre of its tangent."""
    back = np.arange(1.0, longest_m + 0.5)
    s = stop - back if at_end else stop + back
    inside = (s >= 0.0) & (s <= sampled.road.length)
    poses = sampled.line.poses(np.concatenate([[stop], s[inside]]))
    left = (poses[:, 1] - poses[0, 1]) * np.cos(frame.heading) - (poses[:, 0] - poses[0, 0]) * np.sin(frame.heading)
    bent = np.flatnonzero(np.abs(left) > 0.6)
    return float(max(5.0, bent[0] - 1.0 if len(bent) else longest_m))


def paths_of(network: Network, roads: dict[str, SampledRoad]) -> dict[LaneEnd, list[shapely.Geometry]]:
    """What is swept by the cars that leave each lane end through its junction."""
    found: dict[LaneEnd, list[shapely.Geometry]] = defaultdict(list)
    for sampled in roads.values():
        if not sampled.road.in_junction:
            continue
        for strip in sampled.strips:
            if strip.drivable:
                end = before_connector(network, sampled.road, strip.lane.id)
                if end is not None:
                    found[end].append(shapely.LineString(strip.centre()[:, :2]).buffer(1.0, cap_style="flat"))
    return found
