"""Every town, seen by the rasteriser and by Embree's rays."""

from __future__ import annotations

import os

import numpy as np
import pytest
from render_helpers import NOBODY, Oracle

from carla_bridge.embedded.render import Renderer
from carla_bridge.embedded.towns import TOWN_NAMES, load_town
from carla_bridge.embedded.types import Pose, Town, View

ALLOWED = 10e-6  # share of pixels whose centre lies on an edge, to rounding


def random_view(town: Town, rng: np.random.Generator) -> View:
    """On a road, beside it, close to walls, high above; looking anywhere, mostly ahead."""
    start = town.spawn_points[rng.integers(len(town.spawn_points))]
    aside = rng.normal(0.0, 25.0, 2) if rng.random() < 0.5 else rng.normal(0.0, 2.0, 2)
    height = start.z + float(rng.choice([1.2, 1.7, 2.5, 6.0, 40.0]))
    pitch = float(rng.normal(0.0, 8.0) if height < start.z + 10.0 else rng.uniform(-60.0, 0.0))
    yaw, roll = start.yaw + float(rng.uniform(-180.0, 180.0)), float(rng.normal(0.0, 3.0))
    pose = Pose(start.x + aside[0], start.y + aside[1], height, pitch, yaw, roll)
    return View(256, 144, float(rng.uniform(40.0, 110.0)), pose.matrix())


def compare(name: str, frames: int, seed: int) -> None:
    town = load_town(name)
    corners = town.mesh.vertices[town.mesh.triangles]
    renderer, oracle = Renderer(town.mesh, []), Oracle(corners, town.mesh.labels)
    frame, rng = renderer.begin_frame(NOBODY), np.random.default_rng(seed)
    wrong_labels = wrong_depths = pixels = 0
    for _ in range(frames):
        view = random_view(town, rng)
        picture = renderer.render(frame, view, bgra=False, depth=True, labels=True)
        labels, depths = oracle.look(view)
        wrong_labels += int((picture.labels.ravel() != labels).sum())
        wrong_depths += int((np.abs(picture.depth_m.ravel() - depths) > 0.01).sum())
        pixels += labels.size
    allowed = max(ALLOWED * pixels, 3.0)
    assert max(wrong_labels, wrong_depths) <= allowed, (name, wrong_labels, wrong_depths, pixels)


@pytest.mark.parametrize("name", TOWN_NAMES)
def test_towns_look_as_rays_see_them(name: str) -> None:
    compare(name, frames=8, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOWN_NAMES)
def test_towns_look_as_rays_see_them_in_many_frames(name: str) -> None:
    compare(name, frames=int(os.environ.get("E2E_DRIVE_ORACLE_FRAMES", "200")), seed=2)
