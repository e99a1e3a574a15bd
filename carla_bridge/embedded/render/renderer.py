"""The camera's view of the embedded world, on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..types import Instances, Mesh, Picture, View
from .fragments import Fragments, fragments
from .noise import noise_texture
from .raster import NOTHING, rasterise
from .scene import Moving, build_scene, place
from .shade import Lighting, resolve, shade, tone_table
from .shadow import MovingShadow, moving_shadow, openness, static_shadow
from .sky import build_sky

SAMPLES = (1, 4)  # a pixel


@dataclass(frozen=True)
class Frame:
    """The moving things of one moment, ready to be seen by any number of cameras at once."""

    moving: Moving
    shadows: MovingShadow


class _Scratch(threading.local):
    """Buffers that a thread reuses from picture to picture."""

    def __init__(self) -> None:
        self.shape = (0, 0)
        self.row = fragments(0)

    def row_of(self, capacity: int) -> Fragments:
        if len(self.row.number) < capacity:
            self.row = fragments(capacity)
        return self.row

    def buffers(self, height: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        if self.shape != (height, width):
            self.shape = (height, width)
            self.inverse_depth = np.empty((height, width), np.float32)
            self.ids = np.empty((height, width), np.int32)
        self.inverse_depth.fill(0.0)
        self.ids.fill(NOTHING)
        return self.inverse_depth, self.ids


class Renderer:
    """Draws a static mesh and instances of prototypes, lit by the sun and the sky.

    Thread-safe: `render` may run in several threads at once (its kernels release the GIL); a picture depends on the
    frame and the view only, to the byte.
    """

    def __init__(
        self,
        static: Mesh,
        prototypes: Sequence[Mesh],
        *,
        sun_azimuth_deg: float = 235.0,
        sun_altitude_deg: float = 42.0,
    ) -> None:
        self._scene = build_scene(static, prototypes)
        sky = build_sky(sun_azimuth_deg, sun_altitude_deg)
        self._lighting = Lighting(
            sky, static_shadow(self._scene, sky.sun), openness(self._scene), noise_texture(), tone_table()
        )
        self._scratch = _Scratch()

    def begin_frame(self, instances: Instances) -> Frame:
        """Place the instances and draw their shadows, once for all cameras of this moment."""
        moving = place(self._scene, instances)
        return Frame(moving, moving_shadow(moving, self._lighting.sky.sun))

    def render(
        self,
        frame: Frame,
        view: View,
        *,
        bgra: bool = True,
        depth: bool = False,
        labels: bool = False,
        actor_ids: bool = False,
        samples: int = 1,
    ) -> Picture:
        """One camera's picture. samples: 4 smooths the edges of the colours; the other planes see pixel centres."""
        if samples not in SAMPLES:
            raise ValueError(f"samples must be one of {SAMPLES}, received {samples}")
        if view.width < 1 or view.height < 1 or not 0.0 < view.fov_deg < 180.0:
            raise ValueError(f"a view needs a size and a field of view in 0..180 degrees, received {view}")
        camera = np.ascontiguousarray(np.asarray(view.world_from_camera, np.float64)[:3, :].T)
        focal_px = 0.5 * view.width / np.tan(0.5 * np.radians(view.fov_deg))
        shape = (view.height, view.width)
        want_planes = depth or labels or actor_ids
        depth_m = np.empty(shape if depth else (0, 0), np.float32)
        label = np.empty(shape if labels else (0, 0), np.uint8)
        actor = np.empty(shape if actor_ids else (0, 0), np.uint32)
        colour = np.empty((*shape, 4), np.uint8) if bgra else None
        scene, moving = self._scene, frame.moving
        if want_planes or samples == 1:
            ids = self._visible(frame, camera, focal_px, *shape)
        if want_planes:
            resolve(ids, camera, focal_px, scene.static, scene.surfaces, moving, depth_m, label, actor)
        if colour is not None:
            side = 1 if samples == 1 else 2
            if side > 1:
                ids = self._visible(frame, camera, side * focal_px, side * view.height, side * view.width)
            shade(
                ids,
                side,
                camera,
                side * focal_px,
                scene.static,
                scene.surfaces,
                moving,
                frame.shadows,
                self._lighting,
                self._scratch.row_of(side * side * view.width),
                colour,
            )
        return Picture(colour, depth_m if depth else None, label if labels else None, actor if actor_ids else None)

    def warm_up(self) -> None:
        """Compile (or load from the cache) every kernel, so that the first picture is as fast as the next."""
        nobody = Instances(
            np.zeros(0, np.int32), np.zeros((0, 4, 4), np.float32), np.zeros(0, np.uint32), np.zeros((0, 3), np.float32)
        )
        everybody = nobody
        if len(self._scene.prototypes.first) > 1:
            everybody = Instances(
                np.zeros(1, np.int32),
                np.eye(4, dtype=np.float32)[None],
                np.ones(1, np.uint32),
                np.ones((1, 3), np.float32),
            )
        view = View(16, 8, 90.0, np.eye(4))
        for instances in (nobody, everybody):
            frame = self.begin_frame(instances)
            self.render(frame, view, depth=True, labels=True, actor_ids=True)
        self.render(frame, view, samples=4)

    def _visible(
        self, frame: Frame, camera: npt.NDArray[np.float64], focal_px: float, height: int, width: int
    ) -> npt.NDArray[np.int32]:
        """(H, W) number of the nearest triangle of each pixel; the moving ones count on from the static ones."""
        inverse_depth, ids = self._scratch.buffers(height, width)
        left, right = np.empty(height, np.int32), np.empty(height, np.int32)
        first = 0
        for part in (self._scene.static, frame.moving.geometry):
            rasterise(
                part.corners,
                part.planes,
                part.chunk_first,
                part.spheres,
                first,
                camera,
                float(focal_px),
                inverse_depth,
                ids,
                left,
                right,
            )
            first += len(part.planes)
        return ids
