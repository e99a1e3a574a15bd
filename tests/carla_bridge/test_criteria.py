"""Leaderboard's rules on hand-made drives along a straight road."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from bridge_helpers import STOP_LINE, car, straight_route, truth

from carla_bridge.criteria import COMPLETED, Criteria, CriteriaConfig, InfractionKind
from carla_bridge.truth import Body, Contact, LightColour, ScenarioFault, StopLine, Truth


def watch(ticks: Iterable[Truth], config: CriteriaConfig | None = None, signs: tuple[StopLine, ...] = ()) -> Criteria:
    criteria = Criteria(straight_route(), (STOP_LINE,), lambda pose: abs(pose.y) < 2.0, config, signs)
    for tick in ticks:
        criteria.update(tick)
    return criteria


def drive(low: float, high: float, speed: float = 8.0, **more: object) -> list[Truth]:
    count = int((high - low) / (speed * 0.05)) + 1
    return [truth(0.05 * i, car(low + speed * 0.05 * i, speed=speed), **more) for i in range(count)]  # type: ignore[arg-type]


def kinds(criteria: Criteria) -> list[InfractionKind]:
    return [infraction.kind for infraction in criteria.infractions]


def test_clean_drive_completes() -> None:
    criteria = watch(drive(0.0, 100.0))
    outcome = criteria.outcome()
    assert (outcome.status, outcome.completion, outcome.infractions) == (COMPLETED, 1.0, ())


@pytest.mark.parametrize(
    ("colour", "expected"),
    [(LightColour.RED, [InfractionKind.RED_LIGHT]), (LightColour.YELLOW, []), (LightColour.GREEN, [])],
)
def test_red_light(colour: LightColour, expected: list[InfractionKind]) -> None:
    assert kinds(watch(drive(30.0, 60.0, lights={9: colour}))) == expected


def test_a_line_counts_for_its_own_lane_and_direction_only() -> None:
    red = {9: LightColour.RED}
    beside = [truth(0.05 * i, car(40.0 + 0.4 * i, 3.5, speed=8.0), lights=red) for i in range(40)]
    against = [truth(0.05 * i, car(60.0 - 0.4 * i, 0.0, math.pi, speed=8.0), lights=red) for i in range(40)]
    assert kinds(watch(beside)) == kinds(watch(against)) == []


def contact_drive(touches: dict[int, Contact], speed: float = 5.0, count: int = 200) -> list[Truth]:
    return [
        truth(0.05 * i, car(0.05 * speed * i, speed=speed), contacts=(touches[i],) if i in touches else ())
        for i in range(count)
    ]


def test_repeats_with_one_actor_merge_and_kinds_differ() -> None:
    other, person, wall = (Contact(2, "vehicle.x", 9.0), Contact(3, "walker.x", 9.0), Contact(0, "static.wall", 9.0))
    found = kinds(watch(contact_drive({10: other, 60: other, 150: person, 160: wall, 199: other})))
    # 0.5 and 3.0 s are one; 9.95 s is more than 5 s after the last touch
    assert found == [InfractionKind.VEHICLE, InfractionKind.PEDESTRIAN, InfractionKind.STATIC, InfractionKind.VEHICLE]


def test_who_stands_is_not_at_fault() -> None:
    ticks = [truth(0.05 * i, car(10.0), contacts=(Contact(2, "vehicle.x", 9.0),) if i == 9 else ()) for i in range(9)]
    hit = (Contact(2, "vehicle.x", 9.0),)
    pushed = [truth(0.5 + 0.05 * i, car(9.9 - 0.15 * i, speed=-3.0), contacts=hit) for i in range(10)]
    assert kinds(watch([*ticks, *pushed])) == []
    later = [truth(2.0 + 0.05 * i, car(9.0 + 0.1 * i, speed=2.0), contacts=hit) for i in range(5)]
    assert kinds(watch([*ticks, *pushed, *later])) == [InfractionKind.VEHICLE]


def test_leaving_the_route_ends_it() -> None:
    criteria = watch(truth(0.05 * i, car(20.0, 0.5 * i, speed=10.0)) for i in range(100))
    assert criteria.ended == InfractionKind.ROUTE_DEVIATION
    assert criteria.infractions[-1].detail == "30 m off the route"
    assert criteria.outcome().status == "Failed - Agent deviated from the route"


def test_standing_ends_it_and_so_does_the_clock() -> None:
    config = CriteriaConfig(blocked_s=4.0)
    criteria = watch((truth(0.05 * i, car(20.0)) for i in range(100)), config)
    assert (criteria.ended, criteria.infractions[-1].time_s) == (InfractionKind.BLOCKED, pytest.approx(4.0))
    slow = watch(truth(2.0 * i, car(20.0, speed=0.2)) for i in range(400))
    assert slow.ended == InfractionKind.TIMEOUT
    assert slow.timeout_s == pytest.approx(300.0 + 100.0 / 1.0)  # a tenth of the limit of 10 m/s


def test_share_of_the_route_outside_the_lanes() -> None:
    ticks = [
        truth(0.05 * i, car(x, 3.0 if 20.0 <= x < 30.0 else 0.0, speed=8.0))
        for i, x in enumerate(0.4 * i for i in range(260))
    ]
    outcome = watch(ticks).outcome()
    assert outcome.off_route_fraction == pytest.approx(0.1, abs=0.04)
    (outside,) = outcome.infractions
    assert (outside.kind, outside.value) == (InfractionKind.OUTSIDE_LANES, outcome.off_route_fraction)


def test_dawdling_among_faster_traffic_is_noted_but_waiting_at_red_is_not() -> None:
    def tick(time_s: float, x: float, speed: float, light: LightColour) -> Truth:
        other: Body = car(x + 20.0, 5.0, speed=8.0, actor_id=5)
        return truth(time_s, car(x, speed=speed), (other,), lights={9: light})

    slow = watch(tick(0.05 * i, 0.2 * i, 4.0, LightColour.GREEN) for i in range(150))
    (noted,) = slow.infractions
    assert (noted.kind, noted.value) == (InfractionKind.MIN_SPEED, pytest.approx(0.5))
    waits = [tick(0.05 * i, 20.0, 0.0, LightColour.RED) for i in range(200)]
    goes = [tick(10.0 + 0.05 * i, 20.0 + 0.4 * i, 8.0, LightColour.GREEN) for i in range(60)]
    assert watch([*waits, *goes]).infractions == []
    comes = [tick(0.05 * i, 0.4 * i, 8.0, LightColour.GREEN) for i in range(111)]
    stands = [tick(5.55 + 0.05 * i, 44.0, 0.0, LightColour.GREEN) for i in range(60)]
    goes = [tick(8.55 + 0.05 * i, 44.0 + 0.4 * i, 8.0, LightColour.GREEN) for i in range(100)]
    assert watch([*comes, *stands, *goes], signs=(STOP_LINE,)).infractions == []
    assert watch([*comes, *stands, *goes]).infractions != []


def test_a_drive_that_was_cut_off_says_so() -> None:
    outcome = watch(drive(0.0, 40.0)).outcome("Failed - Simulation crashed")
    assert outcome.status == "Failed - Simulation crashed"
    assert outcome.completion == pytest.approx(0.4, abs=0.01)


SIGN = StopLine(light_id=0, pose=STOP_LINE.pose, width_m=3.5, lane=STOP_LINE.lane)


def approach(stop_x: float | None, speed: float = 5.0) -> list[Truth]:
    """Along the road with the line at 50 m; the front bumper, 2.4 m ahead, may stop somewhere."""
    places = [30.0 + 0.25 * i for i in range(121)]
    ticks, time_s = [], 0.0
    for x in places:
        stands = stop_x is not None and x == stop_x
        for _ in range(5 if stands else 1):
            ticks.append(truth(time_s, car(x, speed=0.0 if stands else speed)))
            time_s += 0.05
    return ticks


@pytest.mark.parametrize(
    ("stop_x", "expected"),
    [(46.0, []), (43.0, []), (None, [InfractionKind.STOP_SIGN]), (40.0, [InfractionKind.STOP_SIGN])],
)
def test_who_passes_a_stop_sign_must_have_stood_near_its_line(
    stop_x: float | None, expected: list[InfractionKind]
) -> None:
    assert kinds(watch(approach(stop_x), signs=(SIGN,))) == expected


def test_faults_of_scenarios_are_infractions() -> None:
    found = ScenarioFault("yield_emergency_vehicle_infractions", 7, "held up")
    ticks = [replace(tick, faults=(found,) if i == 9 else ()) for i, tick in enumerate(drive(0.0, 30.0))]
    (infraction,) = watch(ticks).infractions
    assert (infraction.kind, infraction.actor) == (InfractionKind.YIELD_EMERGENCY, 7)


def test_a_drive_may_take_no_longer_than_the_rules_say() -> None:
    standing = [truth(0.05 * i, car(5.0 + 0.01 * i, speed=0.2)) for i in range(45)]
    criteria = watch(standing, CriteriaConfig(longest_s=2.0))
    assert criteria.ended == InfractionKind.TIMEOUT
