"""One drive in one world: opens it, puts the ego and its sensors on a route, ticks, reads, and leaves nothing behind.

The network's side of it is `SensorFrame` alone; `truth` is for the expert, the labels, the criteria and the radio.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import carla
import numpy as np

from bev import Camera, CameraRig, EgoMotion, FloatArray, ImageArray, Pose2D, SensorFrame
from carla_bridge.convert import (
    Pose3D,
    control_to_carla,
    location_to_carla,
    pose_from_carla,
    pose_to_carla,
    rigid,
    vector_from_carla,
)
from carla_bridge.lanes import LaneGraph
from carla_bridge.odometry import Odometer
from carla_bridge.pacemaker import Pacemaker
from carla_bridge.process import SessionError, WorldDied, WorldProcess, library_muted
from carla_bridge.rig import Readings, SensorHub
from carla_bridge.routes import Route, RouteTracker
from carla_bridge.scenarios.engine import ScenarioEngine
from carla_bridge.scenarios.spec import ScenarioSpec
from carla_bridge.traffic import plan_extras
from carla_bridge.truth import StopLine, Truth, TruthReader, find_stop_lines
from carla_bridge.weather import lamps_wanted, weather_of
from planner.types import Control

EGO_TYPE = "vehicle.lincoln.mkz_2020"
SPAWN_HEIGHT_M = 0.3
SETTLE_TICKS = 10  # the car drops onto its wheels, every camera has exposed once
GNSS_TOLERANCE_M = 5.0
GNSS_DECIDES_M = 2.0
LAMPS = carla.VehicleLightState(carla.VehicleLightState.Position | carla.VehicleLightState.LowBeam)
SNAPSHOT_POLL_S = 0.0002

__all__ = ["Session", "SessionError", "WorldConfig", "WorldDied"]


@dataclass(frozen=True)
class WorldConfig:
    """Which world. kind "embedded" starts one as a child process; "carla" connects to a server at host:port."""

    kind: str = "embedded"
    town: str = "Gridley"
    opendrive: str | None = None  # embedded: a file, whose road network takes the place of the town
    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one (embedded), 2000 (carla)
    seed: int = 0
    tick_s: float = 0.05
    start_timeout_s: float = 120.0
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in ("embedded", "carla"):
            raise ValueError(f"world kind must be 'embedded' or 'carla', received {self.kind!r}")
        if self.opendrive is not None and self.kind != "embedded":
            raise ValueError("opendrive: only the embedded world is started with a road network")
        if not 0.0 < self.tick_s <= 0.1:
            raise ValueError(f"tick_s must lie in (0, 0.1], received {self.tick_s}")


class Session:
    """`with Session(world, rig) as session:` opens the world; `session.start(route)` begins a drive (as often as
    wanted); then `session.tick()` and `session.apply(control)` in turn."""

    def __init__(
        self,
        world: WorldConfig,
        rig: CameraRig,
        *,
        blackout: bool = False,
        extra_cameras: tuple[Camera, ...] = (),
        camera_period_s: float = 0.1,
        depth: bool = False,
    ) -> None:
        """depth: a depth camera beside each of the rig's, for labels (see `depth_m`)."""
        self.config, self.rig, self.blackout = world, rig, blackout
        self.extra_cameras, self.camera_period_s, self._with_depth = extra_cameras, camera_period_s, depth
        self._process: WorldProcess | None = None
        self._pacemaker: Pacemaker | None = None
        self._old_settings: carla.WorldSettings | None = None
        self._hub: SensorHub | None = None
        self._ego: carla.Vehicle | None = None
        self._control = Control(throttle=0.0, brake=1.0, steer=0.0)
        self._dead = False
        self._truth: Truth

    # -- opening and closing ------------------------------------------------------------------------------------

    def __enter__(self) -> Session:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """While our own world is dead, nothing else that went wrong is the reason."""
        is_consequence = isinstance(error, RuntimeError) and not isinstance(error, WorldDied)
        death = self._death() if is_consequence else None
        self.close()
        if death is not None:
            raise WorldDied(death) from error

    def _open(self) -> None:
        config = self.config
        host, port = config.host, config.port or (0 if config.kind == "embedded" else 2000)
        self._pacemaker = Pacemaker(self._death)  # loads its libraries while the world starts
        if config.kind == "embedded":
            self._process = WorldProcess(
                config.town, config.seed, config.tick_s, config.start_timeout_s, port, opendrive=config.opendrive
            )
            host, port = "127.0.0.1", self._process.port
        self.client = carla.Client(host, port)
        self.client.set_timeout(config.timeout_s)
        try:
            self.server_version = str(self.client.get_server_version())
            # Our own world says in its version that it is not CARLA; the client need not warn of that each time.
            with library_muted() if config.kind == "embedded" else contextlib.nullcontext():
                self.world: carla.World = self.client.get_world()
            self.map: carla.Map = self.world.get_map()
            if config.opendrive is None and self.map.name.split("/")[-1] != config.town:
                self.client.set_timeout(max(60.0, config.timeout_s))  # loading a town of a real CARLA takes its time
                self.world = self.client.load_world(config.town)
                self.map = self.world.get_map()
                self.client.set_timeout(config.timeout_s)
            self._old_settings = self.world.get_settings()
            settings = self.world.get_settings()
            settings.synchronous_mode = True
            settings.fixed_delta_seconds = config.tick_s
            settings.no_rendering_mode = False
            self.world.apply_settings(settings)
            self._pacemaker.connect(host, port, config.timeout_s)
        except (RuntimeError, WorldDied) as error:
            if self._process is not None:  # it was ready a moment ago
                raise WorldDied(self._death() or f"the world does not answer: {error}") from error
            raise SessionError(f"no CARLA world at {host}:{port}: {error}") from error
        self.graph = LaneGraph(self.map)
        self._reader = TruthReader(self.world)
        self.stop_lines: tuple[StopLine, ...] = find_stop_lines(self.world, self.map)

    def close(self) -> None:
        """Ends the drive and the world, on every path; a second call does nothing."""
        try:
            if self._process is not None:
                self._dead = True  # it ends with us: nothing in it needs tidying
            self._end_drive()
            if self._old_settings is not None and not self._dead:
                self.world.apply_settings(self._old_settings)
        except (RuntimeError, WorldDied):  # a foreign server went away while we tidied up: nothing is left to tidy
            self._dead = True
        finally:
            self._old_settings = None
            if self._pacemaker is not None:
                self._pacemaker.stop()
                self._pacemaker = None
            if self._process is not None:
                self._process.stop()
                self._process = None
            # the library's own threads stop with the last reference to the world
            for name in ("world", "client", "_reader"):
                self.__dict__.pop(name, None)
            gc.collect()

    def _end_drive(self) -> None:
        hub, ego, self._hub, self._ego = self._hub, self._ego, None, None
        if hub is not None:
            hub.stop()
        if self._dead or ego is None or self._pacemaker is None:
            return
        self._pacemaker.clear_traffic(self.config.timeout_s)
        doomed = [*(hub.actors if hub is not None else ()), *self.scenarios.actors, ego]
        self.client.apply_batch_sync([carla.command.DestroyActor(actor) for actor in doomed], False)
        self._pacemaker.tick(self.config.timeout_s)  # now they are gone from the snapshot too

    # -- a drive ------------------------------------------------------------------------------------------------

    def start(
        self,
        route: Route,
        *,
        cars: int = 0,
        walkers: int = 0,
        obstacles: int = 0,
        variety: bool = False,
        near_share: float = 0.0,
        seed: int = 0,
        weather: str | None = None,
        scenarios: Sequence[ScenarioSpec] = (),
    ) -> SensorFrame:
        """Puts the ego at the start of a route, with `cars` TrafficManager cars around; returns the first frame with
        images. Time, frame numbers and traffic lights begin anew. variety: vehicles of every kind. near_share: of the
        cars, begins near the route. obstacles: broken down cars and construction sites on the route. weather: a name
        of `WEATHERS`; None leaves it as it is. scenarios: along the route (see `Route.scenarios`). Raises SessionError
        for a start that is taken, ValueError for a scenario that this route cannot have."""
        assert self._pacemaker is not None, "open the session first"
        self.route, self.tracker = route, RouteTracker(route)
        tick_s = self.config.tick_s
        engine = ScenarioEngine(self.world, self.graph, route, self.stop_lines, scenarios, seed, tick_s)
        with self._guarded():
            self._end_drive()
            self.scenarios = engine
            self._ego = self._spawn_ego(route.start)
            box = self._reader.box(self._ego)
            base = (box.location.x, -box.location.y, box.location.z - box.extent.z)
            self._hub = SensorHub(
                self.world,
                self._ego,
                base,
                self.rig,
                self.extra_cameras,
                self.config.tick_s,
                self.camera_period_s,
                self._with_depth,
            )
            self._ego_from_actor = np.array([base[0], base[1], base[2]])
            extras = plan_extras(
                route,
                self.graph,
                walkers=walkers,
                variety=variety,
                obstacles=obstacles,
                near_share=near_share,
                seed=seed,
            )
            self._pacemaker.add_traffic(cars, seed, route.start, self.config.timeout_s, extras)
            if weather is not None:
                self._set_weather(weather)
            self.world.reset_all_traffic_lights()
        self.views: Mapping[str, ImageArray] = {}
        self.depth_m: Mapping[str, FloatArray] = {}
        self._mirrored_latitude: bool | None = None
        self._frames = 0
        self._odometer = Odometer()
        self._control = Control(throttle=0.0, brake=1.0, steer=0.0)
        frame = self._tick(first=True)
        while self._frames < SETTLE_TICKS or frame.images is None:
            frame = self._tick(first=self._frames < SETTLE_TICKS)
        self._odometer.restart()
        return replace(frame, ego=replace(frame.ego, odometry=self._odometer.pose))

    def apply(self, control: Control) -> None:
        """Takes effect in the next tick, and holds until the next call."""
        self._control = control

    def tick(self) -> SensorFrame:
        return self._tick(first=False)

    def shift_cameras(self, pose: Pose2D) -> None:
        """From the next tick on the rig's cameras see from a virtual ego pose, given in the real ego's frame."""
        assert self._hub is not None, "start() first"
        with self._guarded():
            self._hub.shift(pose)

    @property
    def truth(self) -> Truth:
        """The whole world at the latest tick. Not for the driving stack."""
        return self._truth

    @property
    def world_from_ego(self) -> FloatArray:
        """(4, 4) rigid transform of the true ego frame, which tilts with the car's body. Not for the driving stack."""
        assert self._ego is not None, "start() first"
        return rigid(pose_from_carla(self._ego.get_transform()), self._ego_from_actor)

    @property
    def position(self) -> tuple[float, float]:
        """Where GNSS says the car is [m], world frame, ISO 8855."""
        return self._position

    def latitude_longitude_deg(self, pose: Pose2D) -> tuple[float, float]:
        """Of a place in the world, by the map's own reference."""
        found = self.map.transform_to_geolocation(location_to_carla(pose.x, pose.y))
        return (found.latitude, found.longitude)

    # -- inside -------------------------------------------------------------------------------------------------

    def _tick(self, first: bool) -> SensorFrame:
        assert self._hub is not None, "start() first"
        assert self._ego is not None
        assert self._pacemaker is not None
        dead = self._death()
        if dead is not None:
            self._dead = True
            raise WorldDied(dead)
        with self._guarded():
            # Answered only once it is in force, and with it all that was sent before: the tick comes from another
            # process, and nothing orders the messages of two.
            scripted = [] if self._frames == 0 else self.scenarios.step(self._truth)
            control = carla.command.ApplyVehicleControl(self._ego, control_to_carla(self._control))
            self.client.apply_batch_sync([control, *scripted], False)
            frame = self._pacemaker.tick(self.config.timeout_s)
            self._await_snapshot(frame)
            readings = self._hub.read(frame, self.config.timeout_s, self._death, first)
        self._frames += 1
        time_s = round(self._frames * self.config.tick_s, 6)
        truth = self._reader.read(self._ego, readings.contacts, self._frames, time_s)
        self._truth = replace(truth, faults=self.scenarios.take_faults())
        self._position = self._locate(readings.gnss)
        self.tracker.update(*self._position)
        if readings.extra_images is not None:
            self.views = readings.extra_images
        if readings.depth_m is not None:
            self.depth_m = readings.depth_m
        return SensorFrame(
            self._frames, time_s, self._images(readings), self.rig, self._measure_motion(readings), self.tracker.hint
        )

    def _images(self, readings: Readings) -> Mapping[str, ImageArray] | None:
        if readings.rig_images is None or not self.blackout:
            return readings.rig_images
        return {name: np.zeros_like(image) for name, image in readings.rig_images.items()}

    def _measure_motion(self, readings: Readings) -> EgoMotion:
        """A speedometer (as Leaderboard makes one: velocity along the car's axis) and the gyroscope, dead-reckoned."""
        assert self._ego is not None
        yaw = pose_from_carla(self._ego.get_transform()).yaw
        vx, vy, _ = vector_from_carla(self._ego.get_velocity())
        speed = vx * math.cos(yaw) + vy * math.sin(yaw)
        return self._odometer.update(speed, readings.yaw_rate_rps, self.config.tick_s)

    def _locate(self, gnss: tuple[float, float]) -> tuple[float, float]:
        """Latitude, longitude -> metres by the map's own reference. Whether the server mirrors the latitude
        (carla#9389: 0.9.16 does, others do not) is found out at the start of the route, which is known."""
        if self._mirrored_latitude is not None:
            return self._geo_to_metres(gnss, self._mirrored_latitude)
        places = {mirrored: self._geo_to_metres(gnss, mirrored) for mirrored in (False, True)}
        if self._frames <= SETTLE_TICKS:
            start = self.route.start
            gaps = {mirrored: math.dist(place, (start.x, start.y)) for mirrored, place in places.items()}
        else:
            gaps = {mirrored: abs(self.route.project(*place)[1]) for mirrored, place in places.items()}
        nearer = min(gaps, key=lambda mirrored: gaps[mirrored])
        if gaps[nearer] > GNSS_TOLERANCE_M:
            raise SessionError(
                f"GNSS is {gaps[nearer]:.1f} m off the start of the route by the map's geo reference "
                f"(at most {GNSS_TOLERANCE_M:.0f} m expected)"
            )
        if abs(gaps[True] - gaps[False]) > GNSS_DECIDES_M:  # on the axis of the mirror both are right: ask again
            self._mirrored_latitude = nearer
        return places[nearer]

    def _geo_to_metres(self, gnss: tuple[float, float], mirrored: bool) -> tuple[float, float]:
        latitude, longitude = gnss
        if mirrored:
            latitude = 2.0 * self.map.transform_to_geolocation(carla.Location(0.0, 0.0, 0.0)).latitude - latitude
        found = self.map.geolocation_to_transform(carla.GeoLocation(latitude, longitude, 0.0))
        place = getattr(found, "location", found)
        return (place.x, -place.y)

    def _spawn_ego(self, start: Pose2D) -> carla.Vehicle:
        blueprint = self.world.get_blueprint_library().find(EGO_TYPE)
        blueprint.set_attribute("role_name", "hero")
        height = self.map.get_waypoint(location_to_carla(start.x, start.y)).transform.location.z
        place = pose_to_carla(Pose3D(start.x, start.y, height + SPAWN_HEIGHT_M, yaw=start.yaw))
        ego = self.world.try_spawn_actor(blueprint, place)
        if ego is None:
            raise SessionError(f"the start of route {self.route.name!r} at x={start.x:.1f}, y={start.y:.1f} m is taken")
        return ego

    def _set_weather(self, name: str) -> None:
        weather = weather_of(name)
        self.world.set_weather(weather)
        lamps = LAMPS if lamps_wanted(weather) else carla.VehicleLightState.NONE
        self.client.apply_batch_sync(
            [carla.command.SetVehicleLightState(actor, lamps) for actor in self.world.get_actors().filter("vehicle.*")],
            False,
        )

    def _death(self) -> str | None:
        return self._process.death() if self._process is not None else None

    def _await_snapshot(self, frame: int) -> None:
        deadline = time.monotonic() + self.config.timeout_s
        while self.world.get_snapshot().frame < frame:
            if self._death() is not None or time.monotonic() > deadline:
                raise WorldDied(self._death() or f"no snapshot of frame {frame} in {self.config.timeout_s:.0f} s")
            time.sleep(SNAPSHOT_POLL_S)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Client errors in the middle of a drive mean that the world is gone."""
        try:
            yield
        except SessionError:
            raise
        except WorldDied:
            self._dead = True
            raise
        except RuntimeError as error:
            self._dead = True
            raise WorldDied(self._death() or f"the world stopped answering: {error}") from error
