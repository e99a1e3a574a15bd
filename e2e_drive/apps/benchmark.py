"""`e2e-drive evaluate benchmark=NAME`: many drives, each a process with a world of its own, and one table.

A drive is a folder `out/ROUTE-seedN`; with a sweep, every combination of its values has a folder of such folders. What
a drive depends on is written beside its results: a folder that holds the results of the same drive is not driven
again, so that a benchmark may be killed at any moment and started anew (`e2e_drive.launch`).
"""

from __future__ import annotations

import itertools
import re
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from e2e_drive import config_dir
from e2e_drive.apps.report import write_report
from e2e_drive.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, UserError
from e2e_drive.launch import Ending, Job, Launcher
from e2e_drive.logs.about import file_sha256
from e2e_drive.report import write_json
from e2e_drive.scores.summary import summarise
from e2e_drive.stack import weights_folder
from planner.weights import WEIGHTS_FILE

_OURS = ("benchmark", "launcher", "out=", "seed=", "routes", "world.town=")  # overrides that a drive gets anew
_CLIPS_MB = 40.0


@dataclass(frozen=True)
class Benchmark:
    """Fields of configs/benchmark/*.yaml. options: overrides that every drive gets unless the user says otherwise.
    sweep: group or key -> values; every combination of them is driven, and a value that the user asks for is the only
    one of its key. report: write report.html when all is driven. Towns are those that the routes file names. Raises
    ValueError for what cannot be."""

    routes: str
    ids: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    workers: int = 2
    attempts: int = 3
    options: tuple[str, ...] = ()
    sweep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    report: bool = False

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be distinct numbers, received {list(self.seeds)}")
        if self.workers < 1 or self.attempts < 1:
            raise ValueError(f"workers and attempts must be at least 1, received {self.workers} and {self.attempts}")
        for key, values in self.sweep.items():
            if not values or len(set(values)) < len(values) or f"{key}=".startswith(_OURS):
                raise ValueError(f"sweep must give distinct values for keys of a drive, received {key}: {list(values)}")

    @classmethod
    def from_options(cls, sweep: Mapping[str, Sequence[Any]] | None = None, **options: Any) -> Benchmark:
        known: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
        return cls(**known, sweep={key: tuple(map(str, values)) for key, values in (sweep or {}).items()})


@dataclass(frozen=True)
class Drive:
    """setting: the values of the sweep, () without one."""

    job: Job
    setting: tuple[str, ...]


def run_benchmark(
    benchmark: Benchmark, launcher: Launcher, out: Path, overrides: Sequence[str], weights: str = "little"
) -> int:
    """Drives what is not driven yet, writes out/benchmark.json, prints a table; the exit code. overrides, weights: see
    `drives_of`."""
    drives = drives_of(benchmark, out, overrides, weights)
    todo, began = [drive.job for drive in drives if not drive.job.is_done()], time.monotonic()
    bar = tqdm(total=len(drives), initial=len(drives) - len(todo), unit="drive", desc="benchmark", dynamic_ncols=True)
    try:
        with bar:
            failed = _drive_all(todo, benchmark, launcher, bar) if todo else []
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with what is in {out}", file=sys.stderr)
        return EXIT_INTERRUPTED
    if failed:
        for ending in failed:
            print(f"e2e-drive: evaluate: {ending.said}", file=sys.stderr)
        return failed[0].exit_code
    took_s = time.monotonic() - began
    summary = _summary(drives)
    write_json(out / "benchmark.json", summary)
    _show(summary, _pace(todo, took_s, benchmark.workers))
    if benchmark.report:
        write_report(out, out / "report.html", f"{out.name}: {len(drives)} drives", _CLIPS_MB, benchmark.workers)
    return 0


def drives_of(benchmark: Benchmark, out: Path, overrides: Sequence[str], weights: str = "little") -> list[Drive]:
    """overrides: what the user asked for; the drives get them all, but those that say which drive it is. Seed by seed,
    route by route, all settings of one before the next: what is there at any moment compares like with like. weights:
    of drives that no override says it of."""
    kept = [word for word in overrides if not word.lstrip("+~").startswith(_OURS)]
    swept = {_key(word): word.partition("=")[2] for word in kept if _key(word) in benchmark.sweep}
    kept = [word for word in kept if _key(word) not in swept]
    asked = {_key(word) for word in kept}
    kept = [*(word for word in benchmark.options if _key(word) not in asked), *kept]
    file = routes_file(benchmark.routes)
    towns = towns_of_routes(file)
    wanted = benchmark.ids or tuple(towns)
    unknown = sorted(set(wanted) - set(towns))
    if unknown:
        raise UserError(f"benchmark.ids: {unknown} are not in {file}; it has {list(towns)}")
    axes = ((swept[key],) if key in swept else values for key, values in benchmark.sweep.items())
    settings = list(itertools.product(*axes))
    sha256_of = cache(lambda name: file_sha256(weights_folder(name) / WEIGHTS_FILE))
    drives = []
    for seed, name, setting in itertools.product(benchmark.seeds, wanted, settings):
        mine = (
            *(f"{key}={value}" for key, value in zip(benchmark.sweep, setting, strict=True)),
            f"world.town={towns[name]}", "routes=file", f"routes.path={file}", f"routes.id={name}", f"seed={seed}",
        )  # fmt: skip
        folder = out.joinpath(*(re.sub(r"[^\w.,=-]+", "_", value) for value in setting), f"{name}-seed{seed}")
        title = ", ".join((*setting, name, f"seed {seed}"))
        words = (*kept, *mine)
        chosen = {_key(word): word.partition("=")[2] for word in words}
        sha256 = "" if chosen.get("driver") == "expert" else sha256_of(chosen.get("weights", weights))
        job = Job(title, folder.absolute(), words, Path.cwd(), sha256, benchmark.attempts)
        drives.append(Drive(job, setting))
    return drives


def _key(word: str) -> str:
    return word.lstrip("+~").split("=")[0]


def towns_of_routes(file: Path) -> dict[str, str]:
    """The routes of a Leaderboard routes file: name -> town, in the order of the file."""
    try:
        nodes = list(ElementTree.parse(file).getroot().iter("route"))
        towns = {str(node.attrib["id"]): str(node.attrib["town"]) for node in nodes}
    except KeyError as error:
        raise UserError(f"benchmark.routes: {file}: a route without {error}") from error
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(f"benchmark.routes: {file}: {error}") from error
    if len(towns) < len(nodes):
        raise UserError(f"benchmark.routes: {file}: the ids of its routes must be distinct")
    return towns


def routes_file(path: str) -> Path:
    """As named, or of that name among the shipped ones."""
    shipped = config_dir() / "routes" / path
    return shipped if not Path(path).exists() and shipped.exists() else Path(path)


def _drive_all(todo: Sequence[Job], benchmark: Benchmark, launcher: Launcher, bar: Any) -> list[Ending]:
    """Those that could not be driven. What is asked wrongly ends it all; a world that keeps dying costs its drive."""
    failed = []
    with closing(launcher.run(todo, benchmark.workers)) as endings:
        for ending in endings:
            bar.write(ending.said)
            bar.update()
            if ending.exit_code != 0:
                failed.append(ending)
            if ending.exit_code in (EXIT_BAD_INPUT, EXIT_INTERRUPTED):
                break
    return failed


def _summary(drives: Sequence[Drive]) -> dict[str, Any]:
    """Of all drives, and with a sweep of each setting; retries: drives whose world died -> why, each time."""
    summary = _of(drives)
    settings = list(dict.fromkeys(drive.setting for drive in drives))
    if settings != [()]:
        summary["settings"] = {
            ", ".join(setting): _of([drive for drive in drives if drive.setting == setting]) for setting in settings
        }
    summary["retries"] = {drive.job.name: why for drive in drives if (why := drive.job.retries())}
    return summary


def _of(drives: Sequence[Drive]) -> dict[str, Any]:
    return summarise({drive.job.name: drive.job.record() for drive in drives})


def _pace(driven: Sequence[Job], took_s: float, workers: int) -> str:
    """How long this call took, start-ups included; empty when all had been driven before. Of the machine, not of the
    drives: nothing that belongs into the results."""
    if not driven:
        return ""
    simulated_s = sum(job.record()["_checkpoint"]["records"][0]["meta"]["duration_game"] for job in driven)
    return (
        f"{len(driven)} drives, {workers} at a time: {simulated_s:.0f} simulated s in {took_s:.0f} s, "
        f"{simulated_s / took_s:.2f} times real time"
    )


def _show(summary: dict[str, Any], pace: str) -> None:
    table = Table(title=f"{summary['drives']} drives", caption=pace or None)
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("95 % of", justify="right")
    for name, value, interval in _rows(summary):
        table.add_row(name, value, interval)
    Console().print(table)


def _rows(summary: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in ("driving_score", "route_completion", "infraction_penalty"):
        yield _mean_row(name.replace("_", " "), summary, name)
    yield "success rate", f"{100 * summary['success_rate']:.0f} %", ""
    for name, value in summary["bench2drive"].items():
        yield name.replace("_", " "), "-" if value is None else f"{value:.1f} %", ""
    for name, value in summary["abilities"].items():
        yield f"ability {name.replace('_', ' ')}", f"{100 * value:.0f} %", ""
    for kind, count in summary["infractions"].items():
        yield f"  {kind.replace('_', ' ')}", str(count), ""
    for setting, own in summary.get("settings", {}).items():
        yield _mean_row(f"driving score, {setting}", own, "driving_score")
    if summary["retries"]:
        yield "retries of worlds that died", str(sum(map(len, summary["retries"].values()))), ""


def _mean_row(title: str, summary: dict[str, Any], name: str) -> tuple[str, str, str]:
    low, high = summary[f"{name}_interval"]
    return title, f"{summary[name]:.2f}", f"{low:.2f} to {high:.2f}"
