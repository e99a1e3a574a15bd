"""The two quadratic programmes of the trajectory optimiser; `planner.optimiser` says what they are for.

**Path.** Unknown is the curvature k at knots of arc length, linear in between. A curve that starts at the rear axle
along the car's heading follows from it: heading = T k, position = start + S [cos(T k), sin(T k)], with constant T
(integrals of hat functions) and S (Gauss quadrature). So whatever k lies within the bounds on curvature and on its
rate of change *is* a path that the car can follow from where it stands. Sought is the k that minimises

    sum over points  w_n (normal deviation)^2 + w_t (tangential deviation)^2  +  integral  w_c k^2 + w_r k'^2  ds

Positions are linearised about the last iterate (Gauss-Newton, few steps); the bounds are linear as they stand. As long
as the car cannot have slowed down, curvature is also bounded by lateral acceleration, v^2 k. Curvature as the unknown,
linear between knots, is the piecewise-jerk path of Zhang et al. (arXiv 2112.02132) without its Frenet frame, in which a
bound on curvature is an approximation.

**Speed.** Unknown are the acceleration now and the jerk in each interval between waypoints (the piecewise-jerk speed of
Zhou et al., "DL-IAPS and PJSO", 2020): station, speed and acceleration at the waypoints are linear in them. Sought is

    min  sum over waypoints  w_s (station - asked)^2 + w_v (speed - target)^2 + w_a accel^2 + w_j jerk^2 + w_l slack^2

with bounds on acceleration and jerk, no reversing, and speed - slack <= sqrt(max lateral acceleration / curvature).

Constant curvature and constant speed meet every bound, so neither programme can be infeasible.

Shapes:  N waypoints (8)   K knots (19)   M targets: the path points and what lies beyond (17)   G quadrature points
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import piqp

from bev import FloatArray
from planner.control import ControllerConfig
from planner.types import PATH_POINTS, PATH_SPACING_M, WAYPOINT_SPACING_S, WAYPOINTS

PATH_STATIONS_M = PATH_SPACING_M * np.arange(1, PATH_POINTS + 1)  # from the ego origin
BEYOND_STATIONS_M = PATH_STATIONS_M[-1] + np.arange(4.0, 29.0, 4.0)  # to 48 m: four seconds at 12 m/s
_SOLVER_STEPS = 50  # of the interior point, at most
_USUAL_SOLVER_STEPS = 10  # measured: 7 for the path, 14 for the speed
_PRECISION = 1e-6  # of the solver; a curvature that wrong bends 48 m by a millimetre
_CONVERGED_PM = 2e-3  # a step that changes no curvature by more was the last: what it left out is of second order
_SHORT_M = 1e-3  # a step that short has no heading
_CONTROLLER = ControllerConfig()


@dataclass(frozen=True)
class OptimiserConfig:
    """The bounds of the car, and how deviation weighs against comfort (a weight's unit leaves its term a number)."""

    wheelbase_m: float = _CONTROLLER.wheelbase_m
    max_curvature_pm: float = 0.19  # [1/m] a turning radius of 5.3 m
    max_curvature_rate_pm2: float = 0.08  # [1/m^2] front wheels that turn by 0.7 rad/s at 3 m/s
    min_acceleration_mps2: float = -6.0
    max_acceleration_mps2: float = 3.0
    max_jerk_mps3: float = 15.0  # an emergency; comfort is jerk_weight's business
    max_lateral_mps2: float = 4.0  # soft
    comfortable_mps2: tuple[float, float] = (-3.0, 2.0)  # at which the target speed is approached
    stop_probability: float = _CONTROLLER.stop_probability
    normal_weight: float = 1.0  # [1/m^2]
    tangential_weight: float = 0.05  # [1/m^2] a point may slide along the path
    beyond_weight: float = 0.05  # of a target that stems from waypoints, relative to a path point
    curvature_weight: float = 0.005  # [m]
    curvature_rate_weight: float = 5.0  # [m^3] ripples shorter than 2 pi (2 m * 5 m^3 * 1/m^2)^(1/6) = 9 m go flat
    station_weight: float = 1.0  # [1/m^2]
    speed_weight: float = 0.5  # [s^2/m^2]
    acceleration_weight: float = 0.02  # [s^4/m^2]
    jerk_weight: float = 0.02  # [s^6/m^2]
    lateral_weight: float = 100.0  # [s^2/m^2]
    far_m: float = 2.0  # a path that ends up farther than this on average is `Outcome.FAR`
    steps: int = 3  # of Gauss-Newton, at most

    def __post_init__(self) -> None:
        for name in (
            "wheelbase_m", "max_curvature_pm", "max_curvature_rate_pm2", "max_acceleration_mps2", "max_jerk_mps3",
            "max_lateral_mps2", "normal_weight", "curvature_weight", "curvature_rate_weight", "jerk_weight",
            "lateral_weight", "steps",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"optimiser: {name} must be positive, received {getattr(self, name)}")
        if not self.min_acceleration_mps2 < 0:
            raise ValueError(f"optimiser: min_acceleration_mps2 must be negative: {self.min_acceleration_mps2}")


@dataclass(frozen=True)
class Bounds:
    """low <= rows @ x <= high, and x_low <= x <= x_high. rows: in Fortran order, as the solver wants them."""

    rows: FloatArray
    low: FloatArray
    high: FloatArray
    x_low: FloatArray
    x_high: FloatArray


def minimise(hessian: FloatArray, gradient: FloatArray, bounds: Bounds) -> FloatArray | None:
    """The x within bounds that minimises x' hessian x / 2 + gradient' x; None where the solver does not get there."""
    solver = piqp.DenseSolver()
    solver.settings.max_iter = _SOLVER_STEPS
    solver.settings.eps_abs = solver.settings.eps_duality_gap_abs = _PRECISION
    solver.setup(
        np.asfortranarray(hessian),
        gradient,
        G=bounds.rows,
        h_l=bounds.low,
        h_u=bounds.high,
        x_l=bounds.x_low,
        x_u=bounds.x_high,
    )
    if solver.solve() != piqp.PIQP_SOLVED:
        return None
    return np.minimum(np.maximum(solver.result.x, bounds.x_low), bounds.x_high)


def _flops_of(unknowns: int, rows: int) -> int:
    """Of `minimise`: a step of the interior point weighs m rows into the matrix (2 m n^2), factorises it (n^3 / 3) and
    solves twice, as predictor and as corrector (each 2 n^2, and 4 m n for the rows)."""
    step = 2 * rows * unknowns**2 + unknowns**3 // 3 + 2 * (2 * unknowns**2 + 4 * rows * unknowns)
    return _USUAL_SOLVER_STEPS * step


@dataclass(frozen=True)
class _Aim:
    """Where the path should pass: targets (M, 2), unit vectors along and across it (M, 2), and root weights (2M,) of
    deviations across, then along."""

    targets: FloatArray
    along: FloatArray
    across: FloatArray
    roots: FloatArray

    def deviation(self, points: FloatArray) -> FloatArray:
        """points (K - 1, 2) of `PathProgramme.curve` -> (2M,)."""
        off = points[1:] - self.targets
        return self.roots * np.concatenate([(off * self.across).sum(1), (off * self.along).sum(1)])


class PathProgramme:
    """Targets (M, 2) with weights (M,) -> curvature (K,) at `stations` (K,), metres of arc from the ego origin.

    Knots: the rear axle, the ego origin, then one a target.
    """

    def __init__(self, config: OptimiserConfig) -> None:
        self.config = config
        rear = -config.wheelbase_m / 2
        self.stations = np.concatenate([[rear, 0.0], PATH_STATIONS_M, BEYOND_STATIONS_M])
        self._start = np.array([rear, 0.0])
        knots, lengths = len(self.stations), np.diff(self.stations)
        nodes, shares = np.polynomial.legendre.leggauss(3)
        u = (nodes[:, None] + 1) / 2
        # Heading at share u of segment j: that at its beginning, plus h (u - u^2/2) k_j + h u^2/2 k_j+1.
        before, after = np.eye(knots)[:-1], np.eye(knots)[1:]
        self._knot_headings = np.zeros((knots, knots))
        np.cumsum(lengths[:, None] * (before + after) / 2, axis=0, out=self._knot_headings[1:])
        self._headings = np.concatenate(
            [
                start + length * ((u - u**2 / 2) * left + u**2 / 2 * right)
                for start, length, left, right in zip(self._knot_headings, lengths, before, after, strict=False)
            ]
        )  # T (G, K)
        self._positions = np.cumsum(np.kron(np.diag(lengths), shares[None] / 2), axis=0)  # S (K - 1, G)
        rates = (after - before) / lengths[:, None]
        self._comfort = config.curvature_weight * np.diag(np.convolve(lengths, [0.5, 0.5]))
        self._comfort += config.curvature_rate_weight * rates.T @ (lengths[:, None] * rates)
        self._roots = np.sqrt([[config.normal_weight], [config.tangential_weight]])
        self._rates, self._rate_limit = np.asfortranarray(rates), np.full(knots - 1, config.max_curvature_rate_pm2)
        self._steps_m = lengths[1:]

    @property
    def flops(self) -> int:
        """Of `fit`, at most: the solver, the products that give slopes (S T, twice) and the matrix (A' A)."""
        knots, points = len(self.stations), len(self._headings)
        assembly = 2 * 2 * knots * points * knots + 2 * 2 * knots * knots**2
        return self.config.steps * (assembly + _flops_of(knots, len(self._rate_limit)))

    def curve(self, curvature: FloatArray) -> tuple[FloatArray, FloatArray]:
        """-> points (K - 1, 2) and headings (K - 1,) at the knots from the ego origin on."""
        angles = self._headings @ curvature
        points = self._start + self._positions @ np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return points, self._knot_headings[1:] @ curvature

    def fit(
        self, targets: FloatArray, weights: FloatArray, speed_mps: float, curvature_now: float | None
    ) -> tuple[FloatArray, bool]:
        """-> curvature, and whether the solver found it; if it did not, the targets' own curvature, clipped."""
        headings = _headings(targets)
        turns = np.diff(headings, prepend=0.0) / self._steps_m  # of each step against the last one
        bounds = self._bounds(speed_mps, curvature_now)
        guess = iterate = np.clip(np.concatenate([turns[:1], turns[:1], turns]), bounds.x_low, bounds.x_high)
        middle = np.append((headings[:-1] + headings[1:]) / 2, headings[-1])
        cos, sin = np.cos(middle), np.sin(middle)
        roots = (self._roots * np.sqrt(weights)).ravel()
        aim = _Aim(targets, np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1), roots)
        best: FloatArray | None = None
        best_cost = np.inf
        for _ in range(self.config.steps):
            found = self._step(iterate, aim, bounds)
            if found is None:
                break
            cost = (aim.deviation(self.curve(found)[0]) ** 2).sum() + found @ self._comfort @ found
            converged = np.abs(found - iterate).max() < _CONVERGED_PM
            if best is None or cost < best_cost:
                best, best_cost, iterate = found, cost, found
            else:
                iterate = (best + found) / 2  # the step was too long
            if converged:
                break
        return (guess, False) if best is None else (best, True)

    def _step(self, curvature: FloatArray, aim: _Aim, bounds: Bounds) -> FloatArray | None:
        """One Gauss-Newton step."""
        angles = (self._headings @ curvature)[:, None]
        cos, sin = np.cos(angles), np.sin(angles)
        slope_x = (self._positions @ (-sin * self._headings))[1:]
        slope_y = (self._positions @ (cos * self._headings))[1:]
        sides = [unit[:, :1] * slope_x + unit[:, 1:] * slope_y for unit in (aim.across, aim.along)]
        slope = aim.roots[:, None] * np.concatenate(sides)
        points = self._start + self._positions @ np.concatenate([cos, sin], axis=1)
        offset = aim.deviation(points) - slope @ curvature
        return minimise(slope.T @ slope + self._comfort, slope.T @ offset, bounds)

    def _bounds(self, speed_mps: float, curvature_now: float | None) -> Bounds:
        """Curvature is bounded by the lock and by lateral acceleration at the least speed that comfortable braking
        leaves there; the wheels start where they are."""
        least_square = np.maximum(
            speed_mps**2 + 2 * self.config.comfortable_mps2[0] * (self.stations - self.stations[0]), 1.0
        )
        high = np.minimum(self.config.max_curvature_pm, self.config.max_lateral_mps2 / least_square)
        low = -high
        if curvature_now is not None:
            low[0] = high[0] = np.clip(curvature_now, low[0], high[0])
        return Bounds(self._rates, -self._rate_limit, self._rate_limit, low, high)


def _headings(targets: FloatArray) -> FloatArray:
    """(M, 2) -> (M,) headings of the steps from the ego origin over the targets, unwrapped; a step that leads nowhere
    has the heading of the one before."""
    step = np.diff(targets, axis=0, prepend=np.zeros((1, 2)))
    leads = np.hypot(*step.T) > _SHORT_M
    last = np.maximum.accumulate(np.where(leads, np.arange(len(step)), 0))
    return np.unwrap(np.arctan2(step[:, 1], step[:, 0])[last])


class SpeedProgramme:
    """Stations asked for (N,) and a target speed -> station, speed and acceleration (N,) at the waypoints."""

    def __init__(self, config: OptimiserConfig) -> None:
        self.config = config
        dt, count = WAYPOINT_SPACING_S, WAYPOINTS
        self.times_s = dt * np.arange(1, count + 1)
        # Unknown: acceleration now, jerk in every interval, slack at every waypoint. Jerk in interval i acts for a rest
        # r of it and then as a constant acceleration.
        after = np.maximum(self.times_s[:, None] - dt * np.arange(1, count + 1), 0.0)
        begun = self.times_s[:, None] > dt * np.arange(count) + 1e-9
        slack = np.zeros((count, count))
        acceleration = np.concatenate([np.ones((count, 1)), dt * begun], axis=1)
        speed = np.concatenate([self.times_s[:, None], begun * (dt**2 / 2 + dt * after)], axis=1)
        station = np.concatenate(
            [self.times_s[:, None] ** 2 / 2, begun * (dt**3 / 6 + dt**2 / 2 * after + dt * after**2 / 2)], axis=1
        )
        self._acceleration, self._speed, self._station = (
            np.concatenate([part, slack], axis=1) for part in (acceleration, speed, station)
        )
        unknowns = 1 + 2 * count
        comfort = np.full(unknowns, config.jerk_weight)
        comfort[0], comfort[1 + count :] = config.acceleration_weight, config.lateral_weight
        self._hessian = np.diag(comfort)
        for weight, rows in (
            (config.station_weight, self._station),
            (config.speed_weight, self._speed),
            (config.acceleration_weight, self._acceleration),
        ):
            self._hessian += weight * rows.T @ rows
        within = self._speed.copy()
        within[:, 1 + count :] = -np.eye(count)
        forth = np.diff(self._station, axis=0, prepend=0.0)
        self._rows = np.asfortranarray(np.concatenate([self._acceleration, self._speed, forth, within]))
        self._x_high = np.full(unknowns, np.inf)
        self._x_high[0], self._x_high[1 : 1 + count] = config.max_acceleration_mps2, config.max_jerk_mps3
        self._x_low = np.zeros(unknowns)
        self._x_low[0], self._x_low[1 : 1 + count] = config.min_acceleration_mps2, -config.max_jerk_mps3

    @property
    def flops(self) -> int:
        """Of `fit`."""
        return _flops_of(*self._rows.shape[::-1])

    def fit(
        self, asked_m: FloatArray, target_mps: float, speed_mps: float, curvature: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, bool]:
        """asked_m (N,), curvature (N,) where it bends the most about there -> station, speed, acceleration, and whether
        the solver found them; if it did not, the stations asked for."""
        config, ones = self.config, np.ones(WAYPOINTS)
        slower, faster = config.comfortable_mps2
        target = np.clip(target_mps, speed_mps + slower * self.times_s, speed_mps + faster * self.times_s)
        drift = speed_mps * self.times_s  # where constant speed leads
        gradient = -config.station_weight * self._station.T @ (asked_m - drift)
        gradient -= config.speed_weight * self._speed.T @ (target - speed_mps)
        cornering = np.sqrt(config.max_lateral_mps2 / np.maximum(np.abs(curvature), 1e-4))
        low = [config.min_acceleration_mps2 * ones, -speed_mps * ones, -speed_mps * WAYPOINT_SPACING_S * ones]
        high = [config.max_acceleration_mps2 * ones, np.inf * ones, np.inf * ones, cornering - speed_mps]
        bounds = Bounds(
            self._rows, np.concatenate([*low, -np.inf * ones]), np.concatenate(high), self._x_low, self._x_high
        )
        found = minimise(self._hessian, gradient, bounds)
        if found is None:
            speed = np.diff(asked_m, prepend=0.0) / WAYPOINT_SPACING_S
            return asked_m, speed, np.diff(speed, prepend=speed_mps) / WAYPOINT_SPACING_S, False
        station = np.maximum.accumulate(np.maximum(drift + self._station @ found, 0.0))
        return station, np.maximum(speed_mps + self._speed @ found, 0.0), self._acceleration @ found, True
