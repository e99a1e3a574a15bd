"""People: standing, walking in eight phases, riding.

A figure is given by its joints; skins of a few faces are put over them. Proportions after Drillis and Contini (1966),
segment lengths as shares of the height; angles of hip and knee over a gait cycle are simple curves with the ranges of
Winter, Biomechanics and Motor Control of Human Movement (hip -12..+28 degrees, knee 5..60).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carla_bridge.embedded.gait import PHASES
from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of
from carla_bridge.embedded.towns.prototypes.parts import Array, Looks, Skin, ring, tube
from carla_bridge.embedded.types import Label, Material

CLOTHES: Looks = ((0.92, 0.92, 0.92), Material.BODY)  # multiplied by the instance's tint
SHOE: Looks = (colour_of("#221f1e"), Material.PLAIN)


@dataclass(frozen=True)
class Build:
    """What somebody looks like; lengths as shares of the height."""

    height_m: float
    half_width: float  # of the shoulders, arms not counted
    girth: float  # factor on the limbs and the trunk
    trousers: Colour
    skin: Colour
    hair: Colour
    long_hair: bool = False
    skirt: bool = False
    head: float = 0.062  # half width


BUILDS: dict[str, Build] = {
    "pedestrian": Build(1.80, 0.112, 1.0, colour_of("#2b3347"), colour_of("#c99a7c"), colour_of("#33241b")),
    "pedestrian_woman": Build(
        1.80, 0.098, 0.90, colour_of("#3a3438"), colour_of("#d8ab8c"), colour_of("#5a3a22"), True, True
    ),
    "pedestrian_stout": Build(1.80, 0.118, 1.22, colour_of("#4b463c"), colour_of("#8d5f44"), colour_of("#1a1614")),
    "child": Build(1.20, 0.112, 1.08, colour_of("#39506e"), colour_of("#d2a284"), colour_of("#6b4a2a"), head=0.086),
}
# half length, width, height [m] of the box that a figure is fitted by: arms at its sides, feet together
EXTENTS: dict[str, tuple[float, float, float]] = {
    "pedestrian": (0.20, 0.30, 0.90),
    "pedestrian_woman": (0.20, 0.30, 0.90),
    "pedestrian_stout": (0.20, 0.30, 0.90),
    "child": (0.15, 0.20, 0.60),
}


@dataclass(frozen=True)
class Joints:
    """Points in space [m]; pairs are (right, left)."""

    pelvis: Array
    neck: Array
    head: Array
    hips: tuple[Array, Array]
    knees: tuple[Array, Array]
    ankles: tuple[Array, Array]
    shoulders: tuple[Array, Array]
    elbows: tuple[Array, Array]
    hands: tuple[Array, Array]
    pitch_of_feet: tuple[float, float] = (0.0, 0.0)  # [rad] toes down


def _swing(length: float, angle: float) -> Array:
    """A limb of this length hanging down, swung forward by an angle [rad]."""
    return np.array([length * np.sin(angle), 0.0, -length * np.cos(angle)])


def upright(build: Build, phase: int | None) -> Joints:
    """Standing, or one of the phases of walking; the lowest foot is on the ground."""
    h = build.height_m
    thigh, shin, ankle_height = 0.245 * h, 0.246 * h, 0.039 * h
    arm, forearm = 0.186 * h, 0.17 * h
    hips, knees, ankles, shoulders, elbows, hands, toes = [], [], [], [], [], [], []
    for side in (-1.0, 1.0):
        turn = 0.0 if phase is None else 2.0 * np.pi * phase / PHASES + (np.pi if side < 0 else 0.0)
        lift = 0.0 if phase is None else 1.0
        hip_angle = lift * np.radians(4.0 + 24.0 * np.cos(turn))
        # a leg that swings forward (its hip angle grows) is bent; one that carries is nearly straight
        knee_angle = lift * np.radians(6.0 + 50.0 * max(0.0, -np.sin(turn - 0.35)) ** 2)
        hip = np.array([0.0, side * 0.048 * h, 0.0])
        knee = hip + _swing(thigh, hip_angle)
        ankle = knee + _swing(shin, hip_angle - knee_angle)
        hips.append(hip)
        knees.append(knee)
        ankles.append(ankle)
        toes.append(0.5 * (knee_angle - hip_angle) if lift else 0.0)
        shoulder = np.array([0.0, side * (build.half_width + 0.012 * build.girth) * h, 0.268 * h])
        arm_angle = -lift * np.radians(22.0 * np.cos(turn))
        elbow = shoulder + _swing(arm, arm_angle) + [0.0, side * 0.010 * h, 0.0]
        shoulders.append(shoulder)
        elbows.append(elbow)
        hands.append(elbow + _swing(forearm, arm_angle + lift * np.radians(18.0)))
    rise = ankle_height - min(float(a[2]) - 0.10 * h * max(0.0, np.sin(t)) for a, t in zip(ankles, toes, strict=True))
    up = np.array([0.0, 0.0, rise])

    def pair(points: list[Array]) -> tuple[Array, Array]:
        return points[0] + up, points[1] + up

    return Joints(
        up,
        up + np.array([0.01 * h, 0.0, 0.30 * h]),
        up + np.array([0.015 * h, 0.0, 0.395 * h]),
        pair(hips),
        pair(knees),
        pair(ankles),
        pair(shoulders),
        pair(elbows),
        pair(hands),
        (toes[0], toes[1]),
    )


def _trunk(builder: MeshBuilder, build: Build, joints: Joints, label: Label, collar: bool) -> None:
    h, g = build.height_m, build.girth
    course = (joints.neck - joints.pelvis) / np.linalg.norm(joints.neck - joints.pelvis)
    across = np.array([0.0, 1.0, 0.0])
    fore = np.cross(across, course)
    below: Looks = CLOTHES if build.skirt else (build.trousers, Material.PLAIN)
    rows = (  # share of the way from pelvis to neck, half width, half depth
        (-0.16, 0.078 * g, 0.052 * g),
        (0.16, 0.092 * g, 0.061 * g),
        (0.86, build.half_width, 0.064 * g),
        (1.04, 0.042, 0.034),
    )
    rings = tuple(
        ring(joints.pelvis + share * (joints.neck - joints.pelvis), fore * depth * h, across * width * h, 6)
        for share, width, depth in rows
    )
    Skin(rings).draw(builder, [below, CLOTHES, CLOTHES], label, top=collar)
    if build.skirt:
        knees = 0.5 * (joints.knees[0] + joints.knees[1])
        reach = 0.5 * float(abs(joints.knees[0][0] - joints.knees[1][0]))
        hem = ring(knees + np.array([0.0, 0.0, 0.02 * h]), fore * (0.07 * h + reach), across * 0.105 * h, 6)
        Skin((hem, rings[1] * [1.03, 1.03, 1.0])).draw(builder, CLOTHES, label)


def _head(builder: MeshBuilder, build: Build, joints: Joints, label: Label) -> None:
    h, r = build.height_m, build.head
    skin, hair = (build.skin, Material.PLAIN), (build.hair, Material.PLAIN)
    x, y, z = joints.head
    top = z + 0.075 * h * (build.head / 0.062) ** 0.5

    def level(share: float, width: float, shift: float = 0.0) -> Array:
        height = joints.neck[2] + share * (top - joints.neck[2])
        return ring((x + shift * h, y, height), (width * 1.12 * h, 0, 0), (0, width * h, 0), 6, 0.0)

    levels = (level(0.0, 0.036, -0.006), level(0.30, 0.80 * r), level(0.74, r), level(1.0, 0.55 * r, -0.004))
    Skin(levels[:2]).draw(builder, skin, label, bottom=False, top=False)
    Skin(levels[2:]).draw(builder, hair, label, bottom=False)
    # the corner 0 of a ring is the nose: edges 2 and 3 are the back of the head
    for edge in range(6):
        face = [levels[1][edge], levels[1][(edge + 1) % 6], levels[2][(edge + 1) % 6], levels[2][edge]]
        colour, material = hair if edge in (2, 3) else skin
        builder.quad(face, colour, label, material)
    Skin(levels[1:3]).mark_pair(builder, 0, (1, 4), (0.45, 1.0), (0.0, 1.0), hair, label, 0.003)
    if build.long_hair:
        fall = (level(-0.16, 0.9 * r, -0.035), level(0.62, 0.96 * r, -0.022))
        Skin(fall).draw(builder, hair, label)


def draw_figure(builder: MeshBuilder, build: Build, joints: Joints, label: Label, helmet: Looks | None = None) -> None:
    h, g = build.height_m, build.girth
    trousers: Looks = (build.trousers, Material.PLAIN)
    skin: Looks = (build.skin, Material.PLAIN)
    for k in (0, 1):
        leg = (joints.hips[k], joints.knees[k], joints.ankles[k])
        thigh, calf = (CLOTHES, skin) if build.skirt else (trousers, trousers)
        tube(builder, leg, (0.050 * g * h, 0.036 * g * h, 0.025 * h), [thigh, calf], label, caps=(False, False))
        tilt = joints.pitch_of_feet[k]
        forward, down = np.array([np.cos(tilt), 0.0, -np.sin(tilt)]), np.array([-np.sin(tilt), 0.0, -np.cos(tilt)])
        heel = joints.ankles[k] - 0.030 * h * forward
        across = np.array([0.0, 0.026 * h, 0.0])
        soles = [heel + 0.019 * h * down, heel + 0.13 * h * forward + 0.025 * h * down]
        rings = tuple(ring(c, across * 1.3, -down * s * h, 4) for c, s in zip(soles, (0.028, 0.016), strict=True))
        Skin(rings).draw(builder, SHOE, label)
        arm = (joints.shoulders[k], joints.elbows[k], joints.hands[k])
        tube(builder, arm, (0.022 * g * h, 0.028 * g * h, 0.019 * h), CLOTHES, label)
        reach = (joints.hands[k] - joints.elbows[k]) / np.linalg.norm(joints.hands[k] - joints.elbows[k])
        tube(
            builder,
            (joints.hands[k], joints.hands[k] + 0.055 * h * reach),
            (0.0185 * h, 0.020 * h),
            skin,
            label,
            caps=(False, True),
        )
    _trunk(builder, build, joints, label, collar=helmet is not None)
    if helmet is None:
        _head(builder, build, joints, label)
        return
    x, y, z = joints.head
    levels = ((-0.07, 0.05, skin), (-0.03, 0.064, helmet), (0.03, 0.074, helmet), (0.075, 0.045, helmet))
    rings = tuple(ring((x, y, z + dz * h), (1.15 * r * h, 0, 0), (0, r * h, 0), 6, 0.0) for dz, r, _ in levels)
    Skin(rings).draw(builder, [looks for _, _, looks in levels[:-1]], label)


def draw_person(builder: MeshBuilder, name: str) -> None:
    """`pedestrian`, `child_walk_3` and so on."""
    build_name, _, phase = name.partition("_walk_")
    build = BUILDS[build_name]
    draw_figure(builder, build, upright(build, int(phase) if phase else None), Label.PEDESTRIANS)
