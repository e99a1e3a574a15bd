"""BEV labels against the map itself and against boxes and stop lines put at known places."""

import carla
import numpy as np
import pytest
from bridge_helpers import car, gridley

from bev import BevClass, BevGrid, BoxKind, Pose2D
from carla_bridge.boxes import SeenBox
from carla_bridge.convert import compose, location_to_carla
from carla_bridge.labels import BevLabels, fill_holes
from carla_bridge.truth import Body, StopLine

GRID = BevGrid()


@pytest.fixture(scope="module")
def labels() -> BevLabels:
    return BevLabels(gridley(), grid=GRID)


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
    drawn = labels.draw(pose, (), ()).classes[BevClass.ROAD]
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
    drawn = labels.draw(pose, (), ()).classes[BevClass.LANE_LINE]
    near = drawn[np.abs(GRID.cell_centres()[:, 0, 0] - 2.0) < 2.0]  # rows abreast of the car
    marked = GRID.cell_centres()[0, :, 1][near.mean(axis=0) > 0.5]
    assert np.abs(marked - 1.75).min() < 0.8
    assert np.abs(marked + 1.75).min() < 0.8
    assert np.abs(marked).min() > 0.7


def box(ahead: float, left: float, body: Body, kind: BoxKind = BoxKind.VEHICLE, visible: float = 1.0) -> SeenBox:
    return SeenBox(body, kind, ahead, left, body.height_m / 2.0, 0.0, 0.0, 0.0, visible)


@pytest.mark.parametrize(("ahead", "left"), [(10.0, 0.0), (20.0, 6.0), (5.0, -9.0)])
def test_a_vehicle_is_drawn_where_it_stands(labels: BevLabels, ahead: float, left: float) -> None:
    picture = labels.draw(street(), (box(ahead, left, car(0.0)),), ())
    drawn = picture.classes[BevClass.VEHICLE]
    assert centre_of(drawn) == pytest.approx((ahead, left), abs=0.4)
    assert drawn.sum() * GRID.cell_m**2 == pytest.approx(4.8 * 1.9, rel=0.4)
    assert not picture.unknown.any()


@pytest.mark.parametrize("offset", np.linspace(0.0, 0.75, 5).tolist())
def test_nobody_falls_between_two_cells(labels: BevLabels, offset: float) -> None:
    bicycle = Body(3, "vehicle.test.bike", Pose2D(0.0, 0.0, 0.0), 0.0, 0.0, 0.9, 0.2, 1.6)
    walker = Body(4, "walker.test", Pose2D(0.0, 0.0, 0.0), 0.0, 0.0, 0.2, 0.2, 1.8)
    boxes = (
        box(10.0 + offset, 3.0 + offset, bicycle, BoxKind.TWO_WHEELER),
        box(10.0 + offset, -3.0 - offset, walker, BoxKind.PEDESTRIAN),
    )
    drawn = labels.draw(street(), boxes, ()).classes
    assert drawn[BevClass.VEHICLE].sum() >= 1
    assert drawn[BevClass.PEDESTRIAN].sum() >= 1


def test_the_hidden_is_unknown_and_not_drawn(labels: BevLabels) -> None:
    picture = labels.draw(street(), (box(12.0, 2.0, car(0.0), visible=0.05),), ())
    assert not picture.classes[BevClass.VEHICLE].any()
    assert centre_of(picture.unknown) == pytest.approx((12.0, 2.0), abs=0.4)


def test_the_stop_strip_lies_before_the_line(labels: BevLabels) -> None:
    pose = street()
    line = StopLine(9, compose(pose, Pose2D(20.0, 0.0, 0.0)), 3.5, (1, 0, -1))
    strip = labels.draw(pose, (), (line,)).classes[BevClass.STOP]
    assert strip.sum() * GRID.cell_m**2 == pytest.approx(3.0 * 3.5, rel=0.35)
    assert centre_of(strip) == pytest.approx((18.5, 0.0), abs=0.5)


def test_a_crosswalk_is_where_its_polygon_is() -> None:
    pose = street()
    corners = np.array([[8.0, -4.0], [8.0, 4.0], [11.0, 4.0], [11.0, -4.0]])
    labels = BevLabels(gridley(), (pose.transform_from_local(corners),), GRID)
    drawn = labels.draw(pose, (), ()).classes[BevClass.CROSSWALK]
    assert centre_of(drawn) == pytest.approx((9.5, 0.0), abs=0.3)
    assert drawn.sum() * GRID.cell_m**2 == pytest.approx(24.0, rel=0.35)


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    canvas = np.ones((60, 60), np.uint8)
    canvas[5:9, 5:9] = canvas[20:50, 20:50] = 0
    fill_holes(canvas, 30.0)
    assert canvas[5:9, 5:9].all()
    assert not canvas[21:49, 21:49].any()
