"""What the expert is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from bev import FloatArray
from carla_bridge.truth import StopLine
from planner import Control, Light, Manoeuvre


@dataclass(frozen=True)
class ExpertConfig:
    cruise_mps: float = 9.5
    limit_share: float = 0.97  # of the speed limit
    lateral_mps2: float = 2.3  # in bends
    brake_mps2: float = 2.2  # comfortable, and what the speed profiles are drawn with
    yellow_brake_mps2: float = 3.0  # harder than this we do not brake for a yellow
    accelerate_mps2: float = 2.2
    headway_s: float = 1.1
    standstill_gap_m: float = 3.0
    stop_margin_m: float = 1.8  # front bumper to the end of the lane: the line is painted a little before it
    light_reach_m: float = 45.0  # farther lights and stop signs are neither labelled nor obeyed
    respond_s: float = 0.8  # target speed = speed + IDM acceleration x this
    # giving way
    give_way_mps: float = 4.5  # over the line of a yield sign, and into junctions where nobody has the right of way
    early_s: float = 1.3  # others may come this much earlier than forecast,
    late_s: float = 0.8  # or leave this much later
    vehicle_gap_m: float = 1.5  # where we stop before somebody else's way
    walker_gap_m: float = 2.5
    stop_sign_s: float = 1.0  # standing at the line of a stop sign
    stop_sign_m: float = 4.5  # this near to it
    emergency_mps2: float = 6.0
    patience_s: float = 8.0  # of standing for others; then smaller gaps do
    # going around what stands in the lane
    detour_mps: float = 4.5
    detour_gap_m: float = 7.0  # we stop this far behind what we may go around
    detour_side_m: float = 0.7  # between it and us
    detour_after_s: float = 4.0  # a vehicle that has stood for so long without a reason in sight
    queue_m: float = 22.0  # to the next junction: nearer to it others stand for a reason,
    light_queue_m: float = 50.0  # or nearer than this to one with lights,
    queue_s: float = 60.0  # as long as they do not stand there longer than this


@dataclass(frozen=True)
class GoverningLight:
    """The next light on the route, if within reach. distance_m: front bumper to its line; line_arc_m: on the route."""

    light: Light
    distance_m: float
    line_arc_m: float
    line: StopLine


@dataclass(frozen=True)
class GoverningStop:
    """The next stop sign, as long as it must still be stopped for. Fields as of GoverningLight; line.light_id is 0."""

    distance_m: float
    line_arc_m: float
    line: StopLine


@dataclass(frozen=True)
class ExpertDecision:
    """path: (PATH_POINTS, 2) along the route, in the frame of the pose asked for. stop_reason: what holds the speed
    down: "", "bend", "light", "stop", "lead", "crossing", "crosswalk" or "junction"."""

    control: Control
    target_speed_mps: float
    path: FloatArray
    light_state: Light
    stop_reason: str
    governing: GoverningLight | None
    governing_stop: GoverningStop | None = None
    manoeuvre: Manoeuvre = Manoeuvre.FOLLOW_LANE


MANOEUVRE_FOR = {
    "": Manoeuvre.FOLLOW_LANE,
    "bend": Manoeuvre.FOLLOW_LANE,
    "lead": Manoeuvre.FOLLOW_LEAD,
    "light": Manoeuvre.STOP_LIGHT,
    "stop": Manoeuvre.STOP_SIGN,
    "crossing": Manoeuvre.YIELD,
    "crosswalk": Manoeuvre.YIELD,
    "junction": Manoeuvre.YIELD,
}
