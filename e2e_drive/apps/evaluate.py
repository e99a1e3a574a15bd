"""`e2e-drive evaluate`: drives a route in closed loop and tells how it went."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from tqdm import tqdm

from bev import BevGrid, Camera, SensorFrame, rig_from_config
from carla_bridge.criteria import Criteria, CriteriaConfig, InfractionKind, LaneCheck
from carla_bridge.lanes import lane_outlines
from carla_bridge.process import SessionError, WorldDied
from carla_bridge.routes import Route, find_first_drive_route, load_routes, random_route
from carla_bridge.session import Session
from carla_bridge.surroundings import find_stop_signs
from e2e_drive.apps.benchmark import Benchmark, routes_file, run_benchmark
from e2e_drive.apps.drivers import Driver, ExpertDriver, StackDriver
from e2e_drive.apps.motion import MotionRecorder
from e2e_drive.apps.options import build, plain, rig_of, whole_number, world_of
from e2e_drive.apps.recorder import Recorder, Scene, Surroundings
from e2e_drive.errors import EXIT_INTERRUPTED, EXIT_WORLD_DIED, UserError
from e2e_drive.logs.about import file_sha256, git_revision
from e2e_drive.logs.pictures import CODINGS
from e2e_drive.report import machine, print_drive, versions, write_json, write_text
from e2e_drive.report.files import LOG, RESULTS, RUN, TIMELINE, VIDEO
from e2e_drive.scores import RULES, Motion, RouteRecord, results_json, results_text
from e2e_drive.scores.bench2drive import JUNCTION_PASSED_M, figures
from e2e_drive.stack import DrivingStack, build_stack, weights_folder
from planner.weights import WEIGHTS_FILE

CAMERA_PERIOD_S = 0.1
MAP_WITHIN_M = 60.0  # lanes this near the route are in the log
# Bench2Drive: blocked after 60 s, over after 4000 ticks of 0.05 s
CRITERIA = {"bench2drive": CriteriaConfig(blocked_s=60.0, longest_s=200.0)}
_SENSORS = ("carla_camera", "carla_gnss", "carla_imu", "carla_speedometer")  # Leaderboard's names
_CUT_OFF = {EXIT_INTERRUPTED: "Interrupted", EXIT_WORLD_DIED: "Simulation crashed"}


@dataclass
class Course:
    """How far the drive has come when it ends, however it ends. exit_code 0: by the rules of the road."""

    motion: MotionRecorder
    exit_code: int = 0
    why: str = ""
    drive_wall_s: float = 0.0


def run(cfg: DictConfig) -> int:
    began = datetime.now(timezone.utc)
    out = output_folder(cfg)
    if OmegaConf.select(cfg, "benchmark") is not None:
        benchmark = build("benchmark", Benchmark.from_options, plain(cfg.benchmark))
        overrides = HydraConfig.get().overrides.task
        return run_benchmark(benchmark, instantiate(cfg.launcher), out, overrides, str(cfg.weights))
    stack = _prepare(cfg)
    for name in (LOG, VIDEO, TIMELINE, RESULTS, RUN):  # what is there afterwards is of this drive
        (out / name).unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    opened = time.perf_counter()
    camera = _dash_camera(cfg)
    try:
        with Session(
            world_of(cfg, int(cfg.seed)),
            rig_of(cfg),
            blackout=bool(cfg.rig.blackout),
            extra_cameras=() if camera is None else (camera,),
            camera_period_s=CAMERA_PERIOD_S,
        ) as session:
            return _drive(cfg, session, stack, camera, out, began, opened)
    except SessionError as error:
        raise UserError(str(error)) from error
    except WorldDied as error:  # before there was anything to record
        print(f"e2e-drive: evaluate: {error}", file=sys.stderr)
        return EXIT_WORLD_DIED


def output_folder(cfg: DictConfig) -> Path:
    """`out`; with --multirun a numbered folder below it for each job."""
    hydra = HydraConfig.get()
    return Path(cfg.out) / str(hydra.job.num) if hydra.mode == RunMode.MULTIRUN else Path(cfg.out)


def _prepare(cfg: DictConfig) -> DrivingStack | None:
    """Whatever can be wrong with the configuration is found here, before anything starts."""
    whole_number(cfg, "seed", 0)
    whole_number(cfg, "cars", 0)
    whole_number(cfg, "walkers", 0)
    if cfg.rules not in RULES:
        raise UserError(f"rules must be one of {', '.join(RULES)}, received {cfg.rules!r}")
    if cfg.log_images not in CODINGS:
        raise UserError(f"log_images must be one of {', '.join(CODINGS)}, received {cfg.log_images!r}")
    if not 1 <= whole_number(cfg, "jpeg_quality", 1) <= 100:
        raise UserError(f"jpeg_quality must lie in [1, 100], received {cfg.jpeg_quality}")
    if cfg.driver not in ("model", "expert"):
        raise UserError(f"driver must be 'model' or 'expert', received {cfg.driver!r}")
    torch.set_num_threads(whole_number(cfg, "threads", 1))
    torch.use_deterministic_algorithms(True)
    if cfg.driver == "expert":
        return None
    return build("configuration", build_stack, {"cfg": cfg, "rig": rig_of(cfg), "frame_period_s": CAMERA_PERIOD_S})


def _dash_camera(cfg: DictConfig) -> Camera | None:
    return rig_from_config([plain(cfg.video.camera)]).cameras[0] if cfg.video.enabled else None


def choose_route(cfg: DictConfig, session: Session) -> Route:
    options = cfg.routes
    try:
        if options.kind == "first_drive":
            return find_first_drive_route(session.graph)
        if options.kind == "random":
            rng = np.random.default_rng(int(options.seed))
            return random_route(session.graph, rng, float(options.length_m), f"random_{options.seed}")
        if options.kind == "file":
            wanted = None if options.id is None else str(options.id)
            return load_routes(session.graph, routes_file(str(options.path)), wanted)[0]
    except ValueError as error:
        raise UserError(f"routes: {error}") from error
    raise UserError(f"routes.kind must be first_drive, random or file, received {options.kind!r}")


def _drive(
    cfg: DictConfig,
    session: Session,
    stack: DrivingStack | None,
    camera: Camera | None,
    out: Path,
    began: datetime,
    opened: float,
) -> int:
    route = choose_route(cfg, session)
    try:
        frame = session.start(
            route,
            cars=int(cfg.cars),
            walkers=int(cfg.walkers),
            variety=bool(cfg.variety),
            seed=int(cfg.seed),
            scenarios=route.scenarios,
        )
    except ValueError as error:  # a scenario that cannot be there
        raise UserError(f"routes: {error}") from error
    driver: Driver = ExpertDriver(session) if stack is None else StackDriver(stack, session)
    signs = tuple(find_stop_signs(session.map, session.graph).values())
    criteria = Criteria(
        route, session.stop_lines, LaneCheck(session.map), CRITERIA.get(str(cfg.rules)), stop_signs=signs
    )
    grid = BevGrid() if stack is None else stack.model.config.grid
    scene = Scene(f"{route.name}, seed {cfg.seed}", route.length_m, camera, round(1.0 / CAMERA_PERIOD_S), grid)
    about = {"config": OmegaConf.to_yaml(cfg, resolve=True), "seed": str(cfg.seed), "route": route.name,
             "server": session.server_version, "revision": git_revision(), "frame_period_s": str(CAMERA_PERIOD_S),
             "weights_sha256": "" if stack is None else file_sha256(weights_folder(str(cfg.weights)) / WEIGHTS_FILE),
             **{f"version.{k}": v for k, v in versions().items()}}  # fmt: skip
    lanes = lane_outlines(session.graph.lanes.values(), route.points, MAP_WITHIN_M)
    around = Surroundings(session.rig, lanes, session.latitude_longitude_deg)
    course = Course(MotionRecorder(session.config.tick_s))
    set_up_s = time.perf_counter() - opened
    graph = None if stack is None else stack.graph
    images, quality = str(cfg.log_images), int(cfg.jpeg_quality)
    with Recorder(out, scene, around, graph, about, images, quality) as recorder:
        _loop(session, driver, criteria, recorder, frame, course, cfg.max_s)
    record = route_record(criteria, _CUT_OFF.get(course.exit_code), course.motion.motion)
    results = results_json([record], 1, _SENSORS if stack is not None else (), str(cfg.rules))
    write_text(out / RESULTS, results_text(results))
    factor = record.duration_game_s / max(course.drive_wall_s, 1e-9)
    tally = recorder.tally
    write_json(out / RUN, {
        "began": began.isoformat(),
        "set_up_s": set_up_s,
        "duration_system": course.drive_wall_s,
        "simulated_s_per_wall_s": factor,
        "ended": course.why or record.status,
        "seeds": {"seed": int(cfg.seed)},
        "latency_ms": {f"p{p}": tally.latency_ms(p) for p in (50, 95, 99)},
        "frames": tally.placements,
        "bytes": {"up": tally.bytes_up, "down": tally.bytes_down},
        "server": session.server_version,
        "versions": versions(),
        "machine": machine(),
        "config": plain(cfg),
        "overrides": list(HydraConfig.get().overrides.task),
        "choices": {group: name for group, name in HydraConfig.get().runtime.choices.items() if "/" not in group},
    })  # fmt: skip
    if course.exit_code != 0:
        print(f"e2e-drive: evaluate: {course.why}; what was recorded is in {out}", file=sys.stderr)
        return course.exit_code
    print_drive(Console(), record, tally, str(cfg.rules), factor)
    print(f"{out}/: " + ", ".join(sorted(path.name for path in out.iterdir() if path.is_file())))
    return 0


def _loop(
    session: Session,
    driver: Driver,
    criteria: Criteria,
    recorder: Recorder,
    frame: SensorFrame,
    course: Course,
    max_s: float | None,
) -> None:
    """Tick by tick until the drive is over; a world that dies and Ctrl-C end it here, in order."""
    start = time.perf_counter()
    route = session.route
    bar = tqdm(
        total=round(route.length_m),
        unit="m",
        desc=route.name,
        miniters=0,
        mininterval=0.5,
        dynamic_ncols=True,
        leave=False,
    )
    try:
        while True:
            control = driver.step(frame)
            infractions = criteria.update(session.truth)
            course.motion.add(session.truth, criteria.completion)
            progress_m = min(session.tracker.progress_m, route.length_m)
            picture = None if frame.images is None else next(iter(session.views.values()), None)
            recorder.tick(frame, session.truth, control, driver, progress_m, infractions, picture)
            bar.update(round(progress_m) - bar.n)
            bar.set_postfix_str(f"{frame.time_s:.0f} s, {frame.ego.speed_mps * 3.6:.0f} km/h", refresh=False)
            if criteria.ended is not None or (max_s is not None and frame.time_s >= max_s):
                return
            session.apply(control)
            frame = session.tick()
    except WorldDied as error:
        course.exit_code, course.why = EXIT_WORLD_DIED, str(error)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cost the files that are being finished
        course.exit_code, course.why = EXIT_INTERRUPTED, "interrupted"
    finally:
        course.drive_wall_s = time.perf_counter() - start
        bar.close()


def route_record(criteria: Criteria, cut_off: str | None, motion: Motion | None = None) -> RouteRecord:
    """The bridge's outcome in the words of a results file; Bench2Drive's figures where the motion was recorded."""
    outcome, route = criteria.outcome(), criteria.route
    junction = route.junctions[0].entry_m + JUNCTION_PASSED_M if route.junctions else None
    infractions: dict[str, list[str]] = {}
    speed_ratios = []
    for found in outcome.infractions:
        place = f"at (x={found.x:.3f}, y={found.y:.3f}) after {found.time_s:.2f} s"
        infractions.setdefault(found.kind.value, []).append(f"{found.detail} {place}")
        if found.kind is InfractionKind.MIN_SPEED:
            speed_ratios.append(found.value)
    return RouteRecord(
        index=0,
        route_id=route.name,
        route_length_m=outcome.route_length_m,
        duration_game_s=outcome.duration_s,
        completion_pct=100.0 * outcome.completion,
        infractions=infractions,
        off_route_fraction=outcome.off_route_fraction,
        speed_ratios=tuple(speed_ratios),
        crash=cut_off,
        scenarios=tuple(spec.kind for spec in route.scenarios),
        first_junction_pct=None if junction is None else 100.0 * junction / route.length_m,
        bench2drive={} if motion is None else figures(motion),
    )


def _interrupt(number: int, frame: FrameType | None) -> Any:
    raise KeyboardInterrupt
