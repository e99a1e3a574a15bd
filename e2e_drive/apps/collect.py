"""`e2e-drive collect`: the privileged expert drives random routes in traffic and records logs to learn from.

Work is cut into runs; run n depends on (seed, n) alone, is one file, and once there is never driven again, so that a
collection can be stopped and resumed at any time.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import queue
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from bev import CameraRig
from carla_bridge.labels import BevLabels
from carla_bridge.process import SessionError, WorldDied
from carla_bridge.session import Session, WorldConfig
from e2e_drive.apps.expert_run import ExpertRun, RunConfig, RunDropped
from e2e_drive.apps.options import build, plain, rig_of, whole_number, world_of
from e2e_drive.errors import EXIT_INTERRUPTED, EXIT_WORLD_DIED, UserError
from e2e_drive.report.files import write_json

_PATIENCE = 3  # worlds in a row that may die before a worker gives up


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    out: Path
    seed: int
    world: WorldConfig
    rig: CameraRig
    run: RunConfig


@dataclass(frozen=True)
class News:
    """From a worker: frames saved since the last news, a run that ended (why, if it was dropped), or an end."""

    frames: int = 0
    finished_run: int | None = None
    dropped: str | None = None
    fatal: str | None = None


def run(cfg: DictConfig) -> int:
    wanted, seed = whole_number(cfg, "frames", 1), whole_number(cfg, "seed", 0)
    workers = whole_number(cfg, "workers", 1)
    job = Job(
        Path(cfg.out), seed, world_of(cfg, seed), rig_of(cfg), build("run", RunConfig.from_options, plain(cfg.run))
    )
    if job.world.kind != "embedded" and workers > 1:
        raise UserError(f"workers={workers}: one CARLA server carries one worker; say workers=1 or world=embedded")
    job.out.mkdir(parents=True, exist_ok=True)
    done = dict(finished_runs(job.out))
    todo = (index for index in itertools.count() if index not in done)
    return _collect(job, wanted, sum(done.values()), todo, workers)


def finished_runs(out: Path) -> Iterator[tuple[int, int]]:
    """(run, saved frames) of every run that has ended, dropped ones with 0 frames."""
    for note in sorted(out.glob("run_*.json")):
        content = json.loads(note.read_text(encoding="utf-8"))
        yield int(content["run"]), int(content["frames"])


def _collect(job: Job, wanted: int, had: int, todo: Iterator[int], workers: int) -> int:
    """Hands runs to workers until there are enough frames."""
    context = multiprocessing.get_context("spawn")
    tasks: Any = context.Queue()
    news: Any = context.Queue()
    team = [context.Process(target=_work, args=(job, tasks, news), name=f"collect-{i}") for i in range(workers)]
    saved, dropped, outstanding, fatal = had, 0, 0, None
    bar = tqdm(total=wanted, initial=min(had, wanted), unit="frame", desc="collecting", dynamic_ncols=True)
    old_handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for process in team if had < wanted else ():
            process.start()
            tasks.put(next(todo))
            outstanding += 1
        while outstanding > 0 and fatal is None:
            item = _next_news(news, team)
            saved += item.frames
            bar.update(item.frames)
            fatal = item.fatal
            if item.dropped is not None:
                dropped += 1
                bar.write(f"run {item.finished_run} dropped: {item.dropped}", file=sys.stderr)
            if item.finished_run is not None:
                outstanding -= 1
                # frames of the runs that go on are counted in: what is begun is finished
                if saved < wanted:
                    tasks.put(next(todo))
                    outstanding += 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, old_handler)
        _dismiss(team)
        bar.close()
    if fatal is not None:
        print(f"e2e-drive: collect: {fatal}", file=sys.stderr)
        return EXIT_WORLD_DIED
    print(f"{saved} frames in {job.out} ({dropped} runs dropped)")
    return 0


def _next_news(news: Any, team: list[SpawnProcess]) -> News:
    while True:
        try:
            item: News = news.get(timeout=1.0)
            return item
        except queue.Empty:
            if not any(process.is_alive() for process in team):
                return News(fatal="every worker has died; what they recorded is kept")


def _dismiss(team: list[SpawnProcess]) -> None:
    """SIGTERM lets a worker close its world and throw its unfinished run away."""
    alive = [process for process in team if process.pid is not None]
    for process in alive:
        if process.is_alive() and process.pid is not None:
            process.terminate()
    for process in alive:
        process.join(15.0)
        if process.is_alive():
            process.kill()
            process.join()


def _work(job: Job, tasks: Any, news: Any) -> None:
    """A worker: one world, run after run, until told to stop (SIGTERM) or left alone by its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to pass on
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    news.cancel_join_thread()
    deaths = 0
    index = tasks.get()
    while True:
        try:
            with Session(job.world, job.rig, camera_period_s=job.run.camera_period_s) as session:
                bev = BevLabels(session.graph)
                while True:
                    news.put(_one_run(job, session, bev, index, news))
                    deaths = 0
                    index = tasks.get()
        except (WorldDied, SessionError) as error:
            deaths += 1
            if deaths >= _PATIENCE:
                news.put(News(fatal=f"run {index}: {error}"))
                return


def _one_run(job: Job, session: Session, bev: BevLabels, index: int, news: Any) -> News:
    path = job.out / f"run_{index:05d}.mcap"
    part = path.with_name(path.name + ".part")
    run = ExpertRun(session, bev, job.run, job.seed, index)
    try:
        saved = run.record(part, lambda: news.put(News(frames=1)))
    except RunDropped as error:
        part.unlink(missing_ok=True)
        _note(job.out, index, 0, str(error))
        return News(frames=-run.saved, finished_run=index, dropped=str(error))
    except BaseException:
        part.unlink(missing_ok=True)
        news.put(News(frames=-run.saved))
        raise
    part.replace(path)
    _note(job.out, index, saved, run.ended_by)
    return News(finished_run=index)


def _note(out: Path, index: int, frames: int, ended_by: str) -> None:
    write_json(out / f"run_{index:05d}.json", {"run": index, "frames": frames, "ended_by": ended_by})
