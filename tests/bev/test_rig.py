import math

import pytest

from bev import rig_from_config, rig_to_config


def test_rig_survives_its_own_description() -> None:
    rig = rig_from_config(
        [
            {"name": "a", "width": 64, "height": 32, "fov_deg": 90.0, "x": 1, "y": 0, "z": 1.5, "yaw_deg": 45.0},
            {"name": "b", "width": 64, "height": 32, "fov_rad": 0.6, "x": 1, "y": 0, "z": 1.5, "pitch_deg": -4.0},
        ]
    )
    assert rig.cameras[0].yaw == pytest.approx(math.pi / 4)
    assert rig_from_config(rig_to_config(rig)) == rig


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="focal"):
        rig_from_config([{"name": "a", "width": 64, "height": 32, "fov_deg": 90, "x": 0, "y": 0, "z": 1, "focal": 3}])
