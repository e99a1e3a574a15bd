"""`e2e-drive export`: every stage of a network as .pt2 and ONNX, compared with the network."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from e2e_drive.apps.options import build, whole_number
from e2e_drive.errors import UserError
from e2e_drive.learn.export import MANIFEST, StageReport, example_tensors, export_stages
from e2e_drive.stack import weights_folder
from planner import load_model


def run(cfg: DictConfig) -> int:
    tolerance = cfg.tolerance
    if not isinstance(tolerance, (int, float)) or isinstance(tolerance, bool) or not tolerance > 0:
        raise UserError(f"tolerance must be a positive number, received {tolerance!r}")
    seed = whole_number(cfg, "seed", 0)
    torch.set_num_threads(whole_number(cfg, "threads", 1))
    model = build(f"weights={cfg.weights}", load_model, {"folder": weights_folder(str(cfg.weights))})
    reports = export_stages(model.stages, example_tensors(model, seed), Path(cfg.out), float(tolerance))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a file has no right edge: nothing is cut off
    console.print(_table(str(cfg.weights), reports))
    print(Path(cfg.out) / MANIFEST)
    return 0


def _table(weights: str, reports: tuple[StageReport, ...]) -> Table:
    table = Table(title=f"{weights}: ONNX in onnxruntime against torch")
    table.add_column("stage")
    for header in ("file", "size", "max difference", "relative", ".pt2, relative"):
        table.add_column(header, justify="right")
    for report in reports:
        name = report.stages[0] if len(report.stages) == 1 else f"{report.stages[0]} and {len(report.stages) - 1} more"
        if report.onnx is None:
            table.add_row(escape(name), "runs as is", *[""] * 4)
        else:
            table.add_row(
                escape(name),
                escape(report.onnx),
                f"{report.onnx_bytes / 1e6:.2f} MB",
                *(f"{value:.1e}" for value in (report.max_abs, report.max_relative, report.pt2_relative)),
            )
    return table
