"""Street lamps: a post, an arm over the kerb and a luminaire. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math

from carla_bridge.embedded.towns.dressing.blocks import solid_box
from carla_bridge.embedded.towns.dressing.palette import LAMP_GLASS, LAMP_METAL
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.types import Box, Label, StreetLamp

POST_M = 7.0  # height above the level of the road
BELOW_LUMINAIRE_M = 0.12  # the light's own position, just under the glass


def add_lamp(
    builder: MeshBuilder,
    centre: tuple[float, float],
    inwards: float,
    *,
    ground: float = 0.0,
    foot: float = 0.0,
    arm: float = 1.1,
    post: float = POST_M,
) -> tuple[Box, StreetLamp]:
    """inwards: heading of the arm, towards the road; arm: its half length; foot: where the post leaves the ground."""
    top = ground + post
    builder.prism(centre, foot, top, 0.09, 0.06, 6, LAMP_METAL, Label.POLES)
    c, s = math.cos(inwards), math.sin(inwards)
    builder.box(
        (centre[0] + arm * c, centre[1] + arm * s), top - 0.05, inwards, (arm, 0.05, 0.05), LAMP_METAL, Label.POLES
    )
    reach = 2.0 * arm + 0.1
    glass = (centre[0] + reach * c, centre[1] + reach * s)
    builder.box(glass, top - 0.08, inwards, (0.35, 0.14, 0.07), LAMP_GLASS, Label.POLES)
    lamp = StreetLamp((glass[0], -glass[1], top - 0.08 - BELOW_LUMINAIRE_M))
    return solid_box(centre, min(ground, foot), top, 0.0, 0.09, 0.09, Label.POLES), lamp
