"""Stop signs hold vehicles: CARLA reports a red light to whoever comes to one, although no light is there, and green
again after a stop (Unreal/CarlaUE4/Plugins/Carla/Source/Carla/Traffic/StopSignComponent.cpp). That is what makes
TrafficManager stop at a junction without lights and let one car after the other go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.lights import LightTriggers
from carla_bridge.embedded.types import SignPlacement, TrafficLightPlacement

F64 = npt.NDArray[np.float64]

HOLD_S = 2.0  # CARLA's delay
STANDING_MPS = 0.1


class StopSigns:
    """Which vehicles a stop sign holds at the moment."""

    def __init__(self, placements: Sequence[SignPlacement]) -> None:
        self._triggers = LightTriggers(
            [
                TrafficLightPlacement(sign.signal_id, sign.pole, sign.pole, sign.trigger, 0, 0)
                for sign in placements
                if sign.type_id == "traffic.stop"
            ]
        )
        self._stood_s: dict[int, float] = {}  # vehicles inside a trigger: how long they have stood there

    def held(
        self, ids: Sequence[int], x: F64, y: F64, yaw: F64, front_m: F64, speed: F64, delta_s: float
    ) -> npt.NDArray[np.bool_]:
        """(V,) for vehicles of these ids [m, rad, m/s] after delta_s more seconds."""
        signs = self._triggers.governing(x, y, yaw, front_m)
        held = np.zeros(len(ids), np.bool_)
        stood: dict[int, float] = {}
        for row in np.flatnonzero(signs >= 0).tolist():
            seconds = self._stood_s.get(ids[row], 0.0) + (delta_s if speed[row] < STANDING_MPS else 0.0)
            stood[ids[row]] = seconds
            held[row] = seconds < HOLD_S - 1e-9
        self._stood_s = stood
        return held
