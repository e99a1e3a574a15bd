"""A gymnasium environment: one car on a random route through an embedded town, among traffic. Needs the extra `gym`.

    env = gymnasium.make("e2e_drive/Drive-v0", overrides=["world.town=Ringwood", "cars=30"])
    observation, info = env.reset(seed=1)  # the seed chooses route and traffic

An action is (throttle, brake, steer); one step is one camera period. Rewards are what the Leaderboard's driving score
(2.0) gains or loses, so an episode's return is its score in percent. `StackDecides` puts our own stack at the wheel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from bev import Command, EgoMotion, FloatArray, ImageArray, RouteHint, SensorFrame
from carla_bridge.criteria import Criteria, LaneCheck
from carla_bridge.process import WorldDied
from carla_bridge.roadside import RoadsideUnits
from carla_bridge.routes import random_route
from carla_bridge.session import Session
from carla_bridge.surroundings import find_stop_signs
from e2e_drive.apps.evaluate import route_record
from e2e_drive.apps.options import rig_of, world_of
from e2e_drive.faces.registration import register_envs
from e2e_drive.faces.setup import CAMERA_PERIOD_S, FIXED_GEOMETRY, composed, make_stack
from e2e_drive.scores import RULES
from e2e_drive.scores.leaderboard import score
from e2e_drive.stack import DrivingStack
from planner import Control

Observation = dict[str, Any]
_FASTEST_MPS, _FASTEST_TURN_RPS = 60.0, 10.0


class DriveEnv(gymnasium.Env[Observation, FloatArray]):
    """Observations: a picture (H, W, 3) RGB a camera; `motion` (3,) speed [m/s], yaw rate [rad/s, left positive], time
    standing [s]; `command` as `bev.Command`; `distance_m` (1,) to the junction it is for. The world starts with the
    first reset and lives until `close`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1.0 / CAMERA_PERIOD_S)}  # noqa: RUF012 (gymnasium's)

    def __init__(
        self,
        overrides: Sequence[str] = (),
        route_length_m: float = 300.0,
        max_s: float = 120.0,
        render_mode: str | None = None,
    ) -> None:
        """overrides: of `e2e-drive evaluate` (world.town, cars, walkers, ...). max_s: simulated, then truncated."""
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be None or 'rgb_array', received {render_mode!r}")
        self.cfg = composed(overrides)
        self.rig = rig_of(self.cfg)
        self.render_mode, self.route_length_m, self.max_s = render_mode, route_length_m, max_s
        pictures: dict[str, spaces.Space[Any]] = {
            c.name: spaces.Box(0, 255, (c.height, c.width, 3), np.uint8) for c in self.rig.cameras
        }
        fastest = np.array([_FASTEST_MPS, _FASTEST_TURN_RPS, EgoMotion.MAX_STANDING_S], np.float32)
        self._motion = spaces.Box(fastest * np.array([-1, -1, 0], np.float32), fastest)
        self._action = spaces.Box(np.array([0, 0, -1], np.float32), np.array([1, 1, 1], np.float32))
        self.observation_space = spaces.Dict({
            "cameras": spaces.Dict(pictures),
            "motion": self._motion,
            "command": spaces.Discrete(len(Command)),
            "distance_m": spaces.Box(0.0, RouteHint.MAX_DISTANCE_M, (1,), np.float32),
        })  # fmt: skip
        self.action_space = self._action
        self._session: Session | None = None
        self._frame: SensorFrame | None = None
        self._images: dict[str, ImageArray] = {}

    @property
    def session(self) -> Session:
        assert self._session is not None, "reset() first"
        return self._session

    @property
    def frame(self) -> SensorFrame:
        """What the driving stack would see of now."""
        assert self._frame is not None, "reset() first"
        return self._frame

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Any]:
        super().reset(seed=seed)
        if self._session is None:
            self._session = Session(world_of(self.cfg, int(self.cfg.seed)), self.rig, camera_period_s=CAMERA_PERIOD_S)
            self._session.__enter__()
        session = self._session
        route = random_route(session.graph, self.np_random, self.route_length_m)
        with self._alive():
            first = session.start(
                route,
                cars=int(self.cfg.cars),
                walkers=int(self.cfg.walkers),
                variety=bool(self.cfg.variety),
                seed=int(self.np_random.integers(2**31)),
            )
        signs = tuple(find_stop_signs(session.map, session.graph).values())
        self._criteria = Criteria(route, session.stop_lines, LaneCheck(session.map), stop_signs=signs)
        self._score, self._infractions = 0.0, 0
        self._see(first)
        return self._observation(), self._info()

    def step(self, action: FloatArray) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        within = np.clip(np.asarray(action, np.float64), self._action.low, self._action.high)
        throttle, brake, steer = (float(x) for x in within)
        control = Control(throttle, brake, steer)
        return self.drive(lambda frame: control)

    def drive(
        self, decide: Callable[[SensorFrame], Control]
    ) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """One step in which `decide` is asked every tick, as a closed loop does."""
        session = self.session
        with self._alive():
            while True:
                session.apply(decide(self.frame))
                self._see(session.tick())
                self._infractions += len(self._criteria.update(session.truth))
                if self.frame.images is not None or self._criteria.ended is not None:
                    break
        before, self._score = self._score, score(route_record(self._criteria, None).evidence, RULES["2.0"]).composed
        terminated = self._criteria.ended is not None
        return self._observation(), self._score - before, terminated, self.frame.time_s >= self.max_s, self._info()

    def render(self) -> Any:
        """(H, W, 3) all cameras side by side."""
        if self.render_mode is None or not self._images:
            return None
        return np.concatenate([self._images[name] for name in self.rig.names], axis=1)

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _see(self, frame: SensorFrame) -> None:
        self._frame = frame
        if frame.images is not None:
            self._images = dict(frame.images)

    def _observation(self) -> Observation:
        ego, hint = self.frame.ego, self.frame.hint
        motion = np.array([ego.speed_mps, ego.yaw_rate_rps, ego.standing_s], np.float32)
        return {
            "cameras": dict(self._images),
            "motion": np.clip(motion, self._motion.low, self._motion.high),
            "command": int(hint.command),
            "distance_m": np.array([hint.distance_m], np.float32),
        }

    def _info(self) -> dict[str, Any]:
        return {
            "time_s": self.frame.time_s,
            "progress_m": self.session.tracker.progress_m,
            "route_length_m": self.session.route.length_m,
            "score": self._score,
            "infractions": self._infractions,
        }

    @contextlib.contextmanager
    def _alive(self) -> Any:
        """A world that died is closed, so that the next reset starts another."""
        try:
            yield
        except WorldDied:
            self.close()
            raise


class StackDecides(gymnasium.Wrapper[Observation, FloatArray, Observation, FloatArray]):
    """Our driving stack at the wheel, with radio and all; actions are ignored. `stack` is the present episode's."""

    def __init__(self, env: gymnasium.Env[Observation, FloatArray]) -> None:
        super().__init__(env)
        if not isinstance(env.unwrapped, DriveEnv):
            raise ValueError(f"StackDecides drives a DriveEnv only, received {env.unwrapped}")
        self._drive: DriveEnv = env.unwrapped
        self.stack: DrivingStack | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Any]:
        found = super().reset(seed=seed, options=options)
        self.stack = make_stack(self._drive.cfg, self._drive.rig)
        session = self._drive.session
        self._units, self._geometry = RoadsideUnits(session.world, session.map), FIXED_GEOMETRY
        return found

    def step(self, action: Any = None) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        return self._drive.drive(self._decide)

    def _decide(self, frame: SensorFrame) -> Control:
        assert self.stack is not None, "reset() first"
        if frame.images is not None:
            self._geometry = self._units.geometry(self._drive.session.truth.ego)
        return self.stack.step(frame, self._geometry)


register_envs()
