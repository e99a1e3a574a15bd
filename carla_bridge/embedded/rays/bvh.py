"""Bounding volume hierarchies over triangles: binned surface-area heuristic, built top down.

The heuristic is Goldsmith and Salmon's (1987), the binning I. Wald's (On fast construction of SAH-based bounding volume
hierarchies, 2007). A node carries the boxes of its two children, so that one visit decides about both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

LEAF_TRIANGLES = 4  # at most; must stay below 2 ** LEAF_BITS
LEAF_BITS = 3
BINS = 16
STACK = 64  # levels: a node is split in the middle once the tree has grown half as deep
VISIT_COST = 1.2  # of a node, in triangle tests

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bvh:
    """A tree over triangles, stored in the order of its leaves."""

    boxes: F32  # (N, 12) low xyz and high xyz of the left child, then of the right child
    links: I32  # (N, 2) a child: >= 0 another node, < 0 a leaf, -1 - (first triangle << LEAF_BITS | count)
    order: I64  # (T,) the caller's number of each stored triangle


def build_bvh(low: F32, high: F32) -> Bvh:
    """A tree over T boxes given by their low and high corners (T, 3); no boxes make a tree that no ray meets."""
    count = len(low)
    boxes = np.zeros((max(1, count), 12), np.float32)
    links = np.full((max(1, count), 2), -1, np.int32)  # -1: a leaf without triangles
    boxes[0, [0, 1, 2, 6, 7, 8]] = np.inf
    boxes[0, [3, 4, 5, 9, 10, 11]] = -np.inf
    order = np.arange(count, dtype=np.int64)
    nodes = 1
    if count:
        nodes = _build(np.ascontiguousarray(low), np.ascontiguousarray(high), order, boxes, links)
    return Bvh(np.ascontiguousarray(boxes[:nodes]), np.ascontiguousarray(links[:nodes]), order)


@njit(cache=True, nogil=True)
def _bounds(low: F32, high: F32, order: I64, first: int, last: int, box: F32) -> None:
    """Box of the items order[first:last] into box (6,)."""
    for axis in range(3):
        small, large = np.float32(np.inf), np.float32(-np.inf)
        for k in range(first, last):
            small = min(small, low[order[k], axis])
            large = max(large, high[order[k], axis])
        box[axis], box[axis + 3] = small, large


@njit(cache=True, nogil=True)
def _half_area(box: F32) -> float:
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    return float(x * y + y * z + z * x)


@njit(cache=True, nogil=True)
def _best_split(low, high, order, first, last, box, bins, counts, areas):
    """Axis and threshold (of twice the centre) of the cheapest split, and its cost; axis -1 when there is none."""
    best_axis, best_at, best_cost = -1, 0.0, np.inf
    one = np.empty(6, np.float32)
    for axis in range(3):
        small, large = np.inf, -np.inf
        for k in range(first, last):
            twice = low[order[k], axis] + high[order[k], axis]
            small, large = min(small, twice), max(large, twice)
        if not large > small:
            continue
        scale = BINS / (large - small)
        counts[:] = 0
        for b in range(BINS):
            bins[b, :3], bins[b, 3:] = np.inf, -np.inf
        for k in range(first, last):
            item = order[k]
            b = min(BINS - 1, int((low[item, axis] + high[item, axis] - small) * scale))
            counts[b] += 1
            for i in range(3):
                bins[b, i] = min(bins[b, i], low[item, i])
                bins[b, i + 3] = max(bins[b, i + 3], high[item, i])
        one[:3], one[3:] = np.inf, -np.inf
        behind = 0
        for b in range(BINS - 1, 0, -1):  # cost of everything right of the border before bin b
            for i in range(3):
                one[i], one[i + 3] = min(one[i], bins[b, i]), max(one[i + 3], bins[b, i + 3])
            behind += counts[b]
            areas[b] = behind * _half_area(one) if behind > 0 else 0.0
        one[:3], one[3:] = np.inf, -np.inf
        before = 0
        for b in range(BINS - 1):
            for i in range(3):
                one[i], one[i + 3] = min(one[i], bins[b, i]), max(one[i + 3], bins[b, i + 3])
            before += counts[b]
            if before == 0 or before == last - first:
                continue
            cost = before * _half_area(one) + areas[b + 1]
            if cost < best_cost:
                best_axis, best_at, best_cost = axis, small + (b + 1) / scale, cost
    return best_axis, best_at, best_cost


@njit(cache=True, nogil=True)
def _partition(low, high, order, scratch, first, last, axis, at):
    """Stable partition of order[first:last]; the first index of the second part."""
    middle, rest = first, 0
    for k in range(first, last):
        item = order[k]
        if low[item, axis] + high[item, axis] < at:
            order[middle] = item
            middle += 1
        else:
            scratch[rest] = item
            rest += 1
    for k in range(rest):
        order[middle + k] = scratch[k]
    return middle


@njit(cache=True, nogil=True)
def _build(low, high, order, boxes, links):
    """Fills boxes, links and order; returns the number of nodes."""
    count = len(order)
    scratch = np.empty(count, np.int64)
    bins, counts, areas = np.empty((BINS, 6), np.float32), np.empty(BINS, np.int64), np.empty(BINS)
    box = np.empty(6, np.float32)
    # Work to do: items first..last become child `side` of node `parent`, `depth` levels down.
    stack = np.empty((2 * STACK, 5), np.int64)
    stack[0] = 0, count, 0, 0, 0
    size, nodes = 1, 1
    while size > 0:
        size -= 1
        first, last, parent, side, depth = stack[size]
        _bounds(low, high, order, first, last, box)
        boxes[parent, 6 * side : 6 * side + 6] = box
        number = last - first
        axis, at, cost = -1, 0.0, np.inf
        if number > 1:
            axis, at, cost = _best_split(low, high, order, first, last, box, bins, counts, areas)
        leaf_is_cheaper = cost + VISIT_COST * _half_area(box) >= number * _half_area(box)
        if number <= LEAF_TRIANGLES and (number == 1 or leaf_is_cheaper):
            links[parent, side] = -1 - ((first << LEAF_BITS) | number)
            continue
        middle = first
        if axis >= 0 and depth < STACK // 2:
            middle = _partition(low, high, order, scratch, first, last, axis, at)
        if middle in (first, last):
            middle = (first + last) // 2
        node = nodes
        nodes += 1
        links[parent, side] = node
        stack[size] = middle, last, node, 1, depth + 1
        stack[size + 1] = first, middle, node, 0, depth + 1
        size += 2
    return nodes
