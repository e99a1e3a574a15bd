"""What rays can meet: the static town and the moving things of one moment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.rays.bvh import LEAF_BITS, Bvh, build_bvh
from carla_bridge.embedded.rays.trace import trace
from carla_bridge.embedded.types import Instances, Label, Mesh

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

THREADS = 2
CHUNK_RAYS = 2048  # fewer rays than two of these are traced by the caller's thread alone
BOX_MARGIN_M = 1e-3  # an instance's box in the world is rounded to float32


_NOTHING = build_bvh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))


@dataclass(frozen=True)
class Hits:
    """The nearest surface on each of R rays."""

    distance: F64  # (R,) in lengths of the direction ([m] for unit vectors); inf: nothing within range
    label: npt.NDArray[np.uint8]  # (R,) Label; NONE for no hit
    actor_id: npt.NDArray[np.uint32]  # (R,) 0 for the static world and for no hit
    cos_incidence: F32  # (R,) of the angle between the ray and the surface's normal, 0..1


@dataclass(frozen=True)
class RayFrame:
    """The moving things of one moment, ready to be met by any number of rays at once."""

    tree: Bvh  # over the instances' boxes
    from_world: F64  # (N, 3, 4)
    roots: I32  # (N,) root of the prototype's tree
    actor_ids: npt.NDArray[np.uint32]  # (N,)


def _triangles(mesh: Mesh) -> F32:
    """(T, 3, 3) corners."""
    return np.asarray(mesh.vertices, np.float32)[mesh.triangles].reshape(-1, 3, 3)


class RayScene:
    """Thread-safe: `cast` may run in several threads at once; its result depends on its arguments only."""

    def __init__(self, static: Mesh, prototypes: Sequence[Mesh], threads: int = THREADS) -> None:
        corners = _triangles(static)
        self._static = build_bvh(corners.min(axis=1), corners.max(axis=1))
        self._corners = np.ascontiguousarray(corners[self._static.order].reshape(-1, 9))
        self._labels = np.asarray(static.labels, np.uint8)[self._static.order]
        self._helpers = ThreadPoolExecutor(threads - 1, thread_name_prefix="rays") if threads > 1 else None
        self._threads = threads
        self._join(prototypes)

    def _join(self, prototypes: Sequence[Mesh]) -> None:
        """One set of arrays for the trees of all prototypes."""
        boxes, links, corners, ordered = [np.zeros((0, 12), np.float32)], [np.zeros((0, 2), np.int32)], [], []
        roots, low, high = [], [], []
        nodes = triangles = 0
        for mesh in prototypes:
            part = _triangles(mesh)
            tree = build_bvh(part.min(axis=1), part.max(axis=1))
            shifted = np.where(tree.links >= 0, tree.links + nodes, tree.links - (triangles << LEAF_BITS))
            boxes.append(tree.boxes)
            links.append(shifted.astype(np.int32))
            corners.append(part[tree.order].reshape(-1, 9))
            ordered.append(np.asarray(mesh.labels, np.uint8)[tree.order])
            roots.append(nodes)
            flat = part.reshape(-1, 3) if len(part) else np.zeros((1, 3), np.float32)
            low.append(flat.min(axis=0))
            high.append(flat.max(axis=0))
            nodes += len(tree.links)
            triangles += len(part)
        self._local_boxes = np.ascontiguousarray(np.concatenate(boxes))
        self._local_links = np.ascontiguousarray(np.concatenate(links))
        self._local_corners = np.ascontiguousarray(np.concatenate([*corners, np.zeros((0, 9), np.float32)]))
        self._local_labels = np.concatenate([*ordered, np.zeros(0, np.uint8)])
        self._roots = np.array(roots, np.int32)
        self._low = np.array(low, np.float64).reshape(-1, 3)
        self._high = np.array(high, np.float64).reshape(-1, 3)

    def frame(self, instances: Instances) -> RayFrame:
        """Place the instances, once for all rays of this moment."""
        prototype = np.asarray(instances.prototype, np.int64)
        if len(prototype) and not 0 <= int(prototype.min()) <= int(prototype.max()) < len(self._roots):
            raise ValueError(f"prototype indices must be in 0..{len(self._roots) - 1}")
        matrices = np.asarray(instances.matrices, np.float64).reshape(-1, 4, 4)
        turn, shift = matrices[:, :3, :3], matrices[:, :3, 3]
        low, high = self._low[prototype], self._high[prototype]
        middle = np.einsum("nij,nj->ni", turn, 0.5 * (low + high)) + shift
        half = np.einsum("nij,nj->ni", np.abs(turn), 0.5 * (high - low)) + BOX_MARGIN_M
        tree = build_bvh((middle - half).astype(np.float32), (middle + half).astype(np.float32))
        from_world = np.ascontiguousarray(np.linalg.inv(matrices)[:, :3, :])
        return RayFrame(tree, from_world, self._roots[prototype], np.array(instances.actor_ids, np.uint32))

    def cast(
        self,
        frame: RayFrame,
        origins: npt.ArrayLike,
        directions: npt.ArrayLike,
        max_range: float,
        *,
        ignore: Collection[int] = (),
        static: bool = True,
    ) -> Hits:
        """The nearest hit of each ray.

        origins: (3,) for all or (R, 3) [m]; directions: (R, 3), unit vectors for distances in metres; max_range in the
        same unit; ignore: actors that rays pass through; static: whether they meet the town itself.
        """
        d = np.array(directions, np.float64, order="C").reshape(-1, 3)
        o = np.array(origins, np.float64, order="C").reshape(-1, 3)
        count = len(d)
        if len(o) not in (1, count):
            raise ValueError(f"one origin or {count} of them are needed, received {len(o)}")
        visible = np.ones(len(frame.actor_ids), np.bool_)
        if ignore:
            visible &= ~np.isin(frame.actor_ids, np.array(sorted(ignore), np.uint32))
        distance, cosine = np.empty(count), np.empty(count, np.float32)
        row, owner = np.empty(count, np.int32), np.empty(count, np.int32)

        world = self._static if static else _NOTHING

        def run(first: int, last: int) -> None:
            trace(
                o,
                d,
                float(max_range),
                first,
                last,
                world.boxes,
                world.links,
                self._corners,
                frame.tree.boxes,
                frame.tree.links,
                frame.tree.order,
                frame.from_world,
                frame.roots,
                self._local_boxes,
                self._local_links,
                self._local_corners,
                visible,
                distance,
                row,
                owner,
                cosine,
            )

        self._in_parallel(run, count)
        actors = np.zeros(count, np.uint32)
        moving = owner >= 0
        actors[moving] = frame.actor_ids[owner[moving]]
        return Hits(distance, self._labels_of(row, owner), actors, cosine)

    def _in_parallel(self, run: Callable[[int, int], None], count: int) -> None:
        """Call `run` on pieces of 0 .. count - 1, on all threads; the caller's thread takes part."""
        if self._helpers is None or count < 2 * CHUNK_RAYS:
            run(0, count)
            return
        pieces = iter(range(0, count, CHUNK_RAYS))  # next() of an iterator is atomic: each piece is taken once

        def work() -> None:
            for first in pieces:
                run(first, min(count, first + CHUNK_RAYS))

        helping = [self._helpers.submit(work) for _ in range(self._threads - 1)]
        work()
        for future in helping:
            if not future.cancel():  # a helper that is busy with another cast is not needed any more
                future.result()

    def _labels_of(self, row: I32, owner: I32) -> npt.NDArray[np.uint8]:
        labels = np.full(len(row), Label.NONE, np.uint8)
        static, moving = (row >= 0) & (owner < 0), owner >= 0
        labels[static] = self._labels[row[static]]
        labels[moving] = self._local_labels[row[moving]]
        return labels

    def warm_up(self) -> None:
        """Compile (or load from the cache) every kernel."""
        nobody = Instances(
            np.zeros(0, np.int32), np.zeros((0, 4, 4), np.float32), np.zeros(0, np.uint32), np.zeros((0, 3), np.float32)
        )
        self.cast(self.frame(nobody), (0.0, 0.0, 0.0), ((1.0, 0.0, 0.0),), 1.0)
