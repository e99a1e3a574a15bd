"""Reads OpenDRIVE XML into `model`. Parts that are not understood are skipped; a hopeless text raises TownError."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable

import numpy as np

from carla_bridge.embedded.towns.site import TownError
from carla_bridge.embedded.towns.xodr.model import (
    NOTHING,
    Connection,
    Cubics,
    Geometry,
    Junction,
    Lane,
    Link,
    MarkLine,
    Network,
    Road,
    RoadMark,
    RoadObject,
    Section,
    Signal,
)

KMH = {"m/s": 3.6, "mph": 1.609344, "km/h": 1.0, "": 3.6}  # the standard's default unit is m/s
WEIGHT_WIDTH_M = {"standard": 0.12, "bold": 0.25}
LARGEST_M = 1e6  # coordinates beyond this are no map
LONGEST_ROAD_M = 100_000.0


def _float(element: ET.Element, name: str, default: float = 0.0) -> float:
    try:
        value = float(element.get(name, default))
    except ValueError:
        return default
    return value if math.isfinite(value) else default


def _int(text: str | None) -> int | None:
    try:
        return int(float(text)) if text is not None else None
    except (ValueError, OverflowError):
        return None


def _cubics(elements: Iterable[ET.Element], key: str = "s", origin: float = 0.0) -> Cubics | None:
    rows = [[origin + _float(e, key), *(_float(e, k) for k in "abcd")] for e in elements]
    if not rows:
        return None
    table = np.array(sorted(rows, key=lambda row: row[0]), dtype=np.float64)
    return Cubics(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1:]))


def _geometry(element: ET.Element) -> Geometry | None:
    s, x, y, heading, length = (_float(element, k) for k in ("s", "x", "y", "hdg", "length"))
    if length <= 1e-9 or max(abs(x), abs(y)) > LARGEST_M:
        return None
    parameters: tuple[float, ...] = ()
    kind = "line"
    for child in element:
        if child.tag == "arc":
            kind, parameters = "arc", (_float(child, "curvature"),)
        elif child.tag == "spiral":
            kind, parameters = "spiral", (_float(child, "curvStart"), _float(child, "curvEnd"))
        elif child.tag == "poly3":
            kind, parameters = "poly3", tuple(_float(child, k) for k in "abcd")
        elif child.tag == "paramPoly3":
            keys = ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV")
            last = length if child.get("pRange") == "arcLength" else 1.0
            kind, parameters = "paramPoly3", (*(_float(child, k) for k in keys), last)
    return Geometry(kind, s, x, y, heading, length, parameters)


def _plan_view(road: ET.Element) -> tuple[Geometry, ...]:
    found = [g for e in road.findall("planView/geometry") if (g := _geometry(e)) is not None]
    return tuple(sorted(found, key=lambda g: g.s))


def _marks(lane: ET.Element, origin: float) -> tuple[RoadMark, ...]:
    marks = []
    for e in lane.findall("roadMark"):
        width = _float(e, "width") or WEIGHT_WIDTH_M.get(e.get("weight", "standard"), 0.12)
        lines = tuple(
            MarkLine(_float(k, "length"), _float(k, "space"), _float(k, "tOffset"), _float(k, "width") or width)
            for k in e.findall("type/line")
        )
        marks.append(
            RoadMark(origin + _float(e, "sOffset"), e.get("type", "none"), e.get("color", "standard"), width, lines)
        )
    return tuple(sorted(marks, key=lambda mark: mark.s))


def _speed(element: ET.Element | None) -> float | None:
    if element is None:
        return None
    value = _float(element, "max", 0.0)
    return value * KMH.get(element.get("unit", ""), 3.6) if value > 0.0 else None


def _lane(e: ET.Element, origin: float) -> Lane | None:
    lane_id = _int(e.get("id"))
    if lane_id is None:
        return None
    link = e.find("link")
    ends = [None if link is None or (k := link.find(tag)) is None else _int(k.get("id")) for tag in _LINK_TAGS]
    heights = [(origin + _float(h, "sOffset"), _float(h, "inner"), _float(h, "outer")) for h in e.findall("height")]
    return Lane(
        id=lane_id,
        kind=e.get("type", "none"),
        width=_cubics(e.findall("width"), "sOffset", origin),
        border=_cubics(e.findall("border"), "sOffset", origin),
        marks=_marks(e, origin),
        heights=tuple(sorted(heights)),
        speed_kmh=_speed(e.find("speed")),
        predecessor=ends[0],
        successor=ends[1],
    )


_LINK_TAGS = ("predecessor", "successor")


def _sections(road: ET.Element, length: float) -> tuple[Section, ...]:
    elements = sorted(road.findall("lanes/laneSection"), key=lambda e: _float(e, "s"))
    sections = []
    for i, e in enumerate(elements):
        s = max(0.0, _float(e, "s"))
        end = min(length, _float(elements[i + 1], "s")) if i + 1 < len(elements) else length
        lanes = {lane.id: lane for k in e.findall("*/lane") if (lane := _lane(k, s)) is not None}
        if lanes:
            sections.append(Section(s, max(s, end), tuple(lanes[k] for k in sorted(lanes))))
    return tuple(sections)


def _link(road: ET.Element, tag: str) -> Link | None:
    e = road.find(f"link/{tag}")
    if e is None or e.get("elementId") is None:
        return None
    return Link(e.get("elementType") == "junction", e.get("elementId", ""), e.get("contactPoint", ""))


def _validity(e: ET.Element) -> tuple[tuple[int, int], ...]:
    found = []
    for v in e.findall("validity"):
        low, high = _int(v.get("fromLane")), _int(v.get("toLane"))
        if low is not None and high is not None:
            found.append((min(low, high), max(low, high)))
    return tuple(found)


def _signal(e: ET.Element, road_id: str) -> Signal:
    value = _float(e, "value", -1.0)
    return Signal(
        id=e.get("id", ""),
        road=road_id,
        s=_float(e, "s"),
        t=_float(e, "t"),
        z_offset=_float(e, "zOffset"),
        orientation=e.get("orientation", "none"),
        dynamic=e.get("dynamic") == "yes",
        type=e.get("type", ""),
        subtype=e.get("subtype", ""),
        value=value if value > 0.0 else None,
        unit=e.get("unit", ""),
        validity=_validity(e),
    )


def _object(e: ET.Element) -> RoadObject:
    outline = e.find("outlines/outline")
    outline = e.find("outline") if outline is None else outline
    local, along = [], []
    if outline is not None:
        local = [(_float(c, "u"), _float(c, "v"), _float(c, "z")) for c in outline.findall("cornerLocal")]
        along = [(_float(c, "s"), _float(c, "t"), _float(c, "dz")) for c in outline.findall("cornerRoad")]
    return RoadObject(
        id=e.get("id", ""),
        kind=e.get("type", ""),
        name=e.get("name", ""),
        s=_float(e, "s"),
        t=_float(e, "t"),
        z_offset=_float(e, "zOffset"),
        heading=_float(e, "hdg"),
        orientation=e.get("orientation", "none"),
        length=_float(e, "length"),
        width=_float(e, "width"),
        local=tuple(local),
        road_corners=tuple(along),
    )


def _crossfall(road: ET.Element, side: str) -> Cubics:
    return _cubics(e for e in road.findall("lateralProfile/crossfall") if e.get("side") in (side, "both")) or NOTHING


def _road(e: ET.Element) -> Road | None:
    geometry = _plan_view(e)
    road_id = e.get("id", "")
    if not geometry:
        return None
    length = _float(e, "length") or geometry[-1].s + geometry[-1].length
    if not 0.0 < length < LONGEST_ROAD_M:
        raise TownError(f"road {road_id} is {length:.3g} m long, which cannot be built")
    sections = _sections(e, length)
    if length < 1e-3 or not sections:
        return None
    speeds = [v for k in e.findall("type") if (v := _speed(k.find("speed"))) is not None]
    lane_speeds = [lane.speed_kmh for section in sections for lane in section.lanes if lane.speed_kmh is not None]
    return Road(
        id=road_id,
        name=e.get("name", ""),
        length=length,
        junction=e.get("junction", "-1") or "-1",
        left_hand_traffic=e.get("rule") == "LHT",
        predecessor=_link(e, "predecessor"),
        successor=_link(e, "successor"),
        geometry=geometry,
        elevation=_cubics(e.findall("elevationProfile/elevation")) or NOTHING,
        superelevation=_cubics(e.findall("lateralProfile/superelevation")) or NOTHING,
        crossfall_left=_crossfall(e, "left"),
        crossfall_right=_crossfall(e, "right"),
        lane_offset=_cubics(e.findall("lanes/laneOffset")) or NOTHING,
        sections=sections,
        speed_kmh=speeds[0] if speeds else max(lane_speeds, default=None),
        signals=tuple(_signal(k, road_id) for k in e.findall("signals/signal")),
        references=tuple(_signal(k, road_id) for k in e.findall("signals/signalReference")),
        objects=tuple(_object(k) for k in e.findall("objects/object")),
    )


def _junction(e: ET.Element) -> Junction:
    connections = []
    for c in e.findall("connection"):
        pairs = [(_int(k.get("from")), _int(k.get("to"))) for k in c.findall("laneLink")]
        lanes = tuple((a, b) for a, b in pairs if a is not None and b is not None)
        connecting = c.get("connectingRoad") or c.get("linkedRoad") or ""
        connections.append(Connection(c.get("incomingRoad", ""), connecting, c.get("contactPoint", "start"), lanes))
    controllers = sorted(e.findall("controller"), key=lambda c: _float(c, "sequence"))
    return Junction(e.get("id", ""), tuple(connections), tuple(c.get("id", "") for c in controllers))


def read_network(text: str) -> Network:
    """The roads, junctions and controllers of an OpenDRIVE text."""
    try:
        root = ET.fromstring(text.lstrip("\ufeff \t\r\n"))
    except (ET.ParseError, ValueError) as error:
        raise TownError(f"not an OpenDRIVE text: {error}") from None
    for e in root.iter():  # files of version 1.8 may carry a namespace
        if isinstance(e.tag, str) and e.tag.startswith("{"):
            e.tag = e.tag.partition("}")[2]
    if root.tag != "OpenDRIVE":
        raise TownError(f"not an OpenDRIVE text: its root is <{root.tag}>")
    found = {road.id: road for e in root.findall("road") if (road := _road(e)) is not None}
    if not found:
        raise TownError("the OpenDRIVE text has no road with a plan view and lanes")
    controllers = {
        c.get("id", ""): tuple(k.get("signalId", "") for k in c.findall("control")) for c in root.findall("controller")
    }
    return Network(tuple(found.values()), tuple(_junction(e) for e in root.findall("junction")), controllers)
