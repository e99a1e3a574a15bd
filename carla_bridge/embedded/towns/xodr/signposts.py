"""Stop, yield and speed limit signs: placements for the world, posts and plates for the eye."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import shapely

from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of
from carla_bridge.embedded.towns.signals import POLE_GREY
from carla_bridge.embedded.towns.xodr.approaches import Approach, Frame, frame_of, governed
from carla_bridge.embedded.towns.xodr.lights import GroundZ, beside_road, pose_of
from carla_bridge.embedded.towns.xodr.model import Array, Network, Signal
from carla_bridge.embedded.towns.xodr.reader import KMH
from carla_bridge.embedded.towns.xodr.strips import SampledRoad
from carla_bridge.embedded.types import Box, Label, SignPlacement

STOP, YIELD, LIMIT = "traffic.stop", "traffic.yield", "traffic.speed_limit"
PLATE_Z_M = 2.25  # centre
PLATE_M = 0.40  # radius
POST_M = 0.035
TRIGGER_M = 6.0  # before the stop line, and along the lanes at a speed limit
RED, WHITE, BLACK, GREY = colour_of("#b3231f"), colour_of("#e6e6e2"), colour_of("#1d1d1d"), colour_of("#7d7f80")
# seven segments: top, upper right, lower right, bottom, lower left, upper left, middle
_DIGITS = ("1111110", "0110000", "1101101", "1111001", "0110011", "1011011", "1011111", "1110000", "1111111", "1111011")
_SPEED_NAME = re.compile(r"sp+e+d.*?(\d{2,3})", re.IGNORECASE)


@dataclass(frozen=True)
class Sign:
    """A sign before it becomes a placement; right-handed coordinates."""

    signal_id: str
    type_id: str
    approach: Approach
    frame: Frame  # at the stop line, or beside the sign for limits
    foot: tuple[float, float, float]


def sign_type(signal: Signal) -> str | None:
    """CARLA's actor id for a sign, from the German catalogue's numbers that OpenDRIVE files use."""
    if signal.type in ("206", "R1-1"):
        return STOP
    if signal.type in ("205", "R1-2"):
        return YIELD
    if signal.type.startswith("274") or signal.type == "R2-1":
        value = signal.value
        if value is None and re.fullmatch(r"5\d", signal.subtype):
            value = 10.0 * int(signal.subtype[1])  # 274-55 is 50 km/h
        if value is None:
            return None
        kmh = value * (KMH[signal.unit] if signal.unit in ("mph", "m/s") else 1.0)
        return f"{LIMIT}.{max(5, 5 * round(kmh / 5.0))}"
    return None


def _signals(network: Network) -> list[tuple[Signal, str]]:
    """Signs, and objects that RoadRunner named after the speed limit they show."""
    found = []
    for road in network.roads:
        for signal in road.signals:
            kind = sign_type(signal)
            if kind is not None:
                found.append((signal, kind))
        for thing in road.objects:
            match = _SPEED_NAME.match(thing.name)
            if match and not thing.local and not road.in_junction:
                blank = Signal(thing.id, road.id, thing.s, thing.t, validity=((0, 0),))
                found.append((blank, f"{LIMIT}.{int(match[1])}"))
    return found


def find_signs(
    network: Network, roads: dict[str, SampledRoad], driven: shapely.Geometry, ground: GroundZ
) -> list[Sign]:
    references: dict[str, list[Signal]] = defaultdict(list)
    for road in network.roads:
        for reference in road.references:
            references[reference.id].append(reference)
    signs = []
    for signal, kind in _signals(network):
        approach = governed(network, signal, references[signal.id], to_junction=not kind.startswith(LIMIT))
        if approach is None:
            continue
        if kind.startswith(LIMIT):
            approach = _at_the_sign(signal, approach, roads)
        frame = frame_of(roads[approach.road], approach)
        if frame is None:
            continue
        ahead, left = frame.local(*signal_position(roads[signal.road], signal))
        if abs(ahead) > 25.0 or abs(left) > 20.0:
            ahead, left = 0.0, -(frame.half_width + 1.0)
        if driven.contains(shapely.Point(frame.at(ahead, left))):
            left = beside_road(frame, ahead, driven) or left
        x, y = frame.at(ahead, left)
        signs.append(Sign(signal.id, kind, approach, frame, (x, y, ground(x, y, float(frame.origin[2])))))
    return signs


def _at_the_sign(signal: Signal, approach: Approach, roads: dict[str, SampledRoad]) -> Approach:
    """A limit begins where its sign stands, not at the next junction."""
    road = roads[signal.road].road
    if road.id != approach.road:
        return approach
    section = next((k for k in reversed(road.sections) if k.s <= signal.s), road.sections[0])
    lanes = tuple(k for k in approach.lanes if section.lane(k) is not None)
    return Approach(road.id, lanes or approach.lanes, approach.at_end, None, min(max(signal.s, 0.0), road.length))


def signal_position(sampled: SampledRoad, signal: Signal) -> tuple[float, float]:
    """x, y where a file puts a signal."""
    x, y, heading = sampled.line.poses(np.array([min(max(signal.s, 0.0), sampled.road.length)]))[0]
    return float(x - signal.t * math.sin(heading)), float(y + signal.t * math.cos(heading))


def placement(sign: Sign) -> SignPlacement:
    frame = sign.frame
    length = min(TRIGGER_M, frame.straight_m)
    middle = 0.0 if sign.type_id.startswith(LIMIT) else -length / 2.0
    centre = frame.at(middle, 0.0)
    return SignPlacement(
        signal_id=sign.signal_id,
        type_id=sign.type_id,
        pole=pose_of(*sign.foot, frame.heading + math.pi),
        trigger=Box(
            pose_of(*centre, float(frame.origin[2]) + 1.5, frame.heading),
            (length / 2.0, max(frame.half_width - 0.2, 0.8), 1.5),
        ),
    )


class _Face:
    """Draws on a vertical plane: u to the right and v up as seen by the driver, w towards him."""

    def __init__(self, builder: MeshBuilder, centre: tuple[float, float, float], facing: float) -> None:
        self.builder = builder
        self.centre = np.array(centre)
        self.right = np.array([-math.sin(facing), math.cos(facing), 0.0])  # of one who looks against `facing`
        self.out = np.array([math.cos(facing), math.sin(facing), 0.0])

    def polygon(self, uv: Array, w: float, colour: Colour) -> None:
        """(N, 2) convex outline, counter-clockwise as seen."""
        up = np.array([0.0, 0.0, 1.0])
        points = self.centre + uv[:, :1] * self.right + uv[:, 1:] * up + w * self.out
        n = len(points)
        fan = np.stack([np.zeros(n - 2, int), np.arange(1, n - 1), np.arange(2, n)], axis=1)
        self.builder.add(points, fan if w >= 0.0 else fan[:, ::-1], colour, Label.TRAFFIC_SIGNS)

    def box(self, u: float, v: float, half_u: float, half_v: float, w: float, colour: Colour) -> None:
        corners = np.array(
            [[u - half_u, v - half_v], [u + half_u, v - half_v], [u + half_u, v + half_v], [u - half_u, v + half_v]]
        )
        self.polygon(corners, w, colour)


def _ring(sides: int, radius: float, turn: float = 0.0) -> Array:
    angle = turn + 2.0 * math.pi * np.arange(sides) / sides
    return radius * np.column_stack([np.cos(angle), np.sin(angle)])


def _digits(face: _Face, text: str, height: float, w: float) -> None:
    width, pen = 0.55 * height, 0.075 * height
    pitch = width + 3.0 * pen
    for i, character in enumerate(text):
        u = (i - (len(text) - 1) / 2.0) * pitch
        half_u, half_v = width / 2.0 - pen, height / 2.0 - pen
        places = (
            (0.0, half_v, half_u, pen),
            (half_u, half_v / 2.0, pen, half_v / 2.0),
            (half_u, -half_v / 2.0, pen, half_v / 2.0),
            (0.0, -half_v, half_u, pen),
            (-half_u, -half_v / 2.0, pen, half_v / 2.0),
            (-half_u, half_v / 2.0, pen, half_v / 2.0),
            (0.0, 0.0, half_u, pen),
        )
        for lit, (du, dv, hu, hv) in zip(_DIGITS[int(character)], places, strict=True):
            if lit == "1":
                face.box(u + du, dv, hu, hv, w, BLACK)


def add_sign_post(builder: MeshBuilder, sign: Sign) -> Box:
    """A post with the plate that the type asks for. Returns what can be hit."""
    x, y, z = sign.foot
    facing = sign.frame.heading + math.pi
    builder.prism((x, y), z - 0.2, z + PLATE_Z_M + 0.3, POST_M, POST_M, 5, POLE_GREY, Label.POLES)
    off = POST_M + 0.02
    plate = (x + off * math.cos(facing), y + off * math.sin(facing), z + PLATE_Z_M)
    face = _Face(builder, plate, facing)
    if sign.type_id == STOP:
        eighth = math.pi / 8.0
        face.polygon(_ring(8, PLATE_M * 1.08, eighth), -0.01, GREY)
        face.polygon(_ring(8, PLATE_M * 1.08, eighth), 0.0, WHITE)
        face.polygon(_ring(8, PLATE_M, eighth), 0.006, RED)
        _stop_word(face)
    elif sign.type_id == YIELD:
        face.polygon(_ring(3, PLATE_M * 1.25, -math.pi / 2.0), -0.01, GREY)
        face.polygon(_ring(3, PLATE_M * 1.25, -math.pi / 2.0), 0.0, RED)
        face.polygon(_ring(3, PLATE_M * 0.72, -math.pi / 2.0), 0.006, WHITE)
    else:
        face.polygon(_ring(20, PLATE_M), -0.01, GREY)
        face.polygon(_ring(20, PLATE_M), 0.0, RED)
        face.polygon(_ring(20, PLATE_M * 0.78), 0.006, WHITE)
        text = sign.type_id.rpartition(".")[2]
        _digits(face, text, 0.36 if len(text) < 3 else 0.26, 0.012)
    half = (PLATE_Z_M + 0.3) / 2.0
    return Box(pose_of(x, y, z + half, facing), (POST_M, POST_M, half), Label.POLES)


def _stop_word(face: _Face) -> None:
    """STOP in bars of white."""
    h, w, pen = 0.13, 0.06, 0.017
    letters = (
        ((0, h, w, pen), (0, 0, w, pen), (0, -h, w, pen), (-w, h / 2, pen, h / 2), (w, -h / 2, pen, h / 2)),
        ((0, h, w, pen), (0, 0, pen, h)),
        ((0, h, w, pen), (0, -h, w, pen), (-w, 0, pen, h), (w, 0, pen, h)),
        ((0, h, w, pen), (0, 0, w, pen), (-w, 0, pen, h), (w, h / 2, pen, h / 2)),
    )
    for i, bars in enumerate(letters):
        u = (i - 1.5) * 0.17
        for du, dv, hu, hv in bars:
            face.box(u + du, float(dv), hu, hv, 0.012, WHITE)
