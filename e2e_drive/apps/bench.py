"""`e2e-drive bench NAME`: prints a table and writes NAME.json with stable metric ids.

Each benchmark is imported when it is run: what one compares with (ortools) or draws with (matplotlib), the others need
not have.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bev import CameraRig
from e2e_drive.apps.options import build, plain, rig_of, whole_number
from e2e_drive.errors import UserError
from e2e_drive.report import machine, versions, write_json
from planner import model_config_from
from scheduling import StageGraph

Result = dict[str, Any]


def _seeded(cfg: DictConfig, group: str) -> dict[str, Any]:
    """A benchmark's own options, and the seed of all."""
    return {**plain(cfg[group]), "seed": whole_number(cfg, "seed", 0)}


def _scheduler(cfg: DictConfig) -> Result:
    from e2e_drive.bench import scheduler

    torch.set_num_threads(1)
    return scheduler.run(build("scheduler_bench", scheduler.SchedulerBenchConfig, _seeded(cfg, "scheduler_bench")))


def _budget(cfg: DictConfig) -> Result:
    from e2e_drive.bench import budget

    return budget.run()


def _link(cfg: DictConfig) -> Result:
    from e2e_drive.bench import link

    options = build("link_bench", link.LinkBenchConfig.from_options, _seeded(cfg, "link_bench"))
    return link.run(options, instantiate(cfg.link))


def _policies(cfg: DictConfig) -> Result:
    from e2e_drive.bench import policies

    options = build("policies_bench", policies.PoliciesBenchConfig.from_options, _seeded(cfg, "policies_bench"))
    return policies.run(options, Path(cfg.out))


def _fleet(cfg: DictConfig) -> Result:
    from e2e_drive.bench import fleet

    torch.set_num_threads(1)
    computers = [instantiate(cfg[group]) for group in ("soc", "edge", "cloud")]
    options = build("fleet_bench", fleet.FleetBenchConfig, plain(cfg.fleet_bench))
    return fleet.run(model_config_from(plain(cfg.model), rig_of(cfg)), computers, instantiate(cfg.fleet), options)


def _bev(cfg: DictConfig) -> Result:
    from e2e_drive.bench import bev

    options = build("bev_bench", bev.BevBenchConfig, _seeded(cfg, "bev_bench"))
    sizes = {name: compose("bench", ["bench=bev", f"model={name}", "rig=quad"]) for name in options.models}
    rig = rig_of(compose("bench", ["bench=bev", "rig=quad"]))
    return bev.run({name: model_config_from(plain(size.model), rig) for name, size in sizes.items()}, rig, options)


def _codecs(cfg: DictConfig) -> Result:
    from e2e_drive.bench import codecs

    return codecs.run(compose("evaluate", ["experiment=first_drive", *plain(cfg.overrides)]))


def _device(cfg: DictConfig) -> Result:
    from e2e_drive.bench import device

    return device.run(instantiate(cfg.study), cfg.device, budget=instantiate(cfg[cfg.device_budget]))


def _drive(cfg: DictConfig) -> Result:
    from e2e_drive.bench import drive

    return drive.run(Path(cfg.out), plain(cfg.seeds), plain(cfg.overrides))


def _world(cfg: DictConfig) -> Result:
    from e2e_drive.bench import world

    return world.run(build("world_bench", world.WorldBenchConfig, _seeded(cfg, "world_bench")))


def _replay(cfg: DictConfig) -> Result:
    from e2e_drive.bench import replay

    options = build("replay_bench", replay.ReplayBenchConfig, _seeded(cfg, "replay_bench"))
    return replay.run(options, *_drive_rig_graph(cfg))


def _inspect(cfg: DictConfig) -> Result:
    from e2e_drive.bench import inspect

    options = build("inspect_bench", inspect.InspectBenchConfig, _seeded(cfg, "inspect_bench"))
    return inspect.run(options, *_drive_rig_graph(cfg), Path(cfg.out) / "inspect")


def _drive_rig_graph(cfg: DictConfig) -> tuple[DictConfig, CameraRig, StageGraph]:
    """The first drive's configuration, the rig, and the stages of the network that drives."""
    from e2e_drive.study import driving_graph
    from planner import DrivingModel

    torch.set_num_threads(1)
    rig = rig_of(cfg)
    graph = driving_graph(DrivingModel(model_config_from(plain(cfg.model), rig)))
    return compose("evaluate", ["experiment=first_drive", *plain(cfg.overrides)]), rig, graph


BENCHMARKS: dict[str, Callable[[DictConfig], Result]] = {
    "scheduler": _scheduler,
    "budget": _budget,
    "link": _link,
    "policies": _policies,
    "fleet": _fleet,
    "bev": _bev,
    "codecs": _codecs,
    "device": _device,
    "drive": _drive,
    "world": _world,
    "replay": _replay,
    "inspect": _inspect,
}


def run(cfg: DictConfig) -> int:
    name = cfg.bench
    if name not in BENCHMARKS:
        raise UserError(f"bench={name}: known benchmarks are {', '.join(BENCHMARKS)}")
    result = BENCHMARKS[name](cfg)
    metrics = {f"{name}.{key}": value for key, value in result["metrics"].items()}
    path = Path(cfg.out) / f"{name}.json"
    write_json(path, {"metrics": metrics, "rows": result["rows"], "machine": machine(), "versions": versions()})
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)  # a file has no right edge: nothing is cut off
    console.print(_table(f"bench {name}", ["metric", "value"], [[key, value] for key, value in metrics.items()]))
    if result["rows"]:
        header = list(result["rows"][0])
        console.print(_table("rows", header, [[row.get(key, "") for key in header] for row in result["rows"]]))
    print(path)
    return 0


def _table(title: str, header: list[str], rows: list[list[Any]]) -> Table:
    table = Table(title=title)
    for column in header:
        table.add_column(column, justify="left" if column == header[0] else "right", overflow="fold")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else escape(str(value)) for value in row))
    return table
