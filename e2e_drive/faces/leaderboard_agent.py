"""The stack as an agent of the CARLA Leaderboard or Bench2Drive: hand this file to their evaluator as `--agent`.

`--agent-config` names a YAML file: a list of overrides of `e2e-drive evaluate`, or a mapping with

    overrides: [weights=outputs/train/little/weights, soc=xavier, link=urban]
    radio: auto        # world | fixed
    track: SENSORS     # or MAP, SENSORS_QUALIFIER, MAP_QUALIFIER

The network sees what the track allows: cameras, speedometer, IMU, GNSS and the plan. The *radio link*, which is part of
the simulation and not of the agent, needs to know where roadside units are and what stands in between: `world` asks
the evaluator's own CARLA server, `fixed` takes one unit in plain sight 80 m away, `auto` takes the first that works.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from carla_bridge.convert import control_to_carla
from carla_bridge.leaderboard import FrameReader, PlanTracker, sensor_specs
from carla_bridge.roadside import RadioEye
from e2e_drive.errors import UserError
from e2e_drive.faces.setup import CAMERA_PERIOD_S, FIXED_GEOMETRY, composed, make_stack
from scheduling import LinkGeometry

try:
    from leaderboard.autoagents.autonomous_agent import AutonomousAgent, Track
except ModuleNotFoundError as missing:  # outside an evaluator
    if (missing.name or "").split(".")[0] not in ("leaderboard", "srunner"):
        raise

    class Track(Enum):  # type: ignore[no-redef]
        SENSORS = "SENSORS"
        MAP = "MAP"
        SENSORS_QUALIFIER = "SENSORS_QUALIFIER"
        MAP_QUALIFIER = "MAP_QUALIFIER"

    class AutonomousAgent:  # type: ignore[no-redef]
        """The part of the interface that agents build on; the plan comes as it is, not thinned out."""

        def __init__(self, carla_host: str, carla_port: int, debug: bool = False) -> None:
            self.track = Track.SENSORS

        def set_global_plan(self, global_plan_gps: list[Any], global_plan_world_coord: list[Any]) -> None:
            self._global_plan, self._global_plan_world_coord = global_plan_gps, global_plan_world_coord


RADIOS = ("auto", "world", "fixed")


def get_entry_point() -> str:
    return "E2EDriveAgent"


@dataclass(frozen=True)
class AgentConfig:
    """See the module's docstring."""

    overrides: tuple[str, ...] = ()
    radio: str = "auto"
    track: str = "SENSORS"

    def __post_init__(self) -> None:
        if self.radio not in RADIOS:
            raise UserError(f"agent config: radio must be one of {', '.join(RADIOS)}, received {self.radio!r}")
        if self.track not in Track.__members__:
            known = ", ".join(Track.__members__)
            raise UserError(f"agent config: track must be one of {known}, received {self.track!r}")

    @classmethod
    def read(cls, path: str | None) -> AgentConfig:
        """Nothing named: the defaults of `e2e-drive evaluate`."""
        if not path:
            return cls()
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"agent config {path}: {' '.join(str(error).split())}") from error
        if isinstance(content, list):
            content = {"overrides": content}
        if not isinstance(content, dict) or not set(content) <= {"overrides", "radio", "track"}:
            raise UserError(f"agent config {path}: a list of overrides or a mapping with overrides, radio and track")
        overrides = tuple(str(word) for word in content.pop("overrides", None) or ())
        return cls(overrides, **{key: str(value) for key, value in content.items()})


class E2EDriveAgent(AutonomousAgent):
    """One route: made, given its plan, set up, stepped and destroyed by the evaluator."""

    def __init__(self, carla_host: str, carla_port: int, debug: bool = False) -> None:
        super().__init__(carla_host, carla_port, debug)
        self._address = (carla_host, int(carla_port))
        self._eye: RadioEye | None = None

    @staticmethod
    def get_ros_version() -> int:
        return -1

    def setup(self, path_to_conf_file: str | None) -> None:
        config = AgentConfig.read(path_to_conf_file)
        self.track = Track[config.track]
        self.stack = make_stack(composed(config.overrides))
        self.plan: PlanTracker | None = None
        self._reader: FrameReader | None = None
        self._geometry: LinkGeometry = FIXED_GEOMETRY
        self._eye = None if config.radio == "fixed" else self._find_world(config.radio)

    def sensors(self) -> list[dict[str, Any]]:
        return sensor_specs(self.stack.model.config.rig)

    def run_step(self, input_data: dict[str, tuple[int, Any]], timestamp: float) -> Any:
        """A carla.VehicleControl."""
        if self._reader is None:
            self.plan = PlanTracker(self._global_plan, self._global_plan_world_coord)
            self._reader = FrameReader(self.stack.model.config.rig, self.plan, CAMERA_PERIOD_S)
        frame = self._reader.read(input_data, timestamp)
        if self._eye is None:
            self._geometry = replace(FIXED_GEOMETRY, speed_mps=abs(frame.ego.speed_mps))
        elif frame.images is not None:
            self._geometry = self._eye.geometry()
        return control_to_carla(self.stack.step(frame, self._geometry))

    def destroy(self) -> None:
        self._eye = self._reader = None

    def _find_world(self, radio: str) -> RadioEye | None:
        try:
            return RadioEye.connected(*self._address)
        except RuntimeError as error:
            if radio == "world":
                raise
            print(f"e2e-drive: radio with a fixed geometry, since there is no world: {error}", file=sys.stderr)
            return None
