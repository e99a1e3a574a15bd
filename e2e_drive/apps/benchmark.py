"""`e2e-drive evaluate benchmark=NAME`: many drives, each a process with a world of its own, and one table.

A drive is a folder `out/ROUTE-seedN`, and what it depends on is written beside its results: a folder that holds the
results of the same drive is not driven again, so that a benchmark may be killed at any moment and started anew. A world
that dies is not the driver's fault: the drive is begun again. What the driver does wrong is a result like any other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from e2e_drive import config_dir
from e2e_drive.errors import EXIT_INTERRUPTED, EXIT_WORLD_DIED, UserError
from e2e_drive.report import write_json
from e2e_drive.scores.summary import summarise

_OURS = ("benchmark", "out=", "seed=", "routes", "world.town=")  # overrides that a drive gets anew
JOB, RESULTS, STDERR = "job.json", "results.json", "stderr.txt"


@dataclass(frozen=True)
class Benchmark:
    """Fields of configs/benchmark/*.yaml. Raises ValueError for what cannot be."""

    town: str
    routes: str
    ids: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    workers: int = 2
    attempts: int = 3

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be distinct numbers, received {list(self.seeds)}")
        if self.workers < 1 or self.attempts < 1:
            raise ValueError(f"workers and attempts must be at least 1, received {self.workers} and {self.attempts}")

    @classmethod
    def from_options(cls, **options: Any) -> Benchmark:
        known: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
        return cls(**known)


@dataclass(frozen=True)
class Drive:
    """One of them. overrides: of `e2e-drive evaluate`, all but the folder."""

    name: str
    folder: Path
    overrides: tuple[str, ...]

    def is_done(self) -> bool:
        try:
            same = json.loads((self.folder / JOB).read_text(encoding="utf-8")) == {"overrides": list(self.overrides)}
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return same and (self.folder / RESULTS).is_file()


class DriveFailed(RuntimeError):
    """A drive that could not be driven; exit_code: what its process ended with."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_benchmark(benchmark: Benchmark, out: Path) -> int:
    """Drives what is not driven yet, writes out/benchmark.json, prints a table; the exit code."""
    drives = drives_of(benchmark, out, HydraConfig.get().overrides.task)
    todo = [drive for drive in drives if not drive.is_done()]
    bar = tqdm(total=len(drives), initial=len(drives) - len(todo), unit="drive", desc="benchmark", dynamic_ncols=True)
    try:
        with bar:
            _drive_all(todo, benchmark, bar)
    except DriveFailed as error:
        print(f"e2e-drive: evaluate: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with what is in {out}", file=sys.stderr)
        return EXIT_INTERRUPTED
    read = {drive.name: json.loads((drive.folder / RESULTS).read_text(encoding="utf-8")) for drive in drives}
    summary = summarise(read)
    write_json(out / "benchmark.json", summary)
    _show(summary)
    return 0


def drives_of(benchmark: Benchmark, out: Path, overrides: Sequence[str]) -> list[Drive]:
    """overrides: what the user asked for; the drives get them all, but those that say which drive it is."""
    kept = [word for word in overrides if not word.lstrip("+~").startswith(_OURS)]
    file = routes_file(benchmark.routes)
    wanted = benchmark.ids or route_ids(file)
    unknown = sorted(set(wanted) - set(route_ids(file)))
    if unknown:
        raise UserError(f"benchmark.ids: {unknown} are not in {file}; it has {list(route_ids(file))}")
    drives = []
    for seed in benchmark.seeds:
        for name in wanted:
            mine = (
                f"world.town={benchmark.town}",
                "routes=file",
                f"routes.path={file}",
                f"routes.id={name}",
                f"seed={seed}",
            )
            drives.append(Drive(f"{name}, seed {seed}", out / f"{name}-seed{seed}", (*kept, *mine)))
    return drives


def route_ids(file: Path) -> tuple[str, ...]:
    """The routes of a Leaderboard routes file, by name."""
    try:
        return tuple(str(node.attrib["id"]) for node in ElementTree.parse(file).getroot().iter("route"))
    except (OSError, ElementTree.ParseError, KeyError) as error:
        raise UserError(f"benchmark.routes: {file}: {error}") from error


def routes_file(path: str) -> Path:
    """As named, or of that name among the shipped ones."""
    shipped = config_dir() / "routes" / path
    return shipped if not Path(path).exists() and shipped.exists() else Path(path)


def _drive_all(todo: Sequence[Drive], benchmark: Benchmark, bar: Any) -> None:
    """Hands drives to workers; the first one that cannot be driven ends it all, when those under way are done."""
    with ThreadPoolExecutor(benchmark.workers) as pool:
        waiting = list(todo)
        running: set[Future[str]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < benchmark.workers:
                    running.add(pool.submit(_drive, waiting.pop(0), benchmark.attempts))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    bar.write(future.result())
                    bar.update()
        except BaseException:
            waiting.clear()
            for process in list(_processes):
                process.terminate()  # it writes what it has, and ends
            raise


_processes: set[subprocess.Popen[bytes]] = set()


def _drive(drive: Drive, attempts: int) -> str:
    """One drive in a process of its own; returns a line that tells how it went."""
    drive.folder.mkdir(parents=True, exist_ok=True)
    write_json(drive.folder / JOB, {"overrides": list(drive.overrides)})
    (drive.folder / RESULTS).unlink(missing_ok=True)
    command = [sys.executable, "-m", "e2e_drive.cli", "evaluate", *drive.overrides, f"out={drive.folder}"]
    for attempt in range(attempts):
        with (drive.folder / STDERR).open("wb") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
            _processes.add(process)
            code = process.wait()
            _processes.discard(process)
        if code == 0:
            record = json.loads((drive.folder / RESULTS).read_text(encoding="utf-8"))["_checkpoint"]["records"][0]
            again = f" (attempt {attempt + 1})" if attempt else ""
            return f"{drive.name}: {record['scores']['score_composed']:.1f}, {record['status']}{again}"
        (drive.folder / RESULTS).unlink(missing_ok=True)  # a drive that was cut off is no result
        if code != EXIT_WORLD_DIED:
            break
    said = (drive.folder / STDERR).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise DriveFailed(f"{drive.name}: {said[-1] if said else f'exit code {code}'} (see {drive.folder})", code)


def _show(summary: dict[str, Any]) -> None:
    table = Table(title=f"{summary['drives']} drives")
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("95 % of", justify="right")
    for name in ("driving_score", "route_completion", "infraction_penalty"):
        low, high = summary[f"{name}_interval"]
        table.add_row(name.replace("_", " "), f"{summary[name]:.2f}", f"{low:.2f} to {high:.2f}")
    table.add_row("success rate", f"{100 * summary['success_rate']:.0f} %", "")
    for kind, count in summary["infractions"].items():
        table.add_row(f"  {kind.replace('_', ' ')}", str(count), "")
    Console().print(table)
