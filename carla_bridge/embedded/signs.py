"""Road signs as actors: like traffic lights they are there from the start of an episode and stay to its end."""

from __future__ import annotations

from collections.abc import Sequence

from carla_bridge.embedded.actors import Actor, ActorKind, relative_to
from carla_bridge.embedded.types import Label, SignPlacement


def sign_actors(placements: Sequence[SignPlacement], first_id: int) -> list[Actor]:
    """One actor a sign, numbered from first_id; its box is its trigger volume, as for traffic lights."""
    actors = []
    for number, placement in enumerate(placements):
        trigger = relative_to(placement.pole, placement.trigger.centre)
        actors.append(
            Actor(
                first_id + number,
                placement.type_id,
                ActorKind.SIGN,
                placement.pole,
                extent=placement.trigger.extent,
                box_centre=(trigger.x, trigger.y, trigger.z),
                box_rotation=(trigger.pitch, trigger.yaw, trigger.roll),
                semantic_tags=(int(Label.TRAFFIC_SIGNS),),
                sign_id=placement.signal_id,
            )
        )
    return actors
