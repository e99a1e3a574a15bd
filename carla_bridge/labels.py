"""What the network should see from above: BEV rasters from the map, the road users and the lines to stop at, for any
(virtual) pose.

The town's roads, lane lines and crosswalks are drawn once into one big picture; a label is a window cut out of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import carla
import cv2
import numpy as np
import numpy.typing as npt

from bev import BevClass, BevGrid, BoxKind, FloatArray, Pose2D
from carla_bridge.boxes import SeenBox
from carla_bridge.convert import pose_from_carla
from carla_bridge.lanes import LaneGraph
from carla_bridge.truth import StopLine

PIXEL_M = 0.25
MARGIN_M = 60.0
LINE_WIDTH_M = 0.5  # drawn wider than it is painted, so that no cell between two samples misses it
STOP_STRIP_M = 3.0
COVERED = 0.35  # share of a cell from which it counts as road or vehicle
MARKED = 0.3
SAMPLE_M = 0.5
HOLE_M2 = 8.0  # between the lanes of a junction: smaller ones are paved too
SEEN = 0.1  # visible share from which something counts as seen
LEAST_HALF_WIDTH_M = 0.5  # of a drawn box, so that none falls between two cells
LEAST_RADIUS_M = 0.6  # of a drawn pedestrian, likewise
SUBPIXEL_BITS = 4

Raster = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BevPicture:
    """classes: (6, rows, columns) of 0 and 1, channels by `BevClass`. unknown: (rows, columns), 1 where a road user
    stands that no camera can see: it is left out of `classes`."""

    classes: Raster
    unknown: Raster


class BevLabels:
    """Draws labels in about a millisecond. crosswalks: polygons (K, 2) in the world."""

    def __init__(self, graph: LaneGraph, crosswalks: Sequence[FloatArray] = (), grid: BevGrid | None = None) -> None:
        self.grid = grid or BevGrid()
        self._fine = round(self.grid.cell_m / PIXEL_M)  # fine pixels a cell side
        if abs(self._fine * PIXEL_M - self.grid.cell_m) > 1e-9:
            raise ValueError(f"cell_m must be a multiple of {PIXEL_M} m, received {self.grid.cell_m}")
        everything = np.concatenate([lane.points for lane in graph.lanes.values()])
        self._x0, self._y1 = everything[:, 0].min() - MARGIN_M, everything[:, 1].max() + MARGIN_M
        width = int((everything[:, 0].max() + MARGIN_M - self._x0) / PIXEL_M)
        height = int((self._y1 - everything[:, 1].min() + MARGIN_M) / PIXEL_M)
        self._town = np.zeros((height, width, 3), np.uint8)  # road, lane line, crosswalk
        self._draw_town(graph, crosswalks)

    def draw(self, pose: Pose2D, boxes: Iterable[SeenBox], stops: Iterable[StopLine]) -> BevPicture:
        """pose: of the (virtual) ego in the world. boxes: in its frame. stops: the lines at which the car must stop."""
        window = self._window(pose)
        vehicles, walkers, hidden, stop = (np.zeros(window.shape[:2], np.uint8) for _ in range(4))
        for box in boxes:
            if box.kind == BoxKind.PEDESTRIAN:
                self._disc(walkers if box.visible >= SEEN else hidden, box)
            else:
                self._fill(vehicles if box.visible >= SEEN else hidden, footprint(box))
        for line in stops:
            half = line.width_m / 2.0
            strip = np.array([[0.0, half], [0.0, -half], [-STOP_STRIP_M, -half], [-STOP_STRIP_M, half]])
            self._fill(stop, pose.transform_to_local(line.pose.transform_from_local(strip)))
        out = np.zeros((len(BevClass), self.grid.rows, self.grid.columns), np.uint8)
        out[BevClass.ROAD] = self._share(window[:, :, 0]) > COVERED
        out[BevClass.LANE_LINE] = self._share(window[:, :, 1]) > MARKED
        out[BevClass.VEHICLE] = self._share(vehicles) > COVERED
        out[BevClass.STOP] = self._share(stop) > COVERED
        out[BevClass.PEDESTRIAN] = self._share(walkers) > COVERED
        out[BevClass.CROSSWALK] = self._share(window[:, :, 2]) > COVERED
        unknown = np.asarray(self._share(hidden) > 0.0, np.uint8)
        unknown[(out[BevClass.VEHICLE] | out[BevClass.PEDESTRIAN]) > 0] = 0
        return BevPicture(out, unknown)

    def _window(self, pose: Pose2D) -> Raster:
        """The town as the grid sees it, in fine pixels; row 0 farthest ahead, column 0 leftmost."""
        rows, columns = self.grid.rows * self._fine, self.grid.columns * self._fine
        x = self.grid.x_max_m - (np.array([0, rows - 1, 0]) + 0.5) * PIXEL_M
        y = self.grid.y_max_m - (np.array([0, 0, columns - 1]) + 0.5) * PIXEL_M
        source = self._pixels(pose.transform_from_local(np.stack([x, y], axis=1)))
        target = np.array([[0, 0], [0, rows - 1], [columns - 1, 0]], np.float32)
        matrix = cv2.getAffineTransform(target, source.astype(np.float32))
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(self._town, matrix, (columns, rows), flags=flags), np.uint8)

    def _share(self, fine: Raster) -> FloatArray:
        """Mean of each cell's fine pixels."""
        size = (self.grid.columns, self.grid.rows)
        return np.asarray(cv2.resize(fine.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)

    def _fill(self, canvas: Raster, corners: FloatArray) -> None:
        """A convex polygon given in the ego frame."""
        pixels = np.stack(
            [(self.grid.y_max_m - corners[:, 1]) / PIXEL_M - 0.5, (self.grid.x_max_m - corners[:, 0]) / PIXEL_M - 0.5],
            axis=1,
        )
        cv2.fillConvexPoly(canvas, np.round(pixels * 2**SUBPIXEL_BITS).astype(np.int32), 1, shift=SUBPIXEL_BITS)

    def _disc(self, canvas: Raster, box: SeenBox) -> None:
        scale = 2**SUBPIXEL_BITS
        column, row = (self.grid.y_max_m - box.y) / PIXEL_M - 0.5, (self.grid.x_max_m - box.x) / PIXEL_M - 0.5
        radius = max(LEAST_RADIUS_M, box.body.half_length_m, box.body.half_width_m) / PIXEL_M
        centre = (round(column * scale), round(row * scale))
        cv2.circle(canvas, centre, round(radius * scale), 1, -1, shift=SUBPIXEL_BITS)

    def _pixels(self, points: FloatArray) -> FloatArray:
        """World x, y -> column, row of the town's picture (pixel centres whole)."""
        return np.stack([(points[:, 0] - self._x0) / PIXEL_M - 0.5, (self._y1 - points[:, 1]) / PIXEL_M - 0.5], axis=1)

    def _draw_town(self, graph: LaneGraph, crosswalks: Sequence[FloatArray]) -> None:
        road, lines, zebra = (np.ascontiguousarray(self._town[:, :, channel]) for channel in range(3))
        for lane in graph.lanes.values():
            normal = np.stack([-np.sin(lane.yaws), np.cos(lane.yaws)], axis=1) * (lane.width_m / 2.0)
            left, right = self._subpixels(lane.points + normal), self._subpixels(lane.points - normal)
            for i in range(len(lane.points) - 1):
                cv2.fillConvexPoly(
                    road, np.array([left[i], left[i + 1], right[i + 1], right[i]]), 1, shift=SUBPIXEL_BITS
                )
        fill_holes(road, HOLE_M2 / PIXEL_M**2)
        for edge in marked_edges(graph):
            cv2.polylines(
                lines,
                [self._subpixels(edge)],
                False,
                1,
                thickness=max(1, round(LINE_WIDTH_M / PIXEL_M)),
                shift=SUBPIXEL_BITS,
            )
        for polygon in crosswalks:
            cv2.fillPoly(zebra, [self._subpixels(polygon)], 1, shift=SUBPIXEL_BITS)
        self._town = np.stack([road, lines, zebra], axis=2)

    def _subpixels(self, points: FloatArray) -> npt.NDArray[np.int32]:
        return np.round(self._pixels(points) * 2**SUBPIXEL_BITS).astype(np.int32)


def fill_holes(canvas: Raster, most: float) -> None:
    """Islands of 0 in 1 of at most so many pixels."""
    contours, hierarchy = cv2.findContours(canvas, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0] if hierarchy is not None else (), strict=True):
        if parent >= 0 and cv2.contourArea(contour) <= most:
            cv2.drawContours(canvas, [contour], -1, 1, cv2.FILLED)


def footprint(box: SeenBox) -> FloatArray:
    """(4, 2) corners in the virtual ego's frame."""
    length, width = box.body.half_length_m, max(box.body.half_width_m, LEAST_HALF_WIDTH_M)
    corners = np.array([[length, width], [length, -width], [-length, -width], [-length, width]])
    return Pose2D(box.x, box.y, box.yaw).transform_from_local(corners)


def marked_edges(graph: LaneGraph) -> list[FloatArray]:
    """Every painted lane edge of the map, as polylines (N, 2) in the world."""
    edges: list[FloatArray] = []
    for key in sorted(graph.lanes):
        runs: tuple[list[tuple[float, float]], ...] = ([], [])
        for waypoint in graph.waypoints(key, SAMPLE_M):
            pose = pose_from_carla(waypoint.transform)
            markings = (waypoint.left_lane_marking, waypoint.right_lane_marking)
            for run, marking, half in zip(
                runs, markings, (waypoint.lane_width / 2.0, -waypoint.lane_width / 2.0), strict=True
            ):
                if marking is None or marking.type == carla.LaneMarkingType.NONE:
                    edges += [np.array(run)] if len(run) > 1 else []
                    run.clear()
                else:
                    run.append((pose.x - half * math.sin(pose.yaw), pose.y + half * math.cos(pose.yaw)))
        edges += [np.array(run) for run in runs if len(run) > 1]
    return edges
