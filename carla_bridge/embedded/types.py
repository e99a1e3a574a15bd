"""The nouns shared inside the embedded world.

Coordinates are CARLA's own everywhere in this folder: left-handed, x east/forward, y south/right, z up, metres;
angles in degrees, yaw clockwise seen from above (from x towards y), pitch nose-up, roll right-down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Label(IntEnum):
    """CARLA 0.9.16 semantic tags (carla.CityObjectLabel)."""

    NONE = 0
    ROADS = 1
    SIDEWALKS = 2
    BUILDINGS = 3
    WALLS = 4
    FENCES = 5
    POLES = 6
    TRAFFIC_LIGHT = 7
    TRAFFIC_SIGNS = 8
    VEGETATION = 9
    TERRAIN = 10
    SKY = 11
    PEDESTRIANS = 12
    RIDER = 13
    CAR = 14
    TRUCK = 15
    BUS = 16
    TRAIN = 17
    MOTORCYCLE = 18
    BICYCLE = 19
    STATIC = 20
    DYNAMIC = 21
    OTHER = 22
    WATER = 23
    ROAD_LINES = 24
    GROUND = 25
    BRIDGE = 26
    RAIL_TRACK = 27
    GUARD_RAIL = 28


class Material(IntEnum):
    """How the shader treats a triangle; its colour is the base colour in every case."""

    PLAIN = 0
    ASPHALT = 1  # fine grain and patches in world x, y
    PAVING = 2  # slabs
    GRASS = 3
    FACADE = 4  # windows on a grid in wall coordinates (along the wall, z)
    FOLIAGE = 5
    EMISSIVE = 6  # unlit: the colour is what is seen (lamps)
    BODY = 7  # car paint: multiplied by the instance's tint, a little glossy
    GLASS = 8
    HEADLAMP = 9  # a vehicle's lamps: as PLAIN by day and while they are off
    TAILLAMP = 10
    INDICATOR = 11


@dataclass(frozen=True)
class Mesh:
    """Triangles, front face counter-clockwise seen from outside *in a right-handed picture of (x, -y, z)*,
    which is: normal = cross(v2 - v0, v1 - v0) in the left-handed coordinates used here points outwards."""

    vertices: npt.NDArray[np.float32]  # (V, 3) [m]
    triangles: npt.NDArray[np.int32]  # (T, 3)
    colours: npt.NDArray[np.float32]  # (T, 3) sRGB in 0..1, red green blue
    labels: npt.NDArray[np.uint8]  # (T,) Label
    materials: npt.NDArray[np.uint8]  # (T,) Material


@dataclass(frozen=True)
class Pose:
    """A CARLA transform."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0

    def matrix(self) -> npt.NDArray[np.float64]:
        """(4, 4) local -> parent, as carla.Transform.get_matrix()."""
        cy, sy = np.cos(np.radians(self.yaw)), np.sin(np.radians(self.yaw))
        cp, sp = np.cos(np.radians(self.pitch)), np.sin(np.radians(self.pitch))
        cr, sr = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        return np.array(
            [
                [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr, self.x],
                [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr, self.y],
                [sp, -cp * sr, cp * cr, self.z],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )


@dataclass(frozen=True)
class Weather:
    """carla.WeatherParameters, in wire order; the default is a clear afternoon."""

    cloudiness: float = 5.0  # 0..100, as all the shares below
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0  # puddles
    wind_intensity: float = 10.0
    sun_azimuth_angle: float = 235.0  # [deg]
    sun_altitude_angle: float = 42.0  # [deg] -90 midnight .. 90 noon
    fog_density: float = 2.0
    fog_distance: float = 0.75  # [m] where the fog begins
    fog_falloff: float = 0.1  # how fast it thins out upwards
    wetness: float = 0.0
    scattering_intensity: float = 1.0
    mie_scattering_scale: float = 0.03
    rayleigh_scattering_scale: float = 0.0331
    dust_storm: float = 0.0


@dataclass(frozen=True)
class Box:
    """An oriented box. centre: its centre's pose (yaw matters most); extent: half sizes [m]."""

    centre: Pose
    extent: tuple[float, float, float]
    label: Label = Label.NONE


@dataclass(frozen=True)
class TrafficLightPlacement:
    """One traffic light: a pole with a head that governs the lanes of one approach.

    head: pose of the lamp housing's centre; its local +x axis is the direction in which the lamps shine (towards
    the approaching cars). trigger: box over the last metres of the governed lanes before the stop line
    (a car whose front is inside it is "at" this light). group: lights of one junction share it; phase: lights of
    one group with the same phase are green together.
    """

    signal_id: str  # OpenDRIVE signal id
    pole: Pose
    head: Pose
    trigger: Box
    group: int
    phase: int


@dataclass(frozen=True)
class SignPlacement:
    """A road sign that is an actor: traffic.stop, traffic.yield, traffic.speed_limit.30 and so on."""

    signal_id: str  # OpenDRIVE signal id
    type_id: str
    pole: Pose  # at the foot; local +x is the direction in which the sign's face looks, towards the governed cars
    trigger: Box  # over the governed lanes: a car whose front is inside it is told by this sign


class WalkArea(IntEnum):
    """Area ids of CARLA's pedestrian navigation mesh."""

    BLOCK = 0
    SIDEWALK = 1
    CROSSWALK = 2
    ROAD = 3
    GRASS = 4


@dataclass(frozen=True)
class Walkway:
    """A polygon that pedestrians may use."""

    outline: npt.NDArray[np.float64]  # (N, 3) [m], a simple polygon, not closed
    area: WalkArea


@dataclass(frozen=True)
class StreetLamp:
    """A lamp that shines at night."""

    position: tuple[float, float, float]  # of the luminaire [m]
    colour: tuple[float, float, float] = (1.0, 0.82, 0.55)  # linear red green blue


@dataclass(frozen=True)
class Town:
    """A place to drive in: what the client parses, what is seen, and what can be hit."""

    name: str
    opendrive: str
    spawn_points: tuple[Pose, ...]
    mesh: Mesh  # everything that never moves and never changes colour (light poles yes, lamps no)
    lights: tuple[TrafficLightPlacement, ...]
    solids: tuple[Box, ...]  # buildings, trunks, poles: hit by cars and by rays
    speed_limits: tuple[tuple[int, float], ...]  # (OpenDRIVE road id, km/h)
    signs: tuple[SignPlacement, ...] = ()
    lamps: tuple[StreetLamp, ...] = ()
    walkways: tuple[Walkway, ...] = ()  # may touch and overlap; empty: no pedestrian navigation
    ground: Mesh | None = None  # what wheels and feet stand on (roads, sidewalks, terrain); None: the plane z = 0


@dataclass(frozen=True)
class Instances:
    """Moving (or colour-changing) things of one frame, struct of arrays; N of them."""

    prototype: npt.NDArray[np.int32]  # (N,) index into the renderer's prototypes
    matrices: npt.NDArray[np.float32]  # (N, 4, 4) local -> world
    actor_ids: npt.NDArray[np.uint32]  # (N,)
    tints: npt.NDArray[np.float32]  # (N, 3) multiplies BODY triangles
    previous: npt.NDArray[np.float32] | None = None  # (N, 4, 4) local -> world one step earlier (optical flow)
    light_flags: npt.NDArray[np.uint32] | None = None  # (N,) carla.VehicleLightState; 0 for what is no vehicle


@dataclass(frozen=True)
class View:
    """A camera: CARLA sensor axes (x forward, y right, z up)."""

    width: int
    height: int
    fov_deg: float  # horizontal
    world_from_camera: npt.NDArray[np.float64]  # (4, 4)


@dataclass(frozen=True)
class Picture:
    """What one camera sees; only the planes asked for are computed, the others are None."""

    bgra: npt.NDArray[np.uint8] | None  # (H, W, 4)
    depth_m: npt.NDArray[np.float32] | None  # (H, W) distance along the optical axis, sky = 1000
    labels: npt.NDArray[np.uint8] | None  # (H, W)
    actor_ids: npt.NDArray[np.uint32] | None  # (H, W), 0 for the static world
    normals: npt.NDArray[np.float32] | None = None  # (H, W, 3) unit, world axes; 0 where there is only sky
    flow: npt.NDArray[np.float32] | None = None  # (H, W, 2) motion since the last frame [px]: right, down
