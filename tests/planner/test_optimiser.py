"""The trajectory optimiser: what comes out can be driven, whatever went in; what could be driven stays as it is."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import solve_ivp
from scipy.optimize import LinearConstraint, minimize

from bev import FloatArray
from planner import PATH_POINTS, SPEED_CLASSES_MPS, WAYPOINT_SPACING_S, WAYPOINTS
from planner.optimiser import Optimised, Outcome, TrajectoryOptimiser, optimise, optimise_trajectory
from planner.programmes import Bounds, OptimiserConfig, PathProgramme, SpeedProgramme, minimise
from scheduling.trace import trace_cost

CONFIG = OptimiserConfig()
PATH = PathProgramme(CONFIG)
STATIONS_M = 2.0 * np.arange(1, PATH_POINTS + 1)
TIMES_S = WAYPOINT_SPACING_S * np.arange(1, WAYPOINTS + 1)
EPSILON = 1e-4  # what the solver may be off by


def arc(curvature: float, stations: FloatArray) -> FloatArray:
    """Places on the circle that the rear axle is on, along the car's heading; stations from the ego origin."""
    along = stations + CONFIG.wheelbase_m / 2
    if abs(curvature) < 1e-6:
        return np.stack([stations, 0.0 * stations], axis=1)
    turned = curvature * along
    return np.stack([np.sin(turned), 1.0 - np.cos(turned)], axis=1) / curvature - (CONFIG.wheelbase_m / 2, 0.0)


def towards(speed: float) -> FloatArray:
    """Speed probabilities whose mean is speed."""
    classes = np.array(SPEED_CLASSES_MPS)
    return np.array([np.interp(speed, classes, row) for row in np.eye(len(classes))])


def assert_drivable(answer: Optimised, speed: float) -> None:
    """Every bound, by another way of computing: the curve is integrated from the rear axle as an ODE, and the speeds
    from the accelerations."""
    curvature = answer.curvature_pm
    assert np.abs(curvature).max() <= CONFIG.max_curvature_pm + EPSILON
    assert np.abs(np.diff(curvature) / np.diff(PATH.stations)).max() <= CONFIG.max_curvature_rate_pm2 + EPSILON
    rear = PATH.stations[0]
    driven = solve_ivp(
        lambda s, pose: [math.cos(pose[2]), math.sin(pose[2]), np.interp(s, PATH.stations, curvature)],
        (rear, STATIONS_M[-1]),
        [rear, 0.0, 0.0],
        t_eval=STATIONS_M,
        max_step=0.5,
        rtol=1e-6,
    )
    np.testing.assert_allclose(answer.path, driven.y[:2].T, atol=5e-3)
    acceleration = answer.accelerations_mps2
    assert acceleration.min() >= CONFIG.min_acceleration_mps2 - EPSILON
    assert acceleration.max() <= CONFIG.max_acceleration_mps2 + EPSILON
    assert np.abs(np.diff(acceleration)).max() <= CONFIG.max_jerk_mps3 * WAYPOINT_SPACING_S + EPSILON
    assert answer.speeds_mps.min() >= 0.0
    mean = (acceleration[:-1] + acceleration[1:]) / 2  # jerk is constant in between
    np.testing.assert_allclose(np.diff(answer.speeds_mps), mean * WAYPOINT_SPACING_S, atol=1e-3)
    steps = np.hypot(*np.diff(answer.waypoints, axis=0).T)
    fastest = np.maximum(answer.speeds_mps[:-1], answer.speeds_mps[1:]) + CONFIG.max_jerk_mps3 * 0.5**2 / 8
    assert (steps <= fastest * WAYPOINT_SPACING_S + EPSILON).all()
    assert answer.speeds_mps[0] <= speed + CONFIG.max_acceleration_mps2 * WAYPOINT_SPACING_S + EPSILON


@settings(max_examples=60, deadline=None)
@given(curvature=st.floats(-0.18, 0.18), share=st.floats(0.1, 1.0))
def test_an_arc_driven_at_constant_speed_stays_as_it_is(curvature: float, share: float) -> None:
    speed = share * min(10.0, math.sqrt(0.95 * CONFIG.max_lateral_mps2 / max(abs(curvature), 1e-3)))
    path, waypoints = arc(curvature, STATIONS_M), arc(curvature, speed * TIMES_S)
    probabilities = towards(speed)
    if probabilities[0] > CONFIG.stop_probability:
        return
    answer = optimise(path, probabilities, waypoints, speed)
    assert (answer.path_outcome, answer.speed_outcome) == (Outcome.OPTIMISED, Outcome.OPTIMISED)
    assert_drivable(answer, speed)
    assert np.hypot(*(answer.path - path).T).max() < 0.02
    near = speed * TIMES_S <= STATIONS_M[-1]
    off_m = np.hypot(*(answer.waypoints - waypoints).T)
    assert off_m[near].max() < 0.05
    assert off_m.max() < 0.5  # beyond the path, from its end over a few waypoints


def test_a_turn_as_tight_as_towns_have_it_is_kept() -> None:
    """Straight on, then an arc of 7 m radius: no car follows the step in curvature, but nearly."""
    for begins_m in (2.0, 5.0, 9.0):
        turned = np.maximum(STATIONS_M - begins_m, 0.0) / 7.0
        path = np.stack([np.minimum(STATIONS_M, begins_m) + 7.0 * np.sin(turned), 7.0 * (1 - np.cos(turned))], axis=1)
        waypoints = np.stack([np.interp(3.0 * TIMES_S, STATIONS_M, path[:, axis]) for axis in (0, 1)], axis=1)
        answer = optimise(path, towards(3.0), waypoints, 3.0)
        assert np.hypot(*(answer.path - path).T).max() < 0.06
        assert_drivable(answer, 3.0)


@settings(max_examples=60, deadline=None)
@given(curvature=st.floats(-0.12, 0.12), seed=st.integers(0, 10**6), speed=st.floats(2.0, 6.0))
def test_a_noisy_path_gets_smooth(curvature: float, seed: int, speed: float) -> None:
    random = np.random.default_rng(seed)
    clean = arc(curvature, STATIONS_M)
    noisy = clean + random.normal(size=clean.shape) * 0.15
    answer = optimise(noisy, towards(speed), arc(curvature, speed * TIMES_S), speed)
    assert_drivable(answer, speed)
    assert answer.path_outcome == Outcome.OPTIMISED

    def roughness(path: FloatArray) -> float:
        return float((np.diff(path, 3, axis=0) ** 2).sum())

    assert roughness(answer.path) < 0.3 * roughness(noisy)
    off, was_off = (np.hypot(*(path - clean).T) for path in (answer.path, noisy))
    assert off.mean() < was_off.mean()


def test_a_path_beside_the_car_is_joined_from_where_the_car_stands() -> None:
    path = np.stack([STATIONS_M, np.full(PATH_POINTS, 1.5)], axis=1)
    answer = optimise(path, towards(6.0), np.stack([6.0 * TIMES_S, np.full(WAYPOINTS, 1.5)], axis=1), 6.0)
    assert_drivable(answer, 6.0)
    assert np.abs(answer.path[4:, 1] - 1.5).max() < 0.15
    assert abs(answer.curvature_pm[0]) <= CONFIG.max_lateral_mps2 / 6.0**2 + EPSILON


def test_the_wheels_start_where_they_are() -> None:
    straight = np.stack([STATIONS_M, np.zeros(PATH_POINTS)], axis=1)
    answer = optimise(straight, towards(3.0), straight[:WAYPOINTS] * 0.75, 3.0, curvature_pm=0.1)
    assert answer.curvature_pm[0] == pytest.approx(0.1)
    assert_drivable(answer, 3.0)


@settings(max_examples=120, deadline=None)
@given(
    path=arrays(np.float64, (PATH_POINTS, 2), elements=st.floats(-80, 80) | st.sampled_from([np.nan, np.inf, 1e300])),
    waypoints=arrays(np.float64, (WAYPOINTS, 2), elements=st.floats(-80, 80) | st.sampled_from([np.nan, -np.inf])),
    probabilities=arrays(np.float64, len(SPEED_CLASSES_MPS), elements=st.floats(0, 1) | st.just(np.nan)),
    speed=st.floats(0, 14) | st.sampled_from([np.nan, np.inf, -3.0]),
)
def test_garbage_gives_something_that_can_be_driven(
    path: FloatArray, waypoints: FloatArray, probabilities: FloatArray, speed: float
) -> None:
    answer = optimise(path, probabilities, waypoints, speed)
    assert_drivable(answer, float(np.clip(np.nan_to_num(speed, posinf=0.0), 0.0, 40.0)))
    whole = np.isfinite(path).all(), np.isfinite([*waypoints.ravel(), *probabilities, speed]).all()
    assert [outcome == Outcome.FALLBACK for outcome in (answer.path_outcome, answer.speed_outcome)] == [
        not known for known in whole
    ]


def test_what_no_car_can_follow_is_told() -> None:
    zigzag = np.stack([np.where(np.arange(PATH_POINTS) % 2, 0.0, 2.0), np.zeros(PATH_POINTS)], axis=1)
    behind = np.stack([-STATIONS_M, np.zeros(PATH_POINTS)], axis=1)
    for path in (zigzag, behind):
        answer = optimise(path, towards(3.0), np.zeros((WAYPOINTS, 2)), 3.0)
        assert answer.path_outcome == Outcome.FAR
        assert_drivable(answer, 3.0)


def test_one_missing_point_is_passed_over() -> None:
    path = arc(0.08, STATIONS_M)
    holed = path.copy()
    holed[[3, 9]] = np.nan
    answer = optimise(holed, towards(4.0), arc(0.08, 4.0 * TIMES_S), 4.0)
    assert answer.path_outcome == Outcome.FALLBACK
    assert np.hypot(*(answer.path - path).T).max() < 0.05


def test_speed_ends_at_the_target_and_slows_in_bends() -> None:
    straight = np.stack([STATIONS_M, np.zeros(PATH_POINTS)], axis=1)
    braking = np.maximum(8.0 - 3.0 * TIMES_S, 0.0)
    asked_m = np.where(braking > 0, 8.0 * TIMES_S - 1.5 * TIMES_S**2, 64.0 / 6.0)
    stop = optimise(straight, np.eye(8)[0], np.stack([asked_m, 0 * asked_m], axis=1), 8.0)
    assert stop.speeds_mps[-1] < 0.1
    assert np.abs(stop.waypoints[:, 0] - asked_m).max() < 0.3
    bend = arc(0.14, STATIONS_M)
    fast = optimise(bend, towards(8.0), arc(0.14, 8.0 * TIMES_S), 5.0)
    assert (fast.speeds_mps**2 * 0.14 < 1.3 * CONFIG.max_lateral_mps2).all()


def test_speed_profile_integrates_its_jerk() -> None:
    """Station and speed against the same profile stepped through finely."""
    asked = np.array([2.0, 5.0, 8.0, 10.0, 11.0, 11.5, 12.0, 14.0])
    station, speed, acceleration, found = SpeedProgramme(CONFIG).fit(asked, 5.0, 4.0, np.zeros(WAYPOINTS))
    assert found
    # Jerk is constant between two waypoints: v_1 = v_0 + (a_0 + a_1) dt / 2 gives the acceleration now.
    now = 2.0 * (speed[0] - 4.0) / WAYPOINT_SPACING_S - acceleration[0]
    fine = np.linspace(0.0, TIMES_S[-1], 80001)
    a = np.interp(fine, np.append(0.0, TIMES_S), np.append(now, acceleration))
    step = fine[1]
    v = 4.0 + np.append(0.0, np.cumsum((a[:-1] + a[1:]) / 2 * step))
    s = np.append(0.0, np.cumsum((v[:-1] + v[1:]) / 2 * step))
    np.testing.assert_allclose(np.interp(TIMES_S, fine, v), speed, atol=1e-4)
    np.testing.assert_allclose(np.interp(TIMES_S, fine, s), station, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_minimise_agrees_with_another_solver(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, rows = 8, 6
    factor = random.normal(size=(count + 2, count))
    hessian, gradient = factor.T @ factor, random.normal(size=count) * 3
    matrix = random.normal(size=(rows, count))
    edge = np.full(rows, 0.3)
    bounds = Bounds(np.asfortranarray(matrix), -edge, edge, np.full(count, -0.2), np.full(count, 0.5))
    ours = minimise(hessian, gradient, bounds)
    theirs = minimize(
        lambda x: x @ hessian @ x / 2 + gradient @ x,
        np.zeros(count),
        jac=lambda x: hessian @ x + gradient,
        method="SLSQP",
        bounds=[(-0.2, 0.5)] * count,
        constraints=LinearConstraint(matrix, -edge, edge),
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert ours is not None
    np.testing.assert_allclose(ours, theirs.x, atol=1e-4)


def test_the_path_programme_agrees_with_a_general_solver() -> None:
    """The whole non-linear problem, handed to SLSQP: neither finds a better curve than the other."""
    targets = np.concatenate([arc(0.05, STATIONS_M), np.zeros((len(PATH.stations) - 12, 2))])
    targets[:PATH_POINTS, 1] += 0.4 * np.sin(STATIONS_M)
    weights = (np.arange(len(targets)) < PATH_POINTS).astype(float)
    ours, found = PATH.fit(targets, weights, 3.0, None)
    step = np.diff(targets[:PATH_POINTS], axis=0, prepend=np.zeros((1, 2)))
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    middle = np.append((heading[:-1] + heading[1:]) / 2, np.nan)
    lengths = np.diff(PATH.stations)
    around = np.convolve(lengths, [0.5, 0.5])

    def cost(curvature: FloatArray) -> float:
        off = PATH.curve(curvature)[0][1 : 1 + PATH_POINTS] - targets[:PATH_POINTS]
        angle = np.where(np.isnan(middle), (heading[-1] + last) / 2, middle)
        across = -np.sin(angle) * off[:, 0] + np.cos(angle) * off[:, 1]
        along = np.cos(angle) * off[:, 0] + np.sin(angle) * off[:, 1]
        rate = np.diff(curvature) / lengths
        return float(
            CONFIG.normal_weight * (across**2).sum()
            + CONFIG.tangential_weight * (along**2).sum()
            + CONFIG.curvature_weight * (around * curvature**2).sum()
            + CONFIG.curvature_rate_weight * (lengths * rate**2).sum()
        )

    to_nowhere = targets[PATH_POINTS] - targets[PATH_POINTS - 1]
    last = heading[-1] + math.remainder(math.atan2(to_nowhere[1], to_nowhere[0]) - heading[-1], 2 * math.pi)
    limit, rate = CONFIG.max_curvature_pm, CONFIG.max_curvature_rate_pm2
    rows = np.diff(np.eye(len(PATH.stations)), axis=0) / lengths[:, None]
    theirs = minimize(
        cost,
        np.zeros(len(PATH.stations)),
        method="SLSQP",
        bounds=[(-limit, limit)] * len(PATH.stations),
        constraints=LinearConstraint(rows, -rate, rate),
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert found
    assert cost(ours) <= 1.01 * theirs.fun


def test_as_a_stage_it_is_traced_repeats_itself_and_takes_batches() -> None:
    torch.manual_seed(0)
    stage = TrajectoryOptimiser()
    path = torch.tensor(arc(0.05, STATIONS_M), dtype=torch.float32) + torch.randn(3, PATH_POINTS, 2) * 0.1
    inputs = (path, torch.randn(3, 8), torch.tensor(arc(0.05, 5.0 * TIMES_S), dtype=torch.float32).repeat(3, 1, 1))
    inputs = (*inputs, torch.full((3, 1), 5.0))
    first, second = stage(*inputs), stage(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    alone = stage(*(tensor[1:2] for tensor in inputs))
    assert all(torch.equal(a, b[1:2]) for a, b in zip(alone, first, strict=True))
    probabilities = inputs[1][1].double().softmax(-1).numpy()
    expected = optimise(path[1].double().numpy(), probabilities, inputs[2][1].double().numpy(), 5.0)
    np.testing.assert_allclose(alone[0][0].numpy(), expected.path, atol=1e-5)
    np.testing.assert_allclose(alone[1][0].numpy(), expected.waypoints, atol=1e-5)
    cost = trace_cost("trajectory_optimiser", stage, [tensor[:1] for tensor in inputs])
    assert 1e5 < cost.flops < 1e7
    assert cost.output_bytes == {"output0": PATH_POINTS * 8, "output1": WAYPOINTS * 8}
    torch.library.opcheck(optimise_trajectory, inputs, test_utils=("test_schema", "test_faketensor"))


def test_impossible_settings_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="max_curvature_pm must be positive, received 0"):
        OptimiserConfig(max_curvature_pm=0.0)
    with pytest.raises(ValueError, match=r"shapes \(\(9, 2\)"):
        optimise(np.zeros((9, 2)), towards(3.0), np.zeros((WAYPOINTS, 2)), 3.0)
