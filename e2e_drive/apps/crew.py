"""The worker processes of a collection: each keeps a world of one town for the runs of a visit, then goes to the next.

Each has a pipe of its own: one that is killed takes nothing of the others with it, and a new one does its run again.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from bev import CameraRig
from carla_bridge.process import SessionError, WorldDied
from carla_bridge.session import Session, WorldConfig
from e2e_drive.apps.expert_run import ExpertRun, RunConfig, RunDropped, World
from e2e_drive.apps.run_plan import Plan
from e2e_drive.report.files import write_json

_PATIENCE = 3  # worlds or workers in a row that may die before we give up
_MOST_DROPS = 24  # runs in a row


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    out: Path
    seed: int
    world: WorldConfig
    rig: CameraRig
    plan: Plan
    run: RunConfig


@dataclass(frozen=True)
class News:
    """From a worker: frames saved since the last news, a run that ended (why, if it was dropped), or an end."""

    frames: int = 0
    finished_run: int | None = None
    dropped: str | None = None
    fatal: str | None = None


@dataclass
class _Member:
    """One worker as its parent sees it. runs: still to do in this visit; frames: of the run that is under way."""

    process: SpawnProcess
    pipe: Connection
    runs: list[int] = field(default_factory=list)
    current: int | None = None
    frames: int = 0
    deaths: int = 0


class Crew:
    """Hands out visits (lists of run numbers) and passes on what comes back. Use as a context: leaving it ends all."""

    def __init__(self, job: Job, workers: int, visits: Iterator[list[int]]) -> None:
        self._job, self._visits = job, visits
        self._context = multiprocessing.get_context("spawn")
        self._members = [_Member(*self._hire(i)) for i in range(workers)]
        self._drops = 0

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        """SIGTERM lets a worker close its world and throw its unfinished run away."""
        for member in self._members:
            if member.process.is_alive():
                member.process.terminate()
        for member in self._members:
            member.process.join(15.0)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()

    @property
    def busy(self) -> bool:
        return any(member.current is not None for member in self._members)

    def give(self) -> None:
        """A run to everybody who has none."""
        for member in self._members:
            if member.current is None:
                member.runs = member.runs or next(self._visits)
                member.current, member.frames = member.runs.pop(0), 0
                member.pipe.send(member.current)

    def news(self) -> Iterator[News]:
        """What has come in within a second."""
        for pipe in wait([member.pipe for member in self._members if member.current is not None], timeout=1.0):
            member = next(member for member in self._members if member.pipe is pipe)
            try:
                item: News = member.pipe.recv()
            except (EOFError, OSError):
                yield self._replace(member)
                continue
            member.frames += item.frames
            if item.finished_run is not None:
                member.current, member.deaths = None, 0
                self._drops = self._drops + 1 if item.dropped is not None else 0
                if self._drops >= _MOST_DROPS:
                    item = replace(item, fatal=f"{self._drops} runs in a row were dropped, at last for: {item.dropped}")
            yield item

    def _hire(self, number: int) -> tuple[SpawnProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(self._job, theirs), name=f"collect-{number}")
        process.start()
        theirs.close()
        return process, ours

    def _replace(self, member: _Member) -> News:
        """A worker has died: what it was doing is done again."""
        member.deaths += 1
        member.process.join(1.0)
        lost, member.frames = member.frames, 0
        if member.deaths >= _PATIENCE:
            return News(frames=-lost, fatal=f"run {member.current}: {member.deaths} workers in a row died over it")
        member.pipe.close()
        member.process, member.pipe = self._hire(self._members.index(member))
        member.pipe.send(member.current)
        return News(frames=-lost)


def work(job: Job, pipe: Connection) -> None:
    """A worker: run after run, until told to stop (SIGTERM) or left alone by its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to pass on
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _visit_after_visit(job, pipe)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    except Exception as error:  # a mistake of ours: trying again would only repeat it
        pipe.send(News(fatal=f"{type(error).__name__}: {error}"))
        raise


def _visit_after_visit(job: Job, pipe: Connection) -> None:
    deaths = 0
    index: int = pipe.recv()
    while True:
        visit = job.plan.visit_of(index)
        town = job.plan.town_of(visit, job.seed)
        options = {"camera_period_s": job.run.camera_period_s, "depth": job.run.depth}
        try:
            with Session(replace(job.world, town=town), job.rig, **options) as session:  # type: ignore[arg-type]
                world = World(session)
                while job.plan.visit_of(index) == visit:
                    pipe.send(_one_run(job, world, index, pipe))
                    deaths = 0
                    index = pipe.recv()
        except (WorldDied, SessionError) as error:
            deaths += 1
            if deaths >= _PATIENCE:
                pipe.send(News(fatal=f"run {index} in {town}: {error}"))
                return


def _one_run(job: Job, world: World, index: int, pipe: Connection) -> News:
    path = job.out / f"run_{index:05d}.mcap"
    part = path.with_name(path.name + ".part")
    scene = job.plan.scene(job.seed, index)
    run = ExpertRun(world, scene, job.run, job.seed, index)
    note = {"run": index, **asdict(scene)}
    try:
        saved = run.record(part, lambda: pipe.send(News(frames=1)))
    except RunDropped as error:
        part.unlink(missing_ok=True)
        write_json(job.out / f"run_{index:05d}.json", {**note, "frames": 0, "ended_by": str(error)})
        return News(frames=-run.saved, finished_run=index, dropped=str(error))
    except BaseException:
        part.unlink(missing_ok=True)
        pipe.send(News(frames=-run.saved))
        raise
    part.replace(path)
    write_json(job.out / f"run_{index:05d}.json", {**note, "frames": saved, "ended_by": run.ended_by})
    return News(finished_run=index)
