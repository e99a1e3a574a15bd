"""Camera rigs as people write them (degrees, one mapping a camera) -> `CameraRig`, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bev.types import Camera, CameraRig

_DEGREES = {"fov_deg": "fov_rad", "yaw_deg": "yaw", "pitch_deg": "pitch", "roll_deg": "roll"}


def rig_from_config(cameras: Iterable[Mapping[str, Any]]) -> CameraRig:
    """`cameras`: as in configs/rig/*.yaml; fields of `bev.Camera`, its angles in degrees with the suffix `_deg`
    (radians without one are taken too, as `rig_to_config` writes them)."""
    built = []
    for fields in cameras:
        known: dict[str, Any] = {
            _DEGREES.get(key, key): math.radians(value) if key in _DEGREES else value for key, value in fields.items()
        }
        try:
            built.append(Camera(**known))
        except TypeError as error:
            raise ValueError(f"camera {dict(fields)}: {error}") from error
    return CameraRig(tuple(built))


def rig_to_config(rig: CameraRig) -> list[dict[str, Any]]:
    return [asdict(camera) for camera in rig.cameras]
