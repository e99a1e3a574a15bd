"""Light and shadow, materials, anti-aliasing, and that pictures are the same bytes however they are made."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from numba.core.dispatcher import Dispatcher
from render_helpers import NOBODY, box, ground, mesh_of

from carla_bridge.embedded.render import (
    Renderer,
    fog,
    fragments,
    halo,
    lamps,
    lens,
    light,
    materials,
    noise,
    planes,
    raster,
    scene,
    shade,
    shadow,
    sky,
    water,
)
from carla_bridge.embedded.render.scene import build_scene
from carla_bridge.embedded.render.shadow import static_shadow
from carla_bridge.embedded.render.weather import direction as sun_direction
from carla_bridge.embedded.types import Instances, Label, Material, Mesh, Pose, StreetLamp, View, Weather

FROM_ABOVE = View(200, 200, 60.0, Pose(z=40.0, pitch=-90.0).matrix())  # picture up is +x, right is +y


def placed(pose: Pose, actor_id: int = 7) -> Instances:
    return Instances(
        np.zeros(1, np.int32),
        pose.matrix()[None].astype(np.float32),
        np.array([actor_id], np.uint32),
        np.ones((1, 3), np.float32),
    )


def brightness_at(renderer: Renderer, instances: Instances, x: float, y: float) -> float:
    picture = renderer.render(renderer.begin_frame(instances), FROM_ABOVE)
    per_m = 100.0 / np.tan(np.radians(30.0)) / 40.0
    row, column = int(100 - x * per_m), int(100 + y * per_m)
    return float(picture.bgra[row - 1 : row + 2, column - 1 : column + 2, :3].mean())


@pytest.mark.parametrize("azimuth_deg", [0.0, 70.0, 200.0])
@pytest.mark.parametrize("still", [True, False])
def test_shadow_falls_away_from_the_sun_as_far_as_the_sun_is_high(azimuth_deg: float, still: bool) -> None:
    tower = box((0, 0, 3), (1, 1, 3))
    lawn = ground(60.0)
    static = mesh_of(np.concatenate([lawn, tower]) if still else lawn, Label.GROUND)
    weather = Weather(sun_azimuth_angle=azimuth_deg, sun_altitude_angle=45.0)
    renderer = Renderer(static, [mesh_of(tower, Label.CAR)], weather=weather)
    instances = NOBODY if still else placed(Pose())
    away = -sun_direction(azimuth_deg, 45.0)[:2] / np.cos(np.radians(45.0))
    shaded = [brightness_at(renderer, instances, *(away * r)) for r in (2.5, 4.0, 5.0)]
    lit = [brightness_at(renderer, instances, *(away * r)) for r in (9.0, -2.5, -4.0)]
    assert max(shaded) < 0.75 * min(lit)


def test_shadow_map_agrees_with_rays_to_the_sun() -> None:
    rng = np.random.default_rng(5)
    corners = np.concatenate(
        [
            box((*rng.uniform(-40, 40, 2), h), (*rng.uniform(0.5, 5, 2), h), float(rng.uniform(0, 360)))
            for h in rng.uniform(1, 8, 50)
        ]
    )
    sun = sun_direction(130.0, 38.0)
    town = static_shadow(build_scene(mesh_of(corners, Label.BUILDINGS), []), sun)
    rays = rtcore_scene.EmbreeScene()
    TriangleMesh(rays, corners.astype(np.float32))
    points = np.column_stack([rng.uniform(-50, 50, (20_000, 2)), np.full(20_000, 0.02)]).astype(np.float32)
    blocked = rays.run(points, np.tile(sun, (len(points), 1)).astype(np.float32)) >= 0
    x0, y0, per_m, base, per_step = town.frame[:5]
    at = np.floor((points[:, :2] - points[:, 2:] * sun[:2] / sun[2] - (x0, y0)) * per_m).astype(int)
    inside = ((at >= 0) & (at < len(town.heights))).all(axis=1)
    mapped = np.zeros(len(points), bool)
    mapped[inside] = town.heights[at[inside, 1], at[inside, 0]] > 1.0 + (points[inside, 2] - base) * per_step
    assert 0.1 < blocked.mean() < 0.9
    assert (mapped != blocked).mean() < 0.01  # texels that a shadow's edge crosses


def crowded() -> tuple[Mesh, list[Mesh], Instances, list[View]]:
    """Every material, moving and not, seen from several sides."""
    rng = np.random.default_rng(6)
    parts = [mesh_of(ground(80.0), Label.ROADS, Material.ASPHALT)]
    for i, material in enumerate(Material):
        parts.append(mesh_of(box((12.0, 5.0 * i - 20.0, 2.0), (2, 2, 2), 20.0 * i), Label.BUILDINGS, material))
        parts.append(mesh_of(ground(3.0, 0.05) + np.array([5.0, 7.0 * i - 28.0, 0.0]), Label.TERRAIN, material))
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts])[:-1]
    static = Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.triangles + o for p, o in zip(parts, offsets, strict=True)]).astype(np.int32),
        rng.uniform(0, 1, (sum(len(p.triangles) for p in parts), 3)).astype(np.float32),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.materials for p in parts]),
    )
    prototypes = [mesh_of(box((0, 0, 0.8), (2, 0.9, 0.7)), Label.CAR, m) for m in (Material.BODY, Material.GLASS)]
    matrices = np.stack(
        [Pose(*rng.uniform(-10, 10, 2), 0, 0, rng.uniform(0, 360), 0).matrix() for _ in range(12)]
    ).astype(np.float32)
    instances = Instances(
        np.arange(12, dtype=np.int32) % 2,
        matrices,
        np.arange(1, 13, dtype=np.uint32),
        rng.uniform(0, 1, (12, 3)).astype(np.float32),
    )
    views = [View(160, 96, 90.0, Pose(-8, 0, 2, -5, 40 * k - 60, 3 * k).matrix()) for k in range(6)]
    return static, prototypes, instances, views


def test_same_bytes_whatever_the_threads() -> None:
    static, prototypes, instances, views = crowded()
    planes = {"depth": True, "labels": True, "actor_ids": True}

    def pictures(workers: int) -> list[bytes]:
        renderer = Renderer(static, prototypes)
        frame = renderer.begin_frame(instances)
        with ThreadPoolExecutor(workers) as pool:
            made = pool.map(
                lambda job: renderer.render(frame, job[0], samples=job[1], **planes),
                [(view, samples) for _ in range(3) for view in views for samples in (1, 4)],
            )
            return [p.bgra.tobytes() + p.depth_m.tobytes() + p.labels.tobytes() + p.actor_ids.tobytes() for p in made]

    alone = pictures(1)
    assert alone == pictures(2)
    assert alone[:12] == alone[12:24]
    assert len(set(alone)) == 12


def digest() -> str:
    """Of pictures by day and in a rainy night."""
    static, prototypes, instances, views = crowded()
    renderer = Renderer(static, prototypes, lamps=[StreetLamp((8.0, 0.0, 6.0))])
    total = hashlib.sha256()
    for weather in (Weather(), Weather(precipitation=70.0, wetness=80.0, fog_density=40.0, sun_altitude_angle=-40.0)):
        lit = replace(instances, light_flags=np.full(12, 10, np.uint32))
        frame = renderer.begin_frame(lit, renderer.light_of(weather))
        for view in views:
            picture = renderer.render(frame, view, samples=4, depth=True, normals=True, flow_from=np.eye(4))
            for plane in (picture.bgra, picture.depth_m, picture.normals, picture.flow):
                total.update(plane.tobytes())
    return total.hexdigest()


def test_same_bytes_in_another_process() -> None:
    command = [sys.executable, "-c", "import test_render_light; print(test_render_light.digest())"]
    other = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest()


def test_only_what_is_asked_for_is_returned() -> None:
    static, prototypes, instances, views = crowded()
    renderer = Renderer(static, prototypes)
    frame = renderer.begin_frame(instances)
    picture = renderer.render(frame, views[2])
    assert picture.bgra.shape == (96, 160, 4)
    assert (picture.bgra[..., 3] == 255).all()
    assert (picture.depth_m, picture.labels, picture.actor_ids) == (None, None, None)
    full = renderer.render(frame, views[2], depth=True, labels=True, actor_ids=True)
    assert np.array_equal(full.bgra, picture.bgra)
    assert np.array_equal(full.labels == Label.CAR, full.actor_ids > 0)
    assert np.array_equal(full.labels == Label.SKY, full.depth_m == 1000.0)


def test_supersampling_smooths_edges_and_nothing_else() -> None:
    static, prototypes, instances, views = crowded()
    renderer = Renderer(static, prototypes)
    frame = renderer.begin_frame(instances)
    for view in views:
        one = renderer.render(frame, view).bgra.astype(float)
        four = renderer.render(frame, view, samples=4).bgra.astype(float)
        assert abs(one.mean() - four.mean()) < 1.5
        assert np.abs(np.diff(four, axis=1)).mean() < np.abs(np.diff(one, axis=1)).mean()


def test_a_lamp_shines_and_paint_takes_its_tint() -> None:
    shapes = [mesh_of(box((0, 0, 1), (1, 1, 1)), Label.CAR, m) for m in (Material.BODY, Material.EMISSIVE)]
    renderer = Renderer(mesh_of(ground(30.0), Label.GROUND), shapes, weather=Weather(sun_altitude_angle=60.0))
    matrices = np.stack([Pose(0, y).matrix() for y in (-4, 0, 4)]).astype(np.float32)
    instances = Instances(
        np.array([0, 1, 0], np.int32),
        matrices,
        np.arange(1, 4, dtype=np.uint32),
        np.array([[1, 0, 0], [1, 1, 1], [0, 0, 1]], np.float32),
    )
    picture = renderer.render(renderer.begin_frame(instances), FROM_ABOVE, actor_ids=True)
    red, lamp, blue = (picture.bgra[picture.actor_ids == k][:, :3].astype(float).mean(axis=0) for k in (1, 2, 3))
    assert red[2] > 1.3 * red[0]
    assert blue[0] > 1.3 * blue[2]
    assert lamp.min() > 170


def test_nothing_is_left_to_compile_after_warm_up() -> None:
    static, prototypes, instances, views = crowded()
    renderer = Renderer(static, prototypes)
    renderer.warm_up()
    kernels = {
        name: value
        for module in (
            *(fog, fragments, halo, lamps, lens, light, materials),
            *(noise, planes, raster, scene, shade, shadow, sky, water),
        )
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher)
    }
    before = {name: len(kernel.signatures) for name, kernel in kernels.items()}
    for array in (instances.prototype, instances.matrices, instances.actor_ids, instances.tints):
        array.flags.writeable = False
    for given in (instances, NOBODY):
        frame = renderer.begin_frame(given)
        for samples in (1, 4):
            renderer.render(frame, views[0], depth=True, labels=True, actor_ids=True, samples=samples)
    renderer.set_weather(Weather(precipitation=80.0, sun_altitude_angle=-90.0, fog_density=50.0))
    lit = replace(instances, light_flags=np.full(12, 2, np.uint32), previous=instances.matrices)
    renderer.render(renderer.begin_frame(lit), views[0], normals=True, flow_from=np.eye(4), samples=4)
    assert {name: len(kernel.signatures) for name, kernel in kernels.items()} == before
