"""Scenarios at junctions and ramps: others who come through the same junction. T, the trigger, lies before its entry;
arc lengths are along the route. Types: as in stretches.py."""

from __future__ import annotations

from carla_bridge.routes import JunctionSpan
from carla_bridge.scenarios.behaviours import Brake, EgoAt, EgoIn, Go, Gone, Meet, Stand
from carla_bridge.scenarios.line import across_route
from carla_bridge.scenarios.script import Author, Flow, LightHold, Role, Script, Stage
from carla_bridge.scenarios.streams import Side, Stream, streams
from carla_bridge.scenarios.stretches import BICYCLE, BLUE, car, half_lane, on_route, walker

AMBULANCE = "vehicle.ford.ambulance"


def span_after(stage: Stage) -> JunctionSpan:
    """The junction that a scenario is about: the next one behind its trigger."""
    span = next((span for span in stage.route.junctions if span.entry_m > stage.trigger_m), None)
    if span is None:
        raise ValueError(f"scenario {stage.spec.name}: no junction behind its trigger on route {stage.route.name}")
    return span


def stream_from(stage: Stage, *sides: Side) -> Stream:
    """The first stream from these sides, in order, those that go straight on first."""
    found = streams(stage.graph, stage.route, span_after(stage))
    for straight in (True, False):
        for side in sides:
            for stream in found:
                if stream.side == side and (stream.goes_straight or not straight):
                    return stream
    raise ValueError(
        f"scenario {stage.spec.name}: nobody can come from {' or '.join(side.value for side in sides)} "
        f"in the junction behind its trigger on route {stage.route.name}"
    )


def lights_of(stage: Stage, stream: Stream) -> tuple[tuple[float, int], ...]:
    light = stage.light_of(stream.approach)
    return () if light is None else ((stream.stop_m, light),)


def flow_at(stage: Stage, stream: Stream, gaps_m: tuple[float, float], count: int) -> Script:
    span = span_after(stage)
    speed = stage.spec.number("flow_speed", 7.0)
    start = max(0.0, stream.stop_m - 55.0)
    flow = Flow(
        stream.line,
        speed,
        gaps_m,
        int(stage.spec.number("count", count)),
        stage.trigger_m - 20.0,
        span.entry_m + 2.0,
        start,
        lights_of(stage, stream),
    )
    return Script(stage.spec, stage.trigger_m, span.exit_m + 15.0, flows=(flow,))


def left_turn(stage: Stage) -> Script:
    """Cars come towards us while we turn left."""
    return flow_at(stage, stream_from(stage, Side.AHEAD, Side.RIGHT, Side.LEFT), (18.0, 40.0), 6)


def right_turn(stage: Stage) -> Script:
    """Cars come from the left into the road that we turn into."""
    return flow_at(stage, stream_from(stage, Side.LEFT, Side.AHEAD), (18.0, 40.0), 6)


def stop_sign(stage: Stage) -> Script:
    """We have to stop; a few cars have the right of way."""
    return flow_at(stage, stream_from(stage, Side.LEFT, Side.RIGHT, Side.AHEAD), (20.0, 35.0), 3)


def merging(stage: Stage) -> Script:
    """Slow traffic on the road that we join."""
    return flow_at(stage, stream_from(stage, Side.BEHIND), (30.0, 45.0), 5)


def crossing_car(stage: Stage) -> Role:
    """Somebody who gets to where our ways meet when we do, and brakes for nobody."""
    stream = stream_from(stage, Side.LEFT, Side.RIGHT, Side.AHEAD)
    start = max(0.0, stream.stop_m - 32.0)
    play = (
        Stand(EgoIn(stream.route_meet_m, 5.5)),
        Meet(stream.meet_m, stream.route_meet_m, 5.0, 10.0, Gone(stream.meet_m - start - 8.0)),
        Go(8.0),
    )
    return Role(car(stage), stream.line, play, start, heeds=False)


def running_red_light(stage: Stage) -> Script:
    span = span_after(stage)
    runner = crossing_car(stage)
    return Script(stage.spec, stage.trigger_m, span.exit_m + 5.0, (runner,), lights=green_for_us(stage, span))


def taking_priority(stage: Stage) -> Script:
    span = span_after(stage)
    runner = crossing_car(stage)
    return Script(stage.spec, stage.trigger_m, span.exit_m + 5.0, (runner,))


def emergency_vehicle(stage: Stage) -> Script:
    """An ambulance in a hurry crosses our way, whatever the lights say. Leaderboard's comes from behind; that one can
    only be let by with a lane change, which our routes have none of. It brakes for us, but must not have to."""
    span = span_after(stage)
    stream = stream_from(stage, Side.LEFT, Side.RIGHT, Side.AHEAD)
    start = max(0.0, stream.stop_m - 45.0)
    play = (Stand(EgoIn(stream.route_meet_m, 6.0)), Go(9.0, acceleration_mps2=4.0))
    ambulance = Role(AMBULANCE, stream.line, play, start, lamps=BLUE)
    return Script(
        stage.spec,
        stage.trigger_m,
        span.exit_m + 5.0,
        (ambulance,),
        lights=green_for_us(stage, span),
        emergency=0,
    )


def green_for_us(stage: Stage, span: JunctionSpan) -> LightHold | None:
    """From the trigger until we are through; None where there are no lights."""
    ours = stage.light_of(span.approach)
    if ours is None:
        return None
    graph = stage.graph
    junction = {
        line.light_id
        for line in stage.stop_lines
        if any(graph.lanes[key].junction_id == span.junction_id for key in graph.successors(line.lane))
    }
    return LightHold(stage.trigger_m, span.exit_m, (ours,), tuple(sorted(junction - {ours})))


def blocked_intersection(stage: Stage) -> Script:
    """A car stands behind the junction; it goes on when we have waited a little."""
    span = span_after(stage)
    at = span.exit_m + 3.0
    line, stops = on_route(stage, at, at + 130.0)
    play = (Stand(EgoAt(span.entry_m - 14.0)), Brake(5.0, 5.0), Go(7.0))
    return Script(stage.spec, stage.trigger_m, at + 25.0, (Role(car(stage), line, play, stops=stops),))


def highway_exit(stage: Stage) -> Script:
    """Slow cars go before us into the lane in which we leave."""
    start = stage.trigger_m + 45.0
    line, stops = on_route(stage, start, start + 200.0)
    lead = Role(car(stage), line, (Stand(EgoAt(stage.trigger_m)), Go(5.5, Gone(70.0)), Go(9.0)), stops=stops)
    second = Role(
        car(stage, 1), line, (Stand(EgoAt(stage.trigger_m)), Go(5.5, Gone(60.0)), Go(9.0)), start_m=22.0, stops=stops
    )
    return Script(stage.spec, stage.trigger_m, start + 75.0, (lead, second))


def after_the_turn(stage: Stage, blueprint: str, speed_mps: float, wait_s: float, run_up_m: float) -> Script:
    """Somebody crosses the road that we have just turned into."""
    span = span_after(stage)
    at = span.exit_m + 6.0
    edge = half_lane(stage, at)
    line = across_route(stage.route, at, -edge - run_up_m, 3.0 * edge + 4.0)
    role = Role(blueprint, line, (Stand(EgoIn(at, wait_s, 9.0)), Go(speed_mps)), heeds=False)
    return Script(stage.spec, stage.trigger_m, at + 8.0, (role,))


def bicycle_after_turn(stage: Stage) -> Script:
    return after_the_turn(stage, BICYCLE, 3.5, 3.4, 4.5)


def pedestrian_after_turn(stage: Stage) -> Script:
    return after_the_turn(stage, walker(stage), 1.6, 3.2, 2.2)


AUTHORS: dict[str, Author] = {
    "SignalizedJunctionLeftTurn": left_turn,
    "NonSignalizedJunctionLeftTurn": left_turn,
    "SignalizedJunctionRightTurn": right_turn,
    "NonSignalizedJunctionRightTurn": right_turn,
    "VanillaNonSignalizedTurnEncounterStopsign": stop_sign,
    "MergerIntoSlowTraffic": merging,
    "EnterActorFlow": merging,
    "OppositeVehicleRunningRedLight": running_red_light,
    "OppositeVehicleTakingPriority": taking_priority,
    "YieldToEmergencyVehicle": emergency_vehicle,
    "BlockedIntersection": blocked_intersection,
    "HighwayExit": highway_exit,
    "VehicleTurningRoute": bicycle_after_turn,
    "VehicleTurningRoutePedestrian": pedestrian_after_turn,
}
