"""Writes a road network as OpenDRIVE 1.4, in the dialect that CARLA's parser reads."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from carla_bridge.embedded.towns.curves import Curve
from carla_bridge.embedded.towns.layout import LANE_WIDTH_M, SIDEWALK_WIDTH_M, Arm, Connector, Network, Road
from carla_bridge.embedded.towns.signals import Approach

# A neutral spot, the one OpenDRIVE's own examples use; the town is imaginary.
GEO_REFERENCE = "+proj=tmerc +lat_0=49 +lon_0=8 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"

CROSSING_INSIDE_M = (0.3, 2.8)  # from the end of the road into the junction
CROSSING_ONTO_WALK_M = 0.9


def _text(value: float) -> str:
    """Enough digits for 1e-9 m, and never a negative zero."""
    return f"{value + 0.0:.10g}" if abs(value) > 1e-12 else "0"


def _child(parent: ET.Element, tag: str, **attributes: str | int | float) -> ET.Element:
    return ET.SubElement(
        parent, tag, {k.rstrip("_"): _text(v) if isinstance(v, float) else str(v) for k, v in attributes.items()}
    )


def _cubic(parent: ET.Element, tag: str, a: float, **where: float) -> None:
    _child(parent, tag, **where, a=a, b=0.0, c=0.0, d=0.0)


def _plan_view(parent: ET.Element, curve: Curve) -> None:
    plan = _child(parent, "planView")
    s = 0.0
    for part in curve.segments:
        geometry = _child(
            plan, "geometry", s=s, x=part.x, y=part.y, hdg=math.remainder(part.heading, math.tau), length=part.length
        )
        if part.curvature:
            _child(geometry, "arc", curvature=part.curvature)
        else:
            _child(geometry, "line")
        s += part.length


def _road(root: ET.Element, name: str, road_id: int, curve: Curve, junction: int, speed_kmh: float) -> ET.Element:
    """Everything but links, lanes and signals; returns the (still empty) link element's road."""
    road = _child(root, "road", name=name, length=curve.length, id=road_id, junction=junction)
    _child(road, "link")
    kind = _child(road, "type", s=0.0, type="town")
    _child(kind, "speed", max=speed_kmh, unit="km/h")
    _plan_view(road, curve)
    _cubic(_child(road, "elevationProfile"), "elevation", 0.0, s=0.0)
    _child(road, "lateralProfile")
    return road


def _lane(
    side: ET.Element,
    lane_id: int,
    kind: str,
    *,
    width: float | None = None,
    mark: tuple[str, str, str] = ("none", "white", "none"),
    links: tuple[int, int] | None = None,
    speed_kmh: float | None = None,
) -> None:
    """mark: type, colour, laneChange of the lane's outer border."""
    lane = _child(side, "lane", id=lane_id, type=kind, level="false")
    link = _child(lane, "link")
    if links is not None:
        _child(link, "predecessor", id=links[0])
        _child(link, "successor", id=links[1])
    if width is not None:
        _cubic(lane, "width", width, sOffset=0.0)
    _child(
        lane, "roadMark", sOffset=0.0, type=mark[0], weight="standard", color=mark[1], width=0.15, laneChange=mark[2]
    )
    if speed_kmh is not None:
        _child(lane, "speed", sOffset=0.0, max=speed_kmh, unit="km/h")


def _two_way_lanes(road_element: ET.Element, road: Road) -> None:
    lanes = _child(road_element, "lanes")
    _cubic(lanes, "laneOffset", 0.0, s=0.0)
    section = _child(lanes, "laneSection", s=0.0)
    outwards = list(range(1, road.lanes + 2))
    for tag, sign, order in (("left", 1, outwards[::-1]), ("center", 0, [0]), ("right", -1, outwards)):
        side = _child(section, tag)
        for index in order:
            if index == 0:
                _lane(side, 0, "none", mark=("solid solid" if road.lanes > 1 else "solid", "yellow", "none"))
            elif index > road.lanes:
                _lane(side, sign * index, "sidewalk", width=SIDEWALK_WIDTH_M)
            else:
                mark = ("solid", "white", "none") if index == road.lanes else ("broken", "white", "both")
                _lane(side, sign * index, "driving", width=LANE_WIDTH_M, mark=mark, speed_kmh=road.speed_kmh)


def _crosswalks(road_element: ET.Element, road: Road, arms: list[Arm]) -> None:
    """A crossing just inside the junction at each end of the road, from sidewalk to sidewalk; it is not painted."""
    objects = _child(road_element, "objects")
    half_length = road.half_width + CROSSING_ONTO_WALK_M
    near, far = CROSSING_INSIDE_M
    for arm in arms:
        crossing = _child(
            objects,
            "object",
            id=1000 * arm.road + (0 if arm.road_starts_here else 1),
            name="crossing",
            s=0.0 if arm.road_starts_here else road.curve.length,
            t=0.0,
            zOffset=0.0,
            hdg=0.0,
            roll=0.0,
            pitch=0.0,
            orientation="none",
            type="crosswalk",
            width=far - near,
            length=2.0 * half_length,
        )
        outline = _child(crossing, "outline")
        inwards = -1.0 if arm.road_starts_here else 1.0
        corners = [(near, -half_length), (far, -half_length), (far, half_length), (near, half_length)]
        for u, v in (*corners, corners[0]):
            _child(outline, "cornerLocal", u=inwards * u, v=v, z=0.0)


def _signals(road_element: ET.Element, approaches: list[Approach]) -> None:
    signals = _child(road_element, "signals")
    for approach in approaches:
        lanes = [approach.arm.incoming_lane(i) for i in range(1, approach.arm.lanes + 1)]
        signal = _child(
            signals,
            "signal",
            name=f"light_{approach.signal_id}",
            id=approach.signal_id,
            s=approach.s,
            t=approach.t,
            zOffset=0.0,
            hOffset=0.0,
            roll=0.0,
            pitch=0.0,
            orientation="-" if approach.arm.road_starts_here else "+",
            dynamic="yes",
            country="OpenDRIVE",
            type="1000001",
            subtype="-1",
            value="-1",
            text="",
            height=1.4,
            width=0.5,
        )
        _child(signal, "validity", fromLane=min(lanes), toLane=max(lanes))


def _connector(root: ET.Element, connector: Connector) -> None:
    name = f"{connector.direction}_{connector.id}"
    road = _road(root, name, connector.id, connector.curve, connector.junction, connector.speed_kmh)
    link = road[0]
    incoming, outgoing = connector.incoming, connector.outgoing
    _child(link, "predecessor", elementType="road", elementId=incoming.road, contactPoint=incoming.contact)
    _child(link, "successor", elementType="road", elementId=outgoing.road, contactPoint=outgoing.contact)
    lanes = _child(road, "lanes")
    _cubic(lanes, "laneOffset", 0.0, s=0.0)
    section = _child(lanes, "laneSection", s=0.0)
    _lane(_child(section, "center"), 0, "none")
    right = _child(section, "right")
    links = (incoming.incoming_lane(connector.from_index), outgoing.outgoing_lane(connector.to_index))
    _lane(right, -1, "driving", width=LANE_WIDTH_M, links=links, speed_kmh=connector.speed_kmh)
    if connector.kerbside:
        links = (incoming.incoming_lane(incoming.lanes + 1), outgoing.outgoing_lane(outgoing.lanes + 1))
        _lane(right, -2, "sidewalk", width=SIDEWALK_WIDTH_M, links=links)


def _junction(root: ET.Element, junction_id: int, connectors: list[Connector], controllers: list[int]) -> None:
    element = _child(root, "junction", id=junction_id, name=f"junction_{junction_id}")
    for number, connector in enumerate(connectors):
        connection = _child(
            element,
            "connection",
            id=number,
            incomingRoad=connector.incoming.road,
            connectingRoad=connector.id,
            contactPoint="start",
        )
        _child(connection, "laneLink", from_=connector.incoming.incoming_lane(connector.from_index), to=-1)
        if connector.kerbside:
            _child(connection, "laneLink", from_=connector.incoming.incoming_lane(connector.incoming.lanes + 1), to=-2)
    for sequence, controller in enumerate(controllers):
        _child(element, "controller", id=controller, type="0", sequence=sequence)


def write_opendrive(name: str, network: Network, approaches: tuple[Approach, ...]) -> str:
    """The network as an OpenDRIVE document; every approach's light gets a signal and a controller of its own."""
    root = ET.Element("OpenDRIVE")
    points = [road.curve.at(s)[:2] for road in network.roads for s in road.curve.stations()]
    header = _child(
        root,
        "header",
        revMajor=1,
        revMinor=4,
        name=name,
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
        kind = "avenue" if road.lanes > 1 else "street"
        element = _road(root, f"{kind}_{road.id}", road.id, road.curve, -1, road.speed_kmh)
        _child(element[0], "predecessor", elementType="junction", elementId=road.start)
        _child(element[0], "successor", elementType="junction", elementId=road.end)
        _two_way_lanes(element, road)
        _crosswalks(element, road, [arm for k in network.junctions for arm in k.arms if arm.road == road.id])
        _signals(element, [a for a in approaches if a.arm.road == road.id])
    for connector in network.connectors:
        _connector(root, connector)
    for approach in approaches:
        controller = _child(
            root,
            "controller",
            id=approach.controller_id,
            name=f"controller_{approach.controller_id}",
            sequence=approach.phase,
        )
        _child(controller, "control", signalId=approach.signal_id, type="0")
    for junction in network.junctions:
        connectors = [c for c in network.connectors if c.junction == junction.id]
        controllers = [a.controller_id for a in approaches if a.junction == junction.id]
        _junction(root, junction.id, connectors, controllers)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
