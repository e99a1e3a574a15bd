"""Which pose of a walker's body is shown while it walks.

A walking body has PHASES prototypes, a full cycle (two steps) of its gait; the distance it has walked picks one, so
that the feet keep pace with the ground. Standing still shows the body's own prototype.
"""

from __future__ import annotations

from carla_bridge.embedded.actors import Actor, prototype_name

PHASES = 8
STANDING_BELOW_M_S = 0.1
RUNNING_FROM_M_S = 2.2  # people change from walking to running at about this speed (Hreljac 1993: 2.1 m/s)
# Two steps of an adult 1.8 m tall at 1.4 m/s are about 1.45 m (Perry, Gait Analysis: 1.41 m); runners' are longer.
CYCLE_PER_HEIGHT = 0.8
RUNNING_CYCLE_FACTOR = 1.6


def walking_phase(walked_m: float, speed_m_s: float, height_m: float) -> int | None:
    """0..PHASES - 1, or None for a body that stands still.

    walked_m: distance walked since the walker was spawned; it must not run backwards.
    """
    if speed_m_s < STANDING_BELOW_M_S:
        return None
    cycle_m = CYCLE_PER_HEIGHT * height_m * (RUNNING_CYCLE_FACTOR if speed_m_s >= RUNNING_FROM_M_S else 1.0)
    return int(PHASES * walked_m / cycle_m) % PHASES


def prototype_of(actor: Actor, walked_m: float, speed_m_s: float) -> str | None:
    """Name of the prototype that shows this actor now; only walkers change theirs."""
    name = prototype_name(actor.type_id)
    if name is None or not actor.type_id.startswith("walker."):
        return name
    phase = walking_phase(walked_m, speed_m_s, 2.0 * actor.extent[2])
    return name if phase is None else f"{name}_walk_{phase}"
