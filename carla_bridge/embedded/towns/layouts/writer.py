"""Writes any network as OpenDRIVE 1.4, in the dialect that CARLA's parser reads."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from carla_bridge.embedded.towns.curves import Curve
from carla_bridge.embedded.towns.layouts.cubics import Cubics
from carla_bridge.embedded.towns.layouts.network import Connector, Junction, Network, Road, RoadObject, Signal
from carla_bridge.embedded.towns.layouts.profile import DRIVING, Lane, Mark
from carla_bridge.embedded.towns.opendrive import GEO_REFERENCE

Links = tuple[int | None, int | None]


def _text(value: str | int | float) -> str:
    """Numbers with enough digits for 1e-6 m in towns of some kilometres, and never a negative zero."""
    if isinstance(value, float):
        return f"{value + 0.0:.11g}" if abs(value) > 1e-13 else "0"
    return str(value)


def _child(parent: ET.Element, tag: str, **attributes: str | int | float) -> ET.Element:
    return ET.SubElement(parent, tag, {key.rstrip("_"): _text(value) for key, value in attributes.items()})


def _cubics(parent: ET.Element, tag: str, where: str, cubics: Cubics) -> None:
    for s, a, b, c, d in cubics.pieces:
        _child(parent, tag, **{where: s, "a": a, "b": b, "c": c, "d": d})


def _plan_view(parent: ET.Element, curve: Curve) -> None:
    plan = _child(parent, "planView")
    s = 0.0
    for part in curve.segments:
        heading = math.remainder(part.heading, math.tau)
        geometry = _child(plan, "geometry", s=s, x=part.x, y=part.y, hdg=heading, length=part.length)
        if part.curvature:
            _child(geometry, "arc", curvature=part.curvature)
        else:
            _child(geometry, "line")
        s += part.length


def _road(
    root: ET.Element, name: str, road_id: int, junction: int, kind: str, speed_kmh: float, curve: Curve, height: Cubics
) -> tuple[ET.Element, ET.Element]:
    """The road up to its lanes, and its (still empty) link."""
    road = _child(root, "road", name=name, length=curve.length, id=road_id, junction=junction)
    link = _child(road, "link")
    _child(_child(road, "type", s=0.0, type=kind), "speed", max=speed_kmh, unit="km/h")
    _plan_view(road, curve)
    _cubics(_child(road, "elevationProfile"), "elevation", "s", height)
    _child(road, "lateralProfile")
    return road, link


def _mark(lane: ET.Element, mark: Mark) -> None:
    _child(
        lane,
        "roadMark",
        sOffset=0.0,
        type=mark.kind,
        weight="standard",
        color=mark.colour,
        width=0.12,
        laneChange=mark.lane_change,
    )


def _lane(side: ET.Element, lane_id: int, lane: Lane, speed_kmh: float, links: Links = (None, None)) -> None:
    element = _child(side, "lane", id=lane_id, type=lane.kind, level="false")
    link = _child(element, "link")
    for tag, target in zip(("predecessor", "successor"), links, strict=True):
        if target is not None:
            _child(link, tag, id=target)
    _cubics(element, "width", "sOffset", lane.width)
    _mark(element, lane.mark)
    if lane.kind == DRIVING:
        _child(element, "speed", sOffset=0.0, max=speed_kmh, unit="km/h")


def _lanes(
    road: ET.Element, left: Sequence[tuple[Lane, Links]], right: Sequence[tuple[Lane, Links]], middle: Mark, kmh: float
) -> None:
    """One section; both sides are given from the middle outwards."""
    lanes = _child(road, "lanes")
    _child(lanes, "laneOffset", s=0.0, a=0.0, b=0.0, c=0.0, d=0.0)
    section = _child(lanes, "laneSection", s=0.0)
    if left:
        side = _child(section, "left")
        for index in range(len(left), 0, -1):
            _lane(side, index, left[index - 1][0], kmh, left[index - 1][1])
    centre = _child(_child(section, "center"), "lane", id=0, type="none", level="false")
    _child(centre, "link")
    _mark(centre, middle)
    side = _child(section, "right")
    for index in range(1, len(right) + 1):
        _lane(side, -index, right[index - 1][0], kmh, right[index - 1][1])


def _object(objects: ET.Element, item: RoadObject) -> None:
    element = _child(
        objects,
        "object",
        id=item.id,
        name=item.name,
        type=item.type,
        s=item.s,
        t=item.t,
        zOffset=0.0,
        validLength=0.0,
        orientation="none",
        hdg=item.heading,
        pitch=0.0,
        roll=0.0,
        length=item.length,
        width=item.width,
        height=0.0,
    )
    if item.outline:
        outline = _child(element, "outline")
        for u, v in item.outline:
            _child(outline, "cornerLocal", u=u, v=v, z=0.0, height=0.0)


def _objects(element: ET.Element, road: Road) -> None:
    if not road.objects and not road.bridges:
        return
    objects = _child(element, "objects")
    for item in road.objects:
        _object(objects, item)
    for number, (start, end) in enumerate(road.bridges):
        bridge = f"bridge_{road.id}_{number}"
        _child(objects, "bridge", s=start, length=end - start, id=bridge, name=bridge, type="concrete")


def _signal(signals: ET.Element, signal: Signal) -> None:
    element = _child(
        signals,
        "signal",
        name=signal.name,
        id=signal.id,
        s=signal.s,
        t=signal.t,
        zOffset=signal.z,
        hOffset=0.0,
        roll=0.0,
        pitch=0.0,
        orientation=signal.orientation,
        dynamic="yes" if signal.dynamic else "no",
        country="OpenDRIVE",
        type=signal.type,
        subtype=signal.subtype,
        value=signal.value,
        unit="km/h",
        text="",
        height=signal.height,
        width=signal.width,
    )
    _child(element, "validity", fromLane=signal.lanes[0], toLane=signal.lanes[1])


def _plain_road(root: ET.Element, road: Road) -> None:
    element, link = _road(root, road.name, road.id, -1, road.kind, road.speed_kmh, road.curve, road.height)
    for tag, junction, neighbour, contact in (
        ("predecessor", road.start, road.before, "end"),
        ("successor", road.end, road.after, "start"),
    ):
        if neighbour is None:
            _child(link, tag, elementType="junction", elementId=junction)
        else:
            _child(link, tag, elementType="road", elementId=neighbour, contactPoint=contact)

    def links(lane_id: int) -> Links:
        """Roads in a row have the same lanes."""
        return lane_id if road.before is not None else None, lane_id if road.after is not None else None

    sides = [
        [(lane, links(sign * (i + 1))) for i, lane in enumerate(side)]
        for sign, side in ((1, road.profile.left), (-1, road.profile.right))
    ]
    _lanes(element, sides[0], sides[1], road.profile.middle, road.speed_kmh)
    _objects(element, road)
    if road.signals:
        signals = _child(element, "signals")
        for signal in road.signals:
            _signal(signals, signal)


def _connector(root: ET.Element, way: Connector) -> None:
    kind = way.incoming.road.kind
    element, link = _road(root, way.name, way.id, way.junction, kind, way.speed_kmh, way.curve, way.height)
    for tag, arm in (("predecessor", way.incoming), ("successor", way.outgoing)):
        _child(link, tag, elementType="road", elementId=arm.road.id, contactPoint=arm.contact)
    sides = [[(lane.lane, (lane.before, lane.after)) for lane in side] for side in (way.left, way.right)]
    _lanes(element, sides[0], sides[1], way.middle, way.speed_kmh)


def _junction(root: ET.Element, junction: Junction, ways: Sequence[Connector]) -> None:
    element = _child(root, "junction", id=junction.id, name=f"junction_{junction.name}")
    for number, way in enumerate(ways):
        connection = _child(
            element,
            "connection",
            id=number,
            incomingRoad=way.incoming.road.id,
            connectingRoad=way.id,
            contactPoint="start",
        )
        for index, lane in enumerate(way.right, start=1):
            if lane.before is not None:
                _child(connection, "laneLink", from_=lane.before, to=-index)
    for sequence, signals in enumerate(junction.phases):
        _child(element, "controller", id=signals[0], type="0", sequence=sequence)


def write(network: Network) -> str:
    """The network as an OpenDRIVE document; each phase of a junction's lights is a controller, named by its first
    signal."""
    root = ET.Element("OpenDRIVE")
    points = [road.curve.at(s)[:2] for road in network.roads for s in road.curve.stations()]
    header = _child(
        root,
        "header",
        revMajor=1,
        revMinor=4,
        name=network.name,
        version="1",
        date="2025-01-01T00:00:00",
        north=max(y for _, y in points),
        south=min(y for _, y in points),
        east=max(x for x, _ in points),
        west=min(x for x, _ in points),
        vendor="e2e-drive",
    )
    _child(header, "geoReference").text = GEO_REFERENCE
    for road in network.roads:
        _plain_road(root, road)
    for way in network.connectors:
        _connector(root, way)
    for junction in network.junctions:
        for sequence, signals in enumerate(junction.phases):
            name = f"controller_{signals[0]}"
            controller = _child(root, "controller", id=signals[0], name=name, sequence=sequence)
            for signal in signals:
                _child(controller, "control", signalId=signal, type="0")
    for junction in network.junctions:
        _junction(root, junction, [way for way in network.connectors if way.junction == junction.id])
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
