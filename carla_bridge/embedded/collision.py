"""Contacts between upright oriented boxes on flat ground: detection and impulses.

Boxes turn about z only, so two boxes touch when their rectangles overlap (separating axis theorem) and their heights
do. Contacts are resolved one after the other with impulses (J. J. Moreau's and B. Mirtich's impulse-based contact:
restitution along the normal, Coulomb friction along the tangent), and the overlap is removed at once, shared by
inverse mass, so the centre of mass of a colliding pair stays where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.types import Box

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

RESTITUTION = 0.1  # crumpling cars hardly bounce
BOUNCE_FROM = 0.5  # [m/s] what leans on something slower than this does not bounce at all
BODY_FRICTION = 0.3  # sheet metal on sheet metal or concrete
HASH_X, HASH_Y = 73856093, 19349663  # primes of Teschner et al.
CURB_HEIGHT = 0.3  # [m] what is lower is driven over


@dataclass(frozen=True)
class SolidGrid:
    """The static boxes, and which of them each cell of a square grid touches (rows of a sparse matrix)."""

    boxes: F64  # (M, 8) solids columns
    starts: I64  # (cells + 1,)
    items: I64  # indices into boxes, ascending in each cell
    origin: F64  # (2,) [m] low corner
    shape: I64  # (2,) cells along x, y
    cell_m: float


def build_solid_grid(solids: Sequence[Box], cell_m: float = 12.0) -> SolidGrid:
    """Index the solids that a body on the ground can touch."""
    rows = []
    for box in solids:
        if box.centre.z + box.extent[2] <= CURB_HEIGHT:
            continue
        yaw = np.radians(box.centre.yaw)
        rows.append(
            [
                box.centre.x,
                box.centre.y,
                np.cos(yaw),
                np.sin(yaw),
                box.extent[0],
                box.extent[1],
                box.centre.z - box.extent[2],
                box.centre.z + box.extent[2],
            ]
        )
    boxes = np.array(rows, dtype=np.float64).reshape(-1, 8)
    if not len(boxes):
        empty = np.zeros(0, np.int64)
        return SolidGrid(boxes, np.zeros(2, np.int64), empty, np.zeros(2), np.ones(2, np.int64), cell_m)
    reach_x = np.abs(boxes[:, c.SCOS]) * boxes[:, c.SEX] + np.abs(boxes[:, c.SSIN]) * boxes[:, c.SEY]
    reach_y = np.abs(boxes[:, c.SSIN]) * boxes[:, c.SEX] + np.abs(boxes[:, c.SCOS]) * boxes[:, c.SEY]
    low = np.stack([boxes[:, c.SX] - reach_x, boxes[:, c.SY] - reach_y], axis=1)
    high = np.stack([boxes[:, c.SX] + reach_x, boxes[:, c.SY] + reach_y], axis=1)
    origin = low.min(axis=0)
    shape = np.floor((high.max(axis=0) - origin) / cell_m).astype(np.int64) + 1
    cells: list[list[int]] = [[] for _ in range(int(shape[0] * shape[1]))]
    for index in range(len(boxes)):
        first = np.floor((low[index] - origin) / cell_m).astype(int)
        last = np.floor((high[index] - origin) / cell_m).astype(int)
        for ix in range(first[0], last[0] + 1):
            for iy in range(first[1], last[1] + 1):
                cells[ix * int(shape[1]) + iy].append(index)
    starts = np.cumsum([0, *(len(cell) for cell in cells)]).astype(np.int64)
    items = np.array([index for cell in cells for index in cell], dtype=np.int64)
    return SolidGrid(boxes, starts, items, origin, shape, cell_m)


@njit(cache=True, nogil=True)
def box_contact(ax, ay, ac, as_, aex, aey, bx, by, bc, bs, bex, bey):
    """Contact of two rectangles: (depth, nx, ny, px, py), depth < 0 when they are apart.

    (ax, ay) centre, (ac, as_) cosine and sine of its yaw, (aex, aey) half sizes. The normal points from a to b along
    the axis of least overlap; p is the middle of the touching stretch of the edges.
    """
    dx, dy = bx - ax, by - ay
    depth, nx, ny, owner = 1e300, 0.0, 0.0, 0
    for axis in range(4):
        if axis == 0:
            ux, uy = ac, as_
        elif axis == 1:
            ux, uy = -as_, ac
        elif axis == 2:
            ux, uy = bc, bs
        else:
            ux, uy = -bs, bc
        reach_a = abs(ux * ac + uy * as_) * aex + abs(uy * ac - ux * as_) * aey
        reach_b = abs(ux * bc + uy * bs) * bex + abs(uy * bc - ux * bs) * bey
        distance = dx * ux + dy * uy
        overlap = reach_a + reach_b - abs(distance)
        if overlap <= 0.0:
            return -1.0, 0.0, 0.0, 0.0, 0.0
        if overlap < depth - 1e-9:  # ties go to the first axis, so rounding cannot choose
            sign = 1.0 if distance >= 0.0 else -1.0
            depth, nx, ny, owner = overlap, sign * ux, sign * uy, axis
    # The reference edge belongs to the box whose axis separates least; the incident edge of the other is clipped to it.
    if owner < 2:
        rx, ry, rc, rs, rex, rey, fx, fy = ax, ay, ac, as_, aex, aey, nx, ny
        ix, iy, ic, is_, iex, iey = bx, by, bc, bs, bex, bey
    else:
        rx, ry, rc, rs, rex, rey, fx, fy = bx, by, bc, bs, bex, bey, -nx, -ny
        ix, iy, ic, is_, iex, iey = ax, ay, ac, as_, aex, aey
    reference = abs(fx * rc + fy * rs) * rex + abs(fy * rc - fx * rs) * rey  # height of the reference edge
    half_edge = rey if owner % 2 == 0 else rex
    along, across = fx * ic + fy * is_, fy * ic - fx * is_  # outward normal in the incident box's frame
    if abs(along) > abs(across):
        side = -iex if along > 0.0 else iex
        x0, y0 = ix + side * ic - iey * -is_, iy + side * is_ - iey * ic
        x1, y1 = ix + side * ic + iey * -is_, iy + side * is_ + iey * ic
    else:
        side = -iey if across > 0.0 else iey
        x0, y0 = ix - side * is_ - iex * ic, iy + side * ic - iex * is_
        x1, y1 = ix - side * is_ + iex * ic, iy + side * ic + iex * is_
    tx, ty = -fy, fx
    t0, t1 = (x0 - rx) * tx + (y0 - ry) * ty, (x1 - rx) * tx + (y1 - ry) * ty
    span = t1 - t0
    k0, k1 = 0.0, 1.0
    if abs(span) > 1e-12:
        low, high = (-half_edge - t0) / span, (half_edge - t0) / span
        if low > high:
            low, high = high, low
        k0, k1 = min(max(low, 0.0), 1.0), max(min(high, 1.0), 0.0)
    px, py, weight = 0.0, 0.0, 0.0
    for k in (k0, k1):
        qx, qy = x0 + k * (x1 - x0), y0 + k * (y1 - y0)
        sunk = reference - ((qx - rx) * fx + (qy - ry) * fy)
        if sunk > 0.0:
            px, py, weight = px + sunk * qx, py + sunk * qy, weight + sunk
    if weight <= 0.0:
        return depth, nx, ny, 0.5 * (x0 + x1), 0.5 * (y0 + y1)
    return depth, nx, ny, px / weight, py / weight


@njit(cache=True, nogil=True)
def record(pairs, impulses, count, a, b, jx, jy):
    """Add an impulse (as it acted on a) to the pair's entry; entries keep the order of first touch."""
    for k in range(count):
        if pairs[k, 0] == a and pairs[k, 1] == b:
            impulses[k, 0] += jx
            impulses[k, 1] += jy
            return count
    if count < len(pairs):
        pairs[count, 0], pairs[count, 1] = a, b
        impulses[count, 0], impulses[count, 1] = jx, jy
        count += 1
    return count


@njit(cache=True, nogil=True)
def resolve_pair(state, a, b, inv_mass_b, inv_inertia_b, bx, by, depth, nx, ny, px, py, param):
    """Impulse and separation of one contact; b < 0 is a solid, centred at (bx, by). Returns the normal impulse."""
    inv_mass_a, inv_inertia_a = param[a, c.INV_MASS], param[a, c.INV_INERTIA]
    total = inv_mass_a + inv_mass_b
    if total == 0.0:
        return 0.0
    rax, ray = px - state[a, c.X], py - state[a, c.Y]
    rbx, rby = px - bx, py - by
    impulse = 0.0
    for direction in range(2):  # normal, then friction along the tangent
        ux, uy = (nx, ny) if direction == 0 else (-ny, nx)
        vx = -state[a, c.VX] + state[a, c.YAW_RATE] * ray
        vy = -state[a, c.VY] - state[a, c.YAW_RATE] * rax
        if b >= 0:
            vx += state[b, c.VX] - state[b, c.YAW_RATE] * rby
            vy += state[b, c.VY] + state[b, c.YAW_RATE] * rbx
        arm_a, arm_b = rax * uy - ray * ux, rbx * uy - rby * ux
        speed = vx * ux + vy * uy
        effective = total + inv_inertia_a * arm_a * arm_a + inv_inertia_b * arm_b * arm_b
        if direction == 0:
            if speed >= 0.0:
                break
            bounce = RESTITUTION if speed < -BOUNCE_FROM else 0.0
            j = -(1.0 + bounce) * speed / effective
            impulse = j
        else:
            limit = BODY_FRICTION * impulse
            j = min(limit, max(-limit, -speed / effective))
        state[a, c.VX] -= j * ux * inv_mass_a
        state[a, c.VY] -= j * uy * inv_mass_a
        state[a, c.YAW_RATE] -= j * arm_a * inv_inertia_a
        if b >= 0:
            state[b, c.VX] += j * ux * inv_mass_b
            state[b, c.VY] += j * uy * inv_mass_b
            state[b, c.YAW_RATE] += j * arm_b * inv_inertia_b
    push = depth / total
    state[a, c.X] -= push * inv_mass_a * nx
    state[a, c.Y] -= push * inv_mass_a * ny
    if b >= 0:
        state[b, c.X] += push * inv_mass_b * nx
        state[b, c.Y] += push * inv_mass_b * ny
    return impulse


@njit(cache=True, nogil=True)
def _neighbours(state, param, radius, cell_x, cell_y, starts, order, a, near):
    """Write the rows b > a whose enclosing circles meet a's into `near`, ascending: (how many, how many looked at)."""
    mask, count, looked = len(starts) - 2, 0, 0
    for ix in range(cell_x[a] - 1, cell_x[a] + 2):
        for iy in range(cell_y[a] - 1, cell_y[a] + 2):
            slot = (ix * HASH_X ^ iy * HASH_Y) & mask
            for k in range(starts[slot], starts[slot + 1]):
                b = order[k]
                if b <= a or cell_x[b] != ix or cell_y[b] != iy:
                    continue
                looked += 1
                if param[a, c.INV_MASS] == 0.0 and param[b, c.INV_MASS] == 0.0:
                    continue
                dx, dy = state[b, c.X] - state[a, c.X], state[b, c.Y] - state[a, c.Y]
                reach = radius[a] + radius[b]
                if dx * dx + dy * dy >= reach * reach:
                    continue
                place = count
                while place > 0 and near[place - 1] > b:
                    near[place] = near[place - 1]
                    place -= 1
                near[place] = b
                count += 1
    return count, looked


@njit(cache=True, nogil=True)
def near_bodies(state, param):
    """Which bodies may touch: (starts (N + 1,), items, how many pairs were looked at).

    items[starts[a] : starts[a + 1]] are the rows b > a whose enclosing circles meet that of a, ascending. Found with a
    hashed uniform grid (M. Teschner et al., Optimized Spatial Hashing for Collision Detection, VMV 2003) of cells as
    wide as the largest body, so the cost grows with the bodies and their neighbours, not with the square of their
    number.
    """
    n = len(state)
    radius = np.zeros(n)
    widest = 0.0
    for a in range(n):
        radius[a] = np.hypot(param[a, c.EX], param[a, c.EY])
        if param[a, c.COLLIDES] != 0.0:
            widest = max(widest, radius[a])
    cell_m = 2.0 * widest + 0.01
    slots = 16
    while slots < 2 * n:
        slots *= 2
    cell_x, cell_y, bucket = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    starts = np.zeros(slots + 1, np.int64)
    for a in range(n):
        cell_x[a], cell_y[a] = int(np.floor(state[a, c.X] / cell_m)), int(np.floor(state[a, c.Y] / cell_m))
        bucket[a] = (cell_x[a] * HASH_X ^ cell_y[a] * HASH_Y) & (slots - 1)
        if param[a, c.COLLIDES] != 0.0:
            starts[bucket[a] + 1] += 1
    for slot in range(slots):
        starts[slot + 1] += starts[slot]
    order, filled = np.zeros(starts[slots], np.int64), starts[:-1].copy()
    for a in range(n):
        if param[a, c.COLLIDES] != 0.0:
            order[filled[bucket[a]]] = a
            filled[bucket[a]] += 1
    first, items, near = np.zeros(n + 1, np.int64), np.zeros(4 * n + 16, np.int64), np.zeros(n, np.int64)
    looked = 0
    for a in range(n):
        count = 0
        if param[a, c.COLLIDES] != 0.0:
            count, seen = _neighbours(state, param, radius, cell_x, cell_y, starts, order, a, near)
            looked += seen
        if first[a] + count > len(items):
            more = np.zeros(2 * len(items) + count, np.int64)
            more[: len(items)] = items
            items = more
        for k in range(count):
            items[first[a] + k] = near[k]
        first[a + 1] = first[a] + count
    return first, items, looked


@njit(cache=True, nogil=True)
def _meet(state, param, a, b, bx, by, bc, bs, bex, bey, pairs, impulses, count):
    """Resolve and record the contact of body a with body b, or with the solid -1 - b; returns the number of records."""
    depth, nx, ny, px, py = box_contact(
        state[a, c.X],
        state[a, c.Y],
        np.cos(state[a, c.YAW]),
        np.sin(state[a, c.YAW]),
        param[a, c.EX],
        param[a, c.EY],
        bx,
        by,
        bc,
        bs,
        bex,
        bey,
    )
    if depth < 0.0:
        return count
    inv_mass, inv_inertia = 0.0, 0.0
    if b >= 0:
        inv_mass, inv_inertia = param[b, c.INV_MASS], param[b, c.INV_INERTIA]
    j = resolve_pair(state, a, b, inv_mass, inv_inertia, bx, by, depth, nx, ny, px, py, param)
    return record(pairs, impulses, count, a, b, -j * nx, -j * ny) if j > 0.0 else count


@njit(cache=True, nogil=True)
def resolve_contacts(state, param, boxes, starts, items, origin, shape, cell_m, pairs, impulses, count):
    """Resolve every contact once, in the order of the rows; returns the number of recorded pairs.

    pairs (K, 2): row of a, and row of b or -1 - (index of the solid); impulses (K, 2) [N s] as they acted on a.
    """
    first, near, _ = near_bodies(state, param)
    for a in range(len(state)):
        if param[a, c.COLLIDES] == 0.0:
            continue
        radius = np.hypot(param[a, c.EX], param[a, c.EY])
        for k in range(first[a], first[a + 1]):
            b = near[k]
            dz = state[b, c.Z] + param[b, c.CZ] - state[a, c.Z] - param[a, c.CZ]
            if abs(dz) >= param[a, c.EZ] + param[b, c.EZ]:
                continue
            x, y, cy, sy = state[b, c.X], state[b, c.Y], np.cos(state[b, c.YAW]), np.sin(state[b, c.YAW])
            ex, ey = param[b, c.EX], param[b, c.EY]
            count = _meet(state, param, a, b, x, y, cy, sy, ex, ey, pairs, impulses, count)
        if len(boxes) == 0 or param[a, c.INV_MASS] == 0.0:
            continue
        ix0 = max(0, int(np.floor((state[a, c.X] - radius - origin[0]) / cell_m)))
        ix1 = min(shape[0] - 1, int(np.floor((state[a, c.X] + radius - origin[0]) / cell_m)))
        iy0 = max(0, int(np.floor((state[a, c.Y] - radius - origin[1]) / cell_m)))
        iy1 = min(shape[1] - 1, int(np.floor((state[a, c.Y] + radius - origin[1]) / cell_m)))
        for ix in range(ix0, ix1 + 1):
            for iy in range(iy0, iy1 + 1):
                cell = ix * shape[1] + iy
                for k in range(starts[cell], starts[cell + 1]):
                    s = items[k]  # one in two cells is met twice: the second time it overlaps no more
                    dx, dy = boxes[s, c.SX] - state[a, c.X], boxes[s, c.SY] - state[a, c.Y]
                    reach = radius + np.hypot(boxes[s, c.SEX], boxes[s, c.SEY])
                    if dx * dx + dy * dy >= reach * reach:
                        continue
                    middle = state[a, c.Z] + param[a, c.CZ]
                    if middle + param[a, c.EZ] <= boxes[s, c.SLOW] or middle - param[a, c.EZ] >= boxes[s, c.SHIGH]:
                        continue
                    x, y, cy, sy = boxes[s, c.SX], boxes[s, c.SY], boxes[s, c.SCOS], boxes[s, c.SSIN]
                    ex, ey = boxes[s, c.SEX], boxes[s, c.SEY]
                    count = _meet(state, param, a, -1 - s, x, y, cy, sy, ex, ey, pairs, impulses, count)
    return count


@njit(cache=True, nogil=True)
def overlaps_any(x, y, z, yaw, ex, ey, ez, state, param, boxes):
    """Whether an upright box centred at (x, y, z) overlaps a body or a solid."""
    cosine, sine, radius = np.cos(yaw), np.sin(yaw), np.hypot(ex, ey)
    for b in range(len(state)):
        if param[b, c.COLLIDES] == 0.0 or abs(state[b, c.Z] + param[b, c.CZ] - z) >= ez + param[b, c.EZ]:
            continue
        reach = radius + np.hypot(param[b, c.EX], param[b, c.EY])
        if np.hypot(state[b, c.X] - x, state[b, c.Y] - y) >= reach:
            continue
        if (
            box_contact(
                x,
                y,
                cosine,
                sine,
                ex,
                ey,
                state[b, c.X],
                state[b, c.Y],
                np.cos(state[b, c.YAW]),
                np.sin(state[b, c.YAW]),
                param[b, c.EX],
                param[b, c.EY],
            )[0]
            > 0.0
        ):
            return True
    for k in range(len(boxes)):
        if z + ez <= boxes[k, c.SLOW] or z - ez >= boxes[k, c.SHIGH]:
            continue
        if np.hypot(boxes[k, c.SX] - x, boxes[k, c.SY] - y) >= radius + np.hypot(boxes[k, c.SEX], boxes[k, c.SEY]):
            continue
        if (
            box_contact(
                x,
                y,
                cosine,
                sine,
                ex,
                ey,
                boxes[k, c.SX],
                boxes[k, c.SY],
                boxes[k, c.SCOS],
                boxes[k, c.SSIN],
                boxes[k, c.SEX],
                boxes[k, c.SEY],
            )[0]
            > 0.0
        ):
            return True
    return False
