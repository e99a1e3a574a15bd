"""Reference lines: from s to x, y and heading.

Sources: ASAM OpenDRIVE 1.7, section 8 (geometry elements); the spiral is integrated by Gauss-Legendre quadrature.
s is true arc length on every kind of curve, as carla.Map has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.towns.xodr.model import Array, Geometry, Road

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
SPIRAL_TURN_RAD = 2.0  # one quadrature covers at most this much turning
MOST_PARTS = 64  # a spiral that turns more often is nonsense
TABLE_STEP_M = 0.05  # arc length tables of polynomial curves


def _spiral(geometry: Geometry, ds: Array) -> tuple[Array, Array, Array]:
    """Local x, y, heading: the heading is k0 s + (k1 - k0) s^2 / (2 length)."""
    k0, k1 = geometry.parameters
    rate = (k1 - k0) / geometry.length if geometry.length > 0.0 else 0.0
    turning = max(abs(k0), abs(k1)) * geometry.length
    parts = int(np.clip(np.ceil(turning / SPIRAL_TURN_RAD), 1, MOST_PARTS))
    x, y = np.zeros_like(ds), np.zeros_like(ds)
    for part in range(parts):
        low, high = ds * part / parts, ds * (part + 1) / parts
        half = (high - low)[:, None] / 2.0
        at = (low + high)[:, None] / 2.0 + half * _NODES
        angle = k0 * at + 0.5 * rate * at * at
        x += (half * np.cos(angle) * _WEIGHTS).sum(axis=1)
        y += (half * np.sin(angle) * _WEIGHTS).sum(axis=1)
    return x, y, k0 * ds + 0.5 * rate * ds * ds


def _polynomial(geometry: Geometry, ds: Array) -> tuple[Array, Array, Array]:
    """poly3 and paramPoly3 in local u, v; the parameter is found from a table of arc lengths."""
    if geometry.kind == "poly3":
        u_of = np.array([0.0, 1.0, 0.0, 0.0])
        v_of = np.array(geometry.parameters[:4])
        last = geometry.length
    else:
        u_of, v_of = np.array(geometry.parameters[:4]), np.array(geometry.parameters[4:8])
        last = geometry.parameters[8]
    count = int(np.clip(geometry.length / TABLE_STEP_M, 64, 4000))
    p = np.linspace(0.0, last, count + 1)

    def derivative(of: Array, at: Array) -> Array:
        return np.asarray(of[1] + at * (2.0 * of[2] + at * 3.0 * of[3]))

    speed = np.hypot(derivative(u_of, p), derivative(v_of, p))
    arc = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) * (p[1] - p[0]) / 2.0)])
    at = np.interp(ds, arc, p)
    u, v = (of[0] + at * (of[1] + at * (of[2] + at * of[3])) for of in (u_of, v_of))
    return u, v, np.arctan2(derivative(v_of, at), derivative(u_of, at))


def _place(geometry: Geometry, local: tuple[Array, Array, Array]) -> Array:
    c, s = np.cos(geometry.heading), np.sin(geometry.heading)
    u, v, turn = local
    return np.column_stack([geometry.x + c * u - s * v, geometry.y + s * u + c * v, geometry.heading + turn])


@dataclass(frozen=True)
class ReferenceLine:
    """A road's plan view, ready to be evaluated at many s at once."""

    geometry: tuple[Geometry, ...]
    starts: Array  # (K,)
    simple: Array  # (K, 4) x, y, heading, curvature; for lines and arcs
    curved: npt.NDArray[np.bool_]  # (K,) spirals and polynomials

    def poses(self, s: Array) -> Array:
        """(N,) -> (N, 3) x, y, heading."""
        index = np.maximum(np.searchsorted(self.starts, s + 1e-9, side="right") - 1, 0)
        ds = s - self.starts[index]
        x, y, heading, k = self.simple[index].T
        half = 0.5 * k * ds
        chord = ds * np.sinc(half / np.pi)  # chord of an arc: 2 sin(k ds / 2) / k
        middle = heading + half
        poses = np.column_stack([x + chord * np.cos(middle), y + chord * np.sin(middle), heading + k * ds])
        for piece in np.unique(index[self.curved[index]]):
            mask = index == piece
            geometry = self.geometry[piece]
            function = _spiral if geometry.kind == "spiral" else _polynomial
            poses[mask] = _place(geometry, function(geometry, ds[mask]))
        return poses

    def curvature_bound(self, s: Array) -> Array:
        """(N,) an upper bound of |curvature| on the piece that holds each s; polynomials are sampled."""
        bounds = np.abs(self.simple[:, 3])
        for i, geometry in enumerate(self.geometry):
            if geometry.kind == "spiral":
                bounds[i] = max(abs(k) for k in geometry.parameters)
            elif self.curved[i]:
                at = np.linspace(0.0, geometry.length, 33)
                heading = np.unwrap(_polynomial(geometry, at)[2])
                step = max(at[1], 1e-6)
                bounds[i] = float(np.abs(np.diff(heading)).max() / step)
        return np.asarray(bounds[np.maximum(np.searchsorted(self.starts, s, side="right") - 1, 0)])


def reference_line(road: Road) -> ReferenceLine:
    pieces = road.geometry
    return ReferenceLine(
        geometry=pieces,
        starts=np.array([g.s for g in pieces]),
        simple=np.array([[g.x, g.y, g.heading, g.parameters[0] if g.kind == "arc" else 0.0] for g in pieces]),
        curved=np.array([g.kind not in ("line", "arc") for g in pieces]),
    )
