"""What the network should see from above: BEV rasters from the map, the actors and the lights, for any (virtual) pose.

The town's roads and lane lines are drawn once into one big picture; a label is a window cut out of it.
"""

from __future__ import annotations

import math

import carla
import cv2
import numpy as np
import numpy.typing as npt

from bev import BevClass, BevGrid, FloatArray, Pose2D
from carla_bridge.convert import pose_from_carla
from carla_bridge.expert import GoverningLight
from carla_bridge.lanes import LaneGraph
from carla_bridge.truth import Truth
from planner import Light

PIXEL_M = 0.25
MARGIN_M = 60.0
LINE_WIDTH_M = 0.5  # drawn wider than it is painted, so that no cell between two samples misses it
STOP_STRIP_M = 3.0
COVERED = 0.35  # share of a cell from which it counts as road or vehicle
MARKED = 0.3
SAMPLE_M = 0.5
SUBPIXEL_BITS = 4

Raster = npt.NDArray[np.uint8]


class BevLabels:
    """Draws (4, rows, columns) uint8 labels of 0 and 1, channels by `BevClass`, in about a millisecond."""

    def __init__(self, graph: LaneGraph, grid: BevGrid | None = None) -> None:
        self.grid = grid or BevGrid()
        self._fine = round(self.grid.cell_m / PIXEL_M)  # fine pixels a cell side
        if abs(self._fine * PIXEL_M - self.grid.cell_m) > 1e-9:
            raise ValueError(f"cell_m must be a multiple of {PIXEL_M} m, received {self.grid.cell_m}")
        everything = np.concatenate([lane.points for lane in graph.lanes.values()])
        self._x0, self._y1 = everything[:, 0].min() - MARGIN_M, everything[:, 1].max() + MARGIN_M
        width = int((everything[:, 0].max() + MARGIN_M - self._x0) / PIXEL_M)
        height = int((self._y1 - everything[:, 1].min() + MARGIN_M) / PIXEL_M)
        self._town = np.zeros((height, width, 2), np.uint8)  # road, lane line
        self._draw_town(graph)

    def draw(self, truth: Truth, pose: Pose2D, governing: GoverningLight | None) -> Raster:
        """pose: of the (virtual) ego in the world. governing: the light ahead of it, from the expert."""
        window = self._window(pose)
        vehicles = np.zeros(window.shape[:2], np.uint8)
        for body in truth.others:
            if (
                body.type_id.startswith("vehicle.")
                and np.hypot(body.pose.x - pose.x, body.pose.y - pose.y) < self.grid.x_max_m * 2.0
            ):
                self._fill(vehicles, pose.transform_to_local(body.corners()))
        stop = np.zeros_like(vehicles)
        if governing is not None and governing.light == Light.RED_OR_YELLOW:
            half = governing.line.width_m / 2.0
            strip = np.array([[0.0, half], [0.0, -half], [-STOP_STRIP_M, -half], [-STOP_STRIP_M, half]])
            self._fill(stop, pose.transform_to_local(governing.line.pose.transform_from_local(strip)))
        out = np.zeros((len(BevClass), self.grid.rows, self.grid.columns), np.uint8)
        out[BevClass.ROAD] = self._share(window[:, :, 0]) > COVERED
        out[BevClass.LANE_LINE] = self._share(window[:, :, 1]) > MARKED
        out[BevClass.VEHICLE] = self._share(vehicles) > COVERED
        out[BevClass.STOP] = self._share(stop) > COVERED
        return out

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

    def _pixels(self, points: FloatArray) -> FloatArray:
        """World x, y -> column, row of the town's picture (pixel centres whole)."""
        return np.stack([(points[:, 0] - self._x0) / PIXEL_M - 0.5, (self._y1 - points[:, 1]) / PIXEL_M - 0.5], axis=1)

    def _draw_town(self, graph: LaneGraph) -> None:
        road, lines = (np.ascontiguousarray(self._town[:, :, channel]) for channel in range(2))
        for lane in graph.lanes.values():
            normal = np.stack([-np.sin(lane.yaws), np.cos(lane.yaws)], axis=1) * (lane.width_m / 2.0)
            left, right = self._subpixels(lane.points + normal), self._subpixels(lane.points - normal)
            for i in range(len(lane.points) - 1):
                cv2.fillConvexPoly(
                    road, np.array([left[i], left[i + 1], right[i + 1], right[i]]), 1, shift=SUBPIXEL_BITS
                )
        for edge in marked_edges(graph):
            cv2.polylines(
                lines,
                [self._subpixels(edge)],
                False,
                1,
                thickness=max(1, round(LINE_WIDTH_M / PIXEL_M)),
                shift=SUBPIXEL_BITS,
            )
        self._town = np.stack([road, lines], axis=2)

    def _subpixels(self, points: FloatArray) -> npt.NDArray[np.int32]:
        return np.round(self._pixels(points) * 2**SUBPIXEL_BITS).astype(np.int32)


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
