"""A tiny hand-made town: flat ground, one wall, one junction with two phases."""

from __future__ import annotations

import numpy as np

from carla_bridge.embedded.actors import Shape, load_shapes
from carla_bridge.embedded.types import Box, Label, Mesh, Pose, Town, TrafficLightPlacement
from carla_bridge.embedded.world import World

WALL = Box(Pose(100.0, 0.0, 2.0), (0.5, 10.0, 2.0), Label.WALLS)
SHAPES = {
    **load_shapes(),
    "car_sedan": Shape((0.0, 0.0, 0.74), (2.4, 0.95, 0.74)),
    "car_hatch": Shape((0.0, 0.0, 0.75), (2.0, 0.9, 0.75)),
    "suv": Shape((0.0, 0.0, 0.87), (2.3, 0.98, 0.87)),
    "van": Shape((0.0, 0.0, 1.15), (2.7, 1.0, 1.15)),
    "truck": Shape((0.0, 0.0, 1.55), (3.6, 1.2, 1.55)),
    "pedestrian": Shape((0.0, 0.0, 0.9), (0.2, 0.3, 0.9)),
    "light_red": Shape((0.1, 0.0, 0.0), (0.24, 0.48, 0.98)),
    "light_yellow": Shape((0.1, 0.0, 0.0), (0.24, 0.48, 0.98)),
    "light_green": Shape((0.1, 0.0, 0.0), (0.24, 0.48, 0.98)),
    "light_off": Shape((0.1, 0.0, 0.0), (0.24, 0.48, 0.98)),
    "box": Shape((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
}
NO_MESH = Mesh(
    np.zeros((0, 3), np.float32),
    np.zeros((0, 3), np.int32),
    np.zeros((0, 3), np.float32),
    np.zeros(0, np.uint8),
    np.zeros(0, np.uint8),
)


def light(number: int, group: int, phase: int, heading_deg: float) -> TrafficLightPlacement:
    """A light for cars driving at this heading through the origin; they stop 8 m before it."""
    yaw = np.radians(heading_deg)
    ahead, right = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    stop, pole = -8.0 * ahead, 8.0 * ahead + 6.0 * right
    middle = stop - 8.0 * ahead
    head = Pose(pole[0], pole[1], 5.0, 0.0, heading_deg + 180.0)
    return TrafficLightPlacement(
        str(number),
        Pose(pole[0], pole[1], 0.0, 0.0, heading_deg),
        head,
        Box(Pose(middle[0], middle[1], 1.0, 0.0, heading_deg), (8.0, 1.75, 1.0)),
        group,
        phase,
    )


def make_town(solids: tuple[Box, ...] = (), lights: tuple[TrafficLightPlacement, ...] = ()) -> Town:
    return Town("Toy", "", (Pose(0.0, 0.0, 0.4),), NO_MESH, lights, solids, ())


def make_world(solids: tuple[Box, ...] = (), lights: tuple[TrafficLightPlacement, ...] = (), seed: int = 0) -> World:
    return World(make_town(solids, lights), seed, shapes=SHAPES)


def car(world: World, x: float = 0.0, y: float = 0.0, yaw: float = 0.0, kind: str = "vehicle.lincoln.mkz_2020") -> int:
    """Spawn a car standing on the ground; its actor id."""
    return world.spawn(kind, 1, {}, Pose(x, y, 0.0, 0.0, yaw)).id


def run(world: World, seconds: float) -> None:
    for _ in range(round(seconds / 0.05)):
        world.step(0.05)
