"""What one frame of the video shows."""

from __future__ import annotations

from dataclasses import dataclass

from bev import BevGrid, Camera, FloatArray, ImageArray, RouteHint
from scheduling.types import LinkGeometry, LinkState, Place, Timeline


@dataclass(frozen=True)
class View:
    """What a driver has in mind. Ego frame of ISO 8855; None = there is none (yet).

    path: (N, 2) the trajectory in use, in the *current* ego frame. bev: (classes, rows, columns) probabilities by
    `BevClass`. tracks: (T, 5) x, y, yaw, length, width of other road users in the current ego frame. manoeuvre: its
    name. light: probabilities of none, green, red or yellow. stages: name and place of every stage in the schedule
    of the frame that `timeline` tells of.
    """

    path: FloatArray | None = None
    target_speed_mps: float | None = None
    bev: FloatArray | None = None
    tracks: FloatArray | None = None
    manoeuvre: str | None = None
    light: tuple[float, float, float] | None = None
    stages: tuple[tuple[str, Place], ...] = ()
    timeline: Timeline | None = None
    link: LinkState | None = None
    geometry: LinkGeometry | None = None


@dataclass(frozen=True)
class Moment:
    """Everything the dashboard draws, at one camera frame.

    picture: (H, W, 3) RGB of `camera`. latencies_s: perception-to-control latency of the last frames, oldest first.
    """

    title: str
    time_s: float
    picture: ImageArray
    camera: Camera
    grid: BevGrid
    view: View
    speed_mps: float
    hint: RouteHint
    progress_m: float
    route_length_m: float
    latencies_s: tuple[float, ...]
    braking: bool = False
