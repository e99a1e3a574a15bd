"""What stands and is painted at the ends and along the sides of a road: signs, lights, crosswalks, parking spaces.

Signal types are those of OpenDRIVE 1.4 as CARLA reads them: 1000001 light, 205 yield, 206 stop, 274 speed limit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from carla_bridge.embedded.towns.layouts.network import Numbers, Road, RoadObject, Signal
from carla_bridge.embedded.towns.layouts.profile import DRIVING, PARKING

STOP_LINE_SETBACK_M = 1.0  # centre of the stop line to the end of the road
CROSSWALK_WIDTH_M = 3.0
CROSSWALK_SETBACK_M = 3.0  # its middle to the end of the road
STOP_BEFORE_CROSSWALK_M = 1.2
POST_GAP_M = 0.9  # from the carriageway's edge to a sign's post
SPEED_SIGN_FROM_END_M = 22.0
SPACE_LENGTH_M = 5.6


class Control(Enum):
    """What traffic that comes to a junction by an arm has to obey."""

    NONE = ""
    YIELD = "205"
    STOP = "206"
    LIGHT = "1000001"


@dataclass(frozen=True)
class Crossing:
    """A crosswalk somewhere along a road."""

    s: float


def _reach(road: Road, sign: int, s: float) -> float:
    """From the reference line to the edge of the carriageway."""
    return road.profile.edge(sign, s, (DRIVING, PARKING))


def _signal(road: Road, numbers: Numbers, control: str, s: float, sign: int, **more: float) -> Signal:
    """Beside the lanes with ids of this sign, for the traffic on them."""
    lanes = road.profile.driving(sign)
    light = control == Control.LIGHT.value
    value = float(more.get("value", -1.0))
    number = numbers.next("item")
    name = {"205": "yield", "206": "stop", "274": "speed", "1000001": "light"}[control]
    return Signal(
        id=number,
        name=f"{name}_{number}",
        type=control,
        s=s,
        t=math.copysign(road.profile.edge(sign, s, (DRIVING, PARKING)) + POST_GAP_M, sign),
        orientation="+" if sign < 0 else "-",
        lanes=(min(lanes), max(lanes)),
        value=value,
        subtype=f"{value:.0f}" if value > 0 else "-1",
        dynamic=light,
        height=1.4 if light else 0.6,
        width=0.5 if light else 0.6,
        z=0.0 if light else 2.1,
    )


def end_signal(road: Road, numbers: Numbers, at_start: bool, control: Control, crosswalk: bool) -> Signal | None:
    """The sign or light at the end of the lanes that lead out of the road there."""
    sign = 1 if at_start else -1
    if control is Control.NONE or not road.profile.driving(sign):
        return None
    setback = STOP_LINE_SETBACK_M
    if crosswalk:
        setback = CROSSWALK_SETBACK_M + CROSSWALK_WIDTH_M / 2.0 + STOP_BEFORE_CROSSWALK_M
    return _signal(road, numbers, control.value, setback if at_start else road.length - setback, sign)


def speed_signals(road: Road, numbers: Numbers) -> list[Signal]:
    """A limit for each direction, a little after the road's beginning."""
    found = []
    for sign in (-1, 1):
        if road.profile.driving(sign) and road.length > 4.0 * SPEED_SIGN_FROM_END_M:
            s = SPEED_SIGN_FROM_END_M if sign < 0 else road.length - SPEED_SIGN_FROM_END_M
            found.append(_signal(road, numbers, "274", s, sign, value=road.speed_kmh))
    return found


def crosswalk(road: Road, numbers: Numbers, s: float) -> RoadObject:
    """Across all lanes, from kerb to kerb; the outline is closed by its first corner, as CARLA's maps have it."""
    right, left = -_reach(road, -1, s), _reach(road, 1, s)
    half, reach = CROSSWALK_WIDTH_M / 2.0, (left - right) / 2.0
    corners = ((-half, -reach), (half, -reach), (half, reach), (-half, reach), (-half, -reach))
    number = numbers.next("item")
    return RoadObject(
        number, f"crosswalk_{number}", "crosswalk", s, (left + right) / 2.0, 0.0, 2.0 * half, 2.0 * reach, corners
    )


def parking_spaces(road: Road, numbers: Numbers) -> list[RoadObject]:
    """Along the parking lanes, wherever one has its full width."""
    found = []
    for sign in (-1, 1):
        for index, lane in enumerate(road.profile.side(sign)):
            if lane.kind != PARKING:
                continue
            widest = max(lane.width.at(s) for s, *_ in lane.width.pieces)
            for (start, *_), (end, *_) in zip(lane.width.pieces, lane.width.pieces[1:], strict=False):
                if min(lane.width.at(start), lane.width.at((start + end) / 2.0)) < widest - 1e-6:
                    continue
                count = int((end - start) / SPACE_LENGTH_M)
                for k in range(count):
                    s = (start + end) / 2.0 + (k - (count - 1) / 2.0) * SPACE_LENGTH_M
                    t = road.profile.inner_edge(sign * (index + 1), s) + widest / 2.0
                    number = numbers.next("item")
                    found.append(
                        RoadObject(
                            number,
                            f"parking_{number}",
                            "parkingSpace",
                            s,
                            math.copysign(t, sign),
                            0.0 if sign < 0 else math.pi,
                            SPACE_LENGTH_M,
                            widest,
                        )
                    )
    return found


def furnish(
    road: Road,
    numbers: Numbers,
    controls: tuple[Control, Control],
    crosswalks: tuple[bool, bool],
    between: tuple[float, ...],
    speed_signs: bool,
) -> Road:
    """The road with its signals and objects. controls, crosswalks: at its start and end; between: s of further ones."""
    signals = [end_signal(road, numbers, i == 0, controls[i], crosswalks[i]) for i in (0, 1)]
    more = speed_signals(road, numbers) if speed_signs else []
    places = [
        s
        for s, wanted in zip((CROSSWALK_SETBACK_M, road.length - CROSSWALK_SETBACK_M), crosswalks, strict=True)
        if wanted
    ]
    objects = [crosswalk(road, numbers, s) for s in sorted((*places, *between))] + parking_spaces(road, numbers)
    return replace(
        road, signals=tuple(s for s in (*signals, *more) if s is not None), objects=(*road.objects, *objects)
    )
