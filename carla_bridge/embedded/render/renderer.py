"""The camera's view of the embedded world, on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..types import Instances, Mesh, Picture, StreetLamp, View, Weather
from . import weather as meaning
from .fragments import Fragments, fragments
from .halo import Halos, draw_halos, halos, shining
from .lamps import Lamps, head_lamp_places, head_lamps, street_lamps
from .lens import BRIGHTEST, Lens, developed, tone_table, vignette
from .noise import noise_texture
from .planes import drift, face, resolve
from .raster import NOTHING, rasterise
from .scene import Moving, build_scene, place
from .shade import Lighting, shade
from .shadow import MovingShadow, moving_shadow, openness, static_shadow
from .sky import build_sky
from .water import streaks

SAMPLES = (1, 4)  # a pixel
LAMPS_BELOW_DEG = 5.0  # [deg] altitude of the sun
CLEAR, NORMAL = Weather(), Lens()


@dataclass(frozen=True)
class Frame:
    """The moving things and the light of one moment, ready to be seen by any number of cameras at once."""

    moving: Moving
    shadows: MovingShadow
    beams: Lamps
    shining: bool  # some vehicle has a light on
    halos: Halos | None  # by night
    lighting: Lighting


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
    """Draws a static mesh and instances of prototypes, lit by the sun and the sky, at night by lamps.

    Thread-safe: `render` may run in several threads at once (its kernels release the GIL); a picture depends on the
    frame and the view only, to the byte. `set_weather` may run beside it: it changes the frames that begin afterwards.
    """

    def __init__(
        self,
        static: Mesh,
        prototypes: Sequence[Mesh],
        *,
        weather: Weather = CLEAR,
        lamps: Sequence[StreetLamp] = (),
    ) -> None:
        self._scene = build_scene(static, prototypes)
        self._openness, self._noise = openness(self._scene), noise_texture()
        self._street = tuple(lamps)
        self._head_lamps = np.array([head_lamp_places(mesh) for mesh in prototypes]).reshape(-1, 2, 3)
        self._shining = shining(prototypes)
        self._scratch = _Scratch()
        self._lock = threading.Lock()
        self._shadow = static_shadow(self._scene, meaning.daylight(meaning.understood(weather)).sun)
        self._last: tuple[tuple[Weather, tuple[bool, ...]], Lighting] | None = None
        self._lighting = self.light_of(weather)

    def set_weather(self, weather: Weather) -> None:
        """Light for the frames that begin from now on."""
        self._lighting = self.light_of(weather)

    def light_of(self, weather: Weather, lamps_on: Sequence[bool] | None = None) -> Lighting:
        """Sky, shadows and air of a weather (the last one is remembered).

        lamps_on: which street lamps are, in the order given to this renderer; None: all of them while the sun is low.
        """
        weather = meaning.understood(weather)
        if lamps_on is None:
            lamps_on = [weather.sun_altitude_angle < LAMPS_BELOW_DEG] * len(self._street)
        wanted = weather, tuple(lamps_on)
        with self._lock:
            if self._last is None or self._last[0] != wanted:
                lamps = tuple(lamp for lamp, on in zip(self._street, lamps_on, strict=True) if on)
                self._last = wanted, self._made(weather, lamps)
            return self._last[1]

    def _made(self, weather: Weather, lamps: Sequence[StreetLamp]) -> Lighting:
        day = meaning.daylight(weather)
        if not np.array_equal(self._shadow.frame[5:], day.sun[:2] / day.sun[2]):
            self._shadow = static_shadow(self._scene, day.sun)
        return Lighting(
            build_sky(day),
            self._shadow,
            self._openness,
            self._noise,
            meaning.air(weather, day),
            meaning.water(weather),
            street_lamps(lamps),
            day.night,
        )

    def begin_frame(self, instances: Instances, lighting: Lighting | None = None) -> Frame:
        """Place the instances, draw their shadows and switch on their lamps, once for all cameras of this moment.

        lighting: of `light_of`; None: that of the weather set last.
        """
        lighting = lighting or self._lighting
        moving, prototype = place(self._scene, instances), np.asarray(instances.prototype, np.int32)
        beams = head_lamps(self._head_lamps, prototype, moving)
        return Frame(
            moving,
            moving_shadow(moving, lighting.sky.sun),
            beams,
            bool(moving.lights.any()),
            halos(self._shining, prototype, moving, (beams, lighting.street)) if lighting.night > 0.0 else None,
            lighting,
        )

    def render(
        self,
        frame: Frame,
        view: View,
        *,
        bgra: bool = True,
        depth: bool = False,
        labels: bool = False,
        actor_ids: bool = False,
        normals: bool = False,
        flow_from: npt.NDArray[np.float64] | None = None,
        samples: int = 1,
        lens: Lens = NORMAL,
        frame_number: int = 0,
    ) -> Picture:
        """One camera's picture. samples: 4 smooths the edges of the colours; the other planes see pixel centres.

        flow_from: where the camera was one step earlier, (4, 4) world_from_camera; None: no optical flow.
        frame_number: other rain drops in every frame.
        """
        if samples not in SAMPLES:
            raise ValueError(f"samples must be one of {SAMPLES}, received {samples}")
        if view.width < 1 or view.height < 1 or not 0.0 < view.fov_deg < 180.0:
            raise ValueError(f"a view needs a size and a field of view in 0..180 degrees, received {view}")
        camera = _axes(view.world_from_camera)
        focal_px = 0.5 * view.width / np.tan(0.5 * np.radians(view.fov_deg))
        shape = (view.height, view.width)
        want_planes = depth or labels or actor_ids
        depth_m = np.empty(shape if depth else (0, 0), np.float32)
        label = np.empty(shape if labels else (0, 0), np.uint8)
        actor = np.empty(shape if actor_ids else (0, 0), np.uint32)
        normal = np.empty((*shape, 3), np.float32) if normals else None
        flow = np.empty((*shape, 2), np.float32) if flow_from is not None else None
        colour = np.empty((*shape, 4), np.uint8) if bgra else None
        scene, moving = self._scene, frame.moving
        if want_planes or normals or flow is not None or (bgra and samples == 1):
            ids = self._visible(frame, camera, focal_px, *shape)
        if want_planes:
            resolve(ids, camera, focal_px, scene.static, scene.surfaces, moving, depth_m, label, actor)
        if normal is not None:
            face(ids, scene.static, moving, normal)
        if flow is not None and flow_from is not None:
            drift(ids, camera, _axes(flow_from), focal_px, scene.static, moving, flow)
        if colour is not None:
            side = 1 if samples == 1 else 2
            if side > 1:
                ids = self._visible(frame, camera, side * focal_px, side * view.height, side * view.width)
            self._colour(frame, ids, side, camera, focal_px, lens, frame_number, colour)
        return Picture(
            colour,
            depth_m if depth else None,
            label if labels else None,
            actor if actor_ids else None,
            normal,
            flow,
        )

    def _colour(
        self,
        frame: Frame,
        ids: npt.NDArray[np.int32],
        side: int,
        camera: npt.NDArray[np.float64],
        focal_px: float,
        lens: Lens,
        frame_number: int,
        out: npt.NDArray[np.uint8],
    ) -> None:
        gain = 2.0**lens.exposure_compensation
        tones = tone_table(gain, lens.gamma)
        shade(
            ids,
            side,
            camera,
            side * focal_px,
            self._scene.static,
            self._scene.surfaces,
            frame.moving,
            frame.shadows,
            frame.beams,
            frame.shining,
            frame.lighting,
            tones,
            BRIGHTEST / gain,
            self._scratch.row_of(side * side * out.shape[1]),
            out,
        )
        rain, sky = frame.lighting.water.rain, frame.lighting.sky
        if rain > 0.0:
            colour = developed(0.5 * sky.tones[1] + 0.35 * sky.above + 0.12 * frame.lighting.night, tones)
            place_mm = np.round(camera[3] * 1000.0).astype(np.int64)
            seed = int(frame_number * 7919 + place_mm @ np.array([31, 57, 91])) & 0x7FFFFFFF
            streaks(out, camera, float(focal_px), rain, colour, seed)
        if frame.halos is not None:
            fog = frame.lighting.air.density + frame.lighting.air.level
            inverse_depth, night = self._scratch.inverse_depth, frame.lighting.night
            draw_halos(out, camera, float(focal_px), inverse_depth, side, frame.halos, night, fog)
        if lens.circle_multiplier > 0.0:
            vignette(out, float(lens.circle_multiplier), float(lens.circle_falloff))

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
            self.render(frame, view, depth=True, labels=True, actor_ids=True, normals=True, flow_from=np.eye(4))
        light = frame.lighting
        wild = replace(
            frame,
            lighting=light._replace(night=1.0, water=light.water._replace(rain=1.0)),
            halos=halos(self._shining, np.zeros(0, np.int32), place(self._scene, nobody), (light.street,)),
        )
        self.render(wild, view, samples=4, lens=Lens(circle_multiplier=1.0))

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


def _axes(world_from_camera: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(4, 3) forward, right, up, position."""
    return np.ascontiguousarray(np.asarray(world_from_camera, np.float64)[:3, :].T)
