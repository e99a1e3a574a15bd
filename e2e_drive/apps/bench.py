"""`e2e-drive bench NAME`: prints a table and writes NAME.json with stable metric ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from e2e_drive.apps.options import build, plain, rig_of, whole_number
from e2e_drive.bench import drive, scheduler, world
from e2e_drive.errors import UserError
from e2e_drive.report import machine, versions, write_json
from planner import model_config_from

NAMES = ("scheduler", "drive", "world")


def run(cfg: DictConfig) -> int:
    name = cfg.bench
    if name == "scheduler":
        torch.set_num_threads(1)
        config = model_config_from(plain(cfg.model), rig_of(cfg))
        result = scheduler.run(config, instantiate(cfg.soc), instantiate(cfg.edge), seed=whole_number(cfg, "seed", 0))
    elif name == "drive":
        result = drive.run(Path(cfg.out), plain(cfg.seeds), plain(cfg.overrides))
    elif name == "world":
        options = {**plain(cfg.world_bench), "seed": whole_number(cfg, "seed", 0)}
        result = world.run(build("world_bench", world.WorldBenchConfig, options))
    else:
        raise UserError(f"bench={name}: known benchmarks are {', '.join(NAMES)}")
    metrics = {f"{name}.{key}": value for key, value in result["metrics"].items()}
    path = Path(cfg.out) / f"{name}.json"
    write_json(path, {"metrics": metrics, "rows": result["rows"], "machine": machine(), "versions": versions()})
    console = Console()
    console.print(_table(f"bench {name}", ["metric", "value"], [[key, value] for key, value in metrics.items()]))
    if result["rows"]:
        header = list(result["rows"][0])
        console.print(_table("rows", header, [[row[key] for key in header] for row in result["rows"]]))
    print(path)
    return 0


def _table(title: str, header: list[str], rows: list[list[Any]]) -> Table:
    table = Table(title=title)
    for column in header:
        table.add_column(column, justify="left" if column == header[0] else "right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else escape(str(value)) for value in row))
    return table
