"""`e2e-drive collect`: the privileged expert drives random routes in traffic and records logs to learn from.

Work is cut into runs; run n depends on (seed, n) alone, is one file, and once there is never driven again, so that a
collection can be stopped and resumed at any time.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from e2e_drive.apps.crew import Crew, Job
from e2e_drive.apps.data_card import write_card
from e2e_drive.apps.expert_run import RunConfig
from e2e_drive.apps.options import build, plain, rig_of, whole_number, world_of
from e2e_drive.apps.run_plan import Plan
from e2e_drive.errors import EXIT_INTERRUPTED, EXIT_WORLD_DIED, UserError


def run(cfg: DictConfig) -> int:
    wanted, seed = whole_number(cfg, "frames", 1), whole_number(cfg, "seed", 0)
    workers = whole_number(cfg, "workers", 1)
    plan = build("plan", Plan.from_options, plain(cfg.plan))
    job = Job(Path(cfg.out), seed, world_of(cfg, seed), rig_of(cfg), plan, build("run", RunConfig, plain(cfg.run)))
    if job.world.kind != "embedded" and workers > 1:
        raise UserError(f"workers={workers}: one CARLA server carries one worker; say workers=1 or world=embedded")
    if job.world.opendrive is not None and len(plan.towns) > 1:
        raise UserError(f"world.opendrive={job.world.opendrive} is one town: plan.towns must hold its name alone")
    job.out.mkdir(parents=True, exist_ok=True)
    if cfg.card_only:
        write_card(job.out)
        return 0
    done = dict(finished_runs(job.out))
    code = _collect(job, wanted, sum(done.values()), visits_to_do(job.plan, set(done)), workers)
    if code == 0:
        write_card(job.out)
    return code


def finished_runs(out: Path) -> Iterator[tuple[int, int]]:
    """(run, saved frames) of every run that has ended, dropped ones with 0 frames."""
    for note in sorted(out.glob("run_*.json")):
        try:
            content = json.loads(note.read_text(encoding="utf-8"))
            yield int(content["run"]), int(content["frames"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{note}: no note of a run ({error}); without it and its log the run is driven anew"
            ) from error


def visits_to_do(plan: Plan, done: set[int]) -> Iterator[list[int]]:
    """The runs that are not done yet, visit by visit, without end."""
    for visit in itertools.count():
        runs = [index for index in plan.runs_of(visit) if index not in done]
        if runs:
            yield runs


def _collect(job: Job, wanted: int, had: int, visits: Iterator[list[int]], workers: int) -> int:
    """Hands runs to workers until there are enough frames."""
    saved, dropped, fatal = had, 0, None
    bar = tqdm(total=wanted, initial=min(had, wanted), unit="frame", desc="collecting", dynamic_ncols=True)
    old_handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with Crew(job, workers if had < wanted else 0, visits) as crew:
            while fatal is None and (saved < wanted or crew.busy):
                if saved < wanted:  # frames of the runs that go on are counted in: what is begun is finished
                    crew.give()
                for item in crew.news():
                    saved += item.frames
                    bar.update(item.frames)
                    fatal = fatal or item.fatal
                    if item.dropped is not None:
                        dropped += 1
                        bar.write(f"run {item.finished_run} dropped: {item.dropped}", file=sys.stderr)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, old_handler)
        bar.close()
    if fatal is not None:
        print(f"e2e-drive: collect: {fatal}", file=sys.stderr)
        return EXIT_WORLD_DIED
    print(f"{saved} frames in {job.out} ({dropped} runs dropped)")
    return 0
