"""What leaves the network, and what leaves the controller. Ego frame of ISO 8855, metres, seconds, radians."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from bev import FloatArray, Pose2D

PATH_SPACING_M = 2.0  # arc length between two path points; the first lies one spacing ahead
PATH_POINTS = 10
SPEED_CLASSES_MPS = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0, 10.0, 12.0)
WAYPOINT_SPACING_S = 0.5
WAYPOINTS = 8
FUTURE_SPACING_S = 0.5  # of other road users
FUTURE_STEPS = 4
FUTURE_MODES = 3


class Light(IntEnum):
    """The traffic light that governs our lane, as the network names it."""

    NONE = 0  # none within reach
    GREEN = 1
    RED_OR_YELLOW = 2


class Manoeuvre(IntEnum):
    """What decides how the car drives at a moment."""

    FOLLOW_LANE = 0
    FOLLOW_LEAD = 1
    STOP_LIGHT = 2
    STOP_SIGN = 3
    YIELD = 4  # to a gap at a junction, crossing traffic or pedestrians
    AVOID = 5  # going around an obstacle, or changing lanes


@dataclass(frozen=True)
class Trajectory:
    """Where the car means to go, as seen from the ego pose at which the images were taken.

    path: (PATH_POINTS, 2) points along the lane centre, equally spaced by arc length, free of time.
    speed_probabilities: (len(SPEED_CLASSES_MPS),) over target speeds, sums to 1.
    waypoints: (WAYPOINTS, 2) positions at multiples of WAYPOINT_SPACING_S.
    light_probabilities: (len(Light),) of the state of the light that governs our lane; none within reach if not said.
    """

    frame_id: int
    time_s: float  # exposure time of the images behind it
    origin: Pose2D  # odometry pose at that time
    path: FloatArray
    speed_probabilities: FloatArray
    waypoints: FloatArray
    light_probabilities: FloatArray = field(default_factory=lambda: np.eye(len(Light))[Light.NONE])

    def __post_init__(self) -> None:
        for name, shape in (
            ("path", (PATH_POINTS, 2)),
            ("speed_probabilities", (len(SPEED_CLASSES_MPS),)),
            ("waypoints", (WAYPOINTS, 2)),
            ("light_probabilities", (len(Light),)),
        ):
            received = np.shape(getattr(self, name))
            if received != shape:
                raise ValueError(f"Trajectory.{name} must have shape {shape}, received {received}")


@dataclass(frozen=True)
class Control:
    """Pedals in [0, 1]; steer in [-1, 1] of full lock, *left positive* (ISO 8855)."""

    throttle: float
    brake: float
    steer: float
