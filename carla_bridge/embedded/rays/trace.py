"""Rays through bounding volume hierarchies: one tree over the static world, one for each prototype.

A ray meets the front of a triangle only; from behind a surface lets it through, as the renderer's pictures do.
The triangle test works with the signed volumes that the ray spans with the three edges (Moeller and Trumbore's test in
the symmetric form of Segura and Feito): two triangles with a common edge get the same number for it with opposite
signs, so no ray slips through between them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from carla_bridge.embedded.rays.bvh import LEAF_BITS, STACK

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

LEAF_MASK = (1 << LEAF_BITS) - 1
NOTHING = -1
STEEP = 1e30  # 1 / direction along an axis that the ray does not move on: finite, so that 0 * STEEP is 0


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _inverse(d: float) -> float:
    return 1.0 / d if abs(d) > 1.0 / STEEP else (STEEP if d >= 0.0 else -STEEP)


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(boxes, links, corners, root, ox, oy, oz, dx, dy, dz, limit, stack, entries):
    """Row of the nearest triangle whose front the ray meets before `limit`, and where: o + t d; (-1, limit) for none.

    Of triangles met at the same t the one with the lowest row counts.
    """
    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
    # Columns of the planes where the ray enters and leaves a box.
    nx, ny, nz = (0 if ix > 0.0 else 3), (1 if iy > 0.0 else 4), (2 if iz > 0.0 else 5)
    fx, fy, fz = 3 - nx, 5 - ny, 7 - nz
    found, best = NOTHING, limit
    size, node = 0, root
    while True:
        if node >= 0:
            box = boxes[node]
            enter_l = max(max((box[nx] - ox) * ix, (box[ny] - oy) * iy), max((box[nz] - oz) * iz, 0.0))
            leave_l = min(min((box[fx] - ox) * ix, (box[fy] - oy) * iy), min((box[fz] - oz) * iz, best))
            enter_r = max(max((box[6 + nx] - ox) * ix, (box[6 + ny] - oy) * iy), max((box[6 + nz] - oz) * iz, 0.0))
            leave_r = min(min((box[6 + fx] - ox) * ix, (box[6 + fy] - oy) * iy), min((box[6 + fz] - oz) * iz, best))
            hit_l, hit_r = enter_l <= leave_l, enter_r <= leave_r
            if hit_l and hit_r:
                near = 0 if enter_l <= enter_r else 1
                stack[size] = links[node, 1 - near]
                entries[size] = max(enter_l, enter_r)
                size += 1
                node = links[node, near]
                continue
            if hit_l:
                node = links[node, 0]
                continue
            if hit_r:
                node = links[node, 1]
                continue
        else:
            packed = -1 - node
            first = packed >> LEAF_BITS
            for k in range(first, first + (packed & LEAF_MASK)):
                p = corners[k]
                ax, ay, az = p[0] - ox, p[1] - oy, p[2] - oz
                bx, by, bz = p[3] - ox, p[4] - oy, p[5] - oz
                cx, cy, cz = p[6] - ox, p[7] - oy, p[8] - oz
                px, py, pz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
                u = dx * px + dy * py + dz * pz
                if u < 0.0:
                    continue
                v = dx * (cy * az - cz * ay) + dy * (cz * ax - cx * az) + dz * (cx * ay - cy * ax)
                if v < 0.0:
                    continue
                w = dx * (ay * bz - az * by) + dy * (az * bx - ax * bz) + dz * (ax * by - ay * bx)
                if w < 0.0:
                    continue
                whole = u + v + w
                if whole <= 0.0:
                    continue
                t = (ax * px + ay * py + az * pz) / whole  # both are six times a volume over the plane's normal
                if t >= 0.0 and (t < best or (t == best and k < found)):
                    found, best = k, t
        while True:
            if size == 0:
                return found, best
            size -= 1
            if entries[size] <= best:
                node = stack[size]
                break


@njit(cache=True, nogil=True, error_model="numpy")
def _cosine(corner: F32, dx: float, dy: float, dz: float) -> tuple[float, float, float, float]:
    """Outward normal (not of unit length) of a triangle, and minus its product with the direction."""
    ux, uy, uz = corner[6] - corner[0], corner[7] - corner[1], corner[8] - corner[2]
    vx, vy, vz = corner[3] - corner[0], corner[4] - corner[1], corner[5] - corner[2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    return nx, ny, nz, -(nx * dx + ny * dy + nz * dz)


@njit(cache=True, nogil=True, error_model="numpy")
def trace(
    origins: F64,  # (R or 1, 3)
    directions: F64,  # (R, 3)
    limit: float,  # t of the farthest hit
    first: int,  # rays first .. last - 1 are traced
    last: int,
    boxes: F32,  # tree of the static world
    links: I32,
    corners: F32,  # (T, 9) its triangles
    top_boxes: F32,  # tree over the instances' boxes; a tree without content for no instances
    top_links: I32,
    top_order: I64,
    from_world: F64,  # (N, 3, 4) world -> prototype
    roots: I32,  # (N,) root of each instance's prototype in the next three
    local_boxes: F32,
    local_links: I32,
    local_corners: F32,
    visible: npt.NDArray[np.bool_],  # (N,) instances that can be hit
    distances: F64,  # (R,) out: t, inf for no hit
    rows: I32,  # (R,) out: row of corners or of local_corners
    owners: I32,  # (R,) out: instance, NOTHING for the static world and for no hit
    cosines: F32,  # (R,) out: of the angle between the ray and the surface's normal
) -> None:
    """The nearest hit of each ray."""
    stack, entries = np.empty(STACK, np.int32), np.empty(STACK)
    top_stack = np.empty(STACK, np.int32)
    for r in range(first, last):
        origin = origins[r if len(origins) > 1 else 0]
        ox, oy, oz = origin[0], origin[1], origin[2]
        dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
        row, best = _nearest(boxes, links, corners, 0, ox, oy, oz, dx, dy, dz, limit, stack, entries)
        owner = NOTHING
        ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
        nx, ny, nz = (0 if ix > 0.0 else 3), (1 if iy > 0.0 else 4), (2 if iz > 0.0 else 5)
        fx, fy, fz = 3 - nx, 5 - ny, 7 - nz
        top_stack[0] = 0
        size = 1
        while size > 0:
            size -= 1
            node = top_stack[size]
            for side in range(2):
                box = top_boxes[node, 6 * side : 6 * side + 6]
                enter = max(max((box[nx] - ox) * ix, (box[ny] - oy) * iy), max((box[nz] - oz) * iz, 0.0))
                leave = min(min((box[fx] - ox) * ix, (box[fy] - oy) * iy), min((box[fz] - oz) * iz, best))
                if enter > leave:
                    continue
                child = top_links[node, side]
                if child >= 0:
                    top_stack[size] = child
                    size += 1
                    continue
                packed = -1 - child
                start = packed >> LEAF_BITS
                for item in range(start, start + (packed & LEAF_MASK)):
                    k = top_order[item]
                    if not visible[k]:
                        continue
                    m = from_world[k]
                    found, t = _nearest(
                        local_boxes,
                        local_links,
                        local_corners,
                        roots[k],
                        m[0, 0] * ox + m[0, 1] * oy + m[0, 2] * oz + m[0, 3],
                        m[1, 0] * ox + m[1, 1] * oy + m[1, 2] * oz + m[1, 3],
                        m[2, 0] * ox + m[2, 1] * oy + m[2, 2] * oz + m[2, 3],
                        m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz,
                        m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz,
                        m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz,
                        best,
                        stack,
                        entries,
                    )
                    if found >= 0 and (t < best or owner == NOTHING or k < owner):
                        row, best, owner = found, t, k
        rows[r], owners[r] = row, owner
        if row < 0:
            distances[r], cosines[r] = np.inf, 0.0
            continue
        distances[r] = best
        length = np.sqrt(dx * dx + dy * dy + dz * dz)
        if owner < 0:
            hx, hy, hz, facing = _cosine(corners[row], dx, dy, dz)
        else:
            m = from_world[owner]
            lx, ly, lz, facing = _cosine(
                local_corners[row],
                m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz,
                m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz,
                m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz,
            )
            # Normals go to the world with the transposed inverse, which keeps their product with the direction.
            hx = m[0, 0] * lx + m[1, 0] * ly + m[2, 0] * lz
            hy = m[0, 1] * lx + m[1, 1] * ly + m[2, 1] * lz
            hz = m[0, 2] * lx + m[1, 2] * ly + m[2, 2] * lz
        cosines[r] = min(1.0, facing / max(1e-30, length * np.sqrt(hx * hx + hy * hy + hz * hz)))
