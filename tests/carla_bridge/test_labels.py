"""BEV labels against the map itself and against bodies and stop lines put at known places."""

import carla
import numpy as np
import pytest
from bridge_helpers import car, gridley, truth

from bev import BevClass, BevGrid, Pose2D
from carla_bridge.convert import compose, location_to_carla
from carla_bridge.expert import GoverningLight
from carla_bridge.labels import BevLabels
from carla_bridge.truth import StopLine
from planner import Light

GRID = BevGrid()


@pytest.fixture(scope="module")
def labels() -> BevLabels:
    return BevLabels(gridley(), GRID)


def street() -> Pose2D:
    """On a lane, well before a junction."""
    lane = next(lane for lane in gridley().lanes.values() if lane.junction_id < 0 and lane.length_m > 70.0)
    x, y, yaw = (np.interp(lane.length_m - 30.0, lane.arc_m, column) for column in (*lane.points.T, lane.yaws))
    return Pose2D(float(x), float(y), float(yaw))


def centre_of(mask: np.ndarray) -> np.ndarray:
    return GRID.cell_centres()[mask > 0].mean(axis=0)


@pytest.mark.parametrize("shift", [Pose2D(0.0, 0.0, 0.0), Pose2D(0.0, 1.0, 0.2), Pose2D(5.0, -0.7, -0.2)])
def test_road_is_where_the_map_has_lanes(labels: BevLabels, shift: Pose2D) -> None:
    pose = compose(street(), shift)
    drawn = labels.draw(truth(0.0, car(pose.x, pose.y, pose.yaw)), pose, None)[BevClass.ROAD]
    places = pose.transform_from_local(GRID.cell_centres().reshape(-1, 2))
    on_road = np.array(
        [
            gridley().map.get_waypoint(location_to_carla(x, y), project_to_road=False, lane_type=carla.LaneType.Driving)
            is not None
            for x, y in places
        ]
    )
    assert np.mean(drawn.reshape(-1) == on_road) > 0.97  # but for cells on an edge
    assert 0.05 < on_road.mean() < 0.6


def test_lane_lines_flank_our_lane(labels: BevLabels) -> None:
    pose = street()
    drawn = labels.draw(truth(0.0, car(pose.x, pose.y, pose.yaw)), pose, None)[BevClass.LANE_LINE]
    near = drawn[np.abs(GRID.cell_centres()[:, 0, 0] - 2.0) < 2.0]  # rows abreast of the car
    marked = GRID.cell_centres()[0, :, 1][near.mean(axis=0) > 0.5]
    assert np.abs(marked - 1.75).min() < 0.8
    assert np.abs(marked + 1.75).min() < 0.8
    assert np.abs(marked).min() > 0.7


@pytest.mark.parametrize(("ahead", "left"), [(10.0, 0.0), (20.0, 6.0), (5.0, -9.0)])
def test_a_vehicle_is_drawn_where_it_stands(labels: BevLabels, ahead: float, left: float) -> None:
    pose = street()
    place = compose(pose, Pose2D(ahead, left, 0.0))
    other = car(place.x, place.y, place.yaw, actor_id=2)
    drawn = labels.draw(truth(0.0, car(pose.x, pose.y, pose.yaw), (other,)), pose, None)[BevClass.VEHICLE]
    assert centre_of(drawn) == pytest.approx((ahead, left), abs=0.4)
    assert drawn.sum() * GRID.cell_m**2 == pytest.approx(4.8 * 1.9, rel=0.4)


@pytest.mark.parametrize(("light", "area"), [(Light.RED_OR_YELLOW, 3.0 * 3.5), (Light.GREEN, 0.0)])
def test_the_stop_strip_lies_before_the_line(labels: BevLabels, light: Light, area: float) -> None:
    pose = street()
    line = StopLine(9, compose(pose, Pose2D(20.0, 0.0, 0.0)), 3.5, (1, 0, -1))
    drawn = labels.draw(truth(0.0, car(pose.x, pose.y, pose.yaw)), pose, GoverningLight(light, 17.6, 20.0, line))
    strip = drawn[BevClass.STOP]
    assert strip.sum() * GRID.cell_m**2 == pytest.approx(area, rel=0.35)
    if area:
        assert centre_of(strip) == pytest.approx((18.5, 0.0), abs=0.5)
