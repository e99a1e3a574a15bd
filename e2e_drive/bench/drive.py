"""Whole first drives, one process a seed: scores, and how fast the house drives on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e_drive.errors import UserError


def run(out: Path, seeds: Sequence[int], overrides: Sequence[str]) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}; each drive's files are kept in `out`/drive_SEED."""
    if not seeds:
        raise UserError("bench drive: seeds must name at least one seed, received []")
    rows = []
    for seed in seeds:
        folder = out / f"drive_{seed}"
        command = [sys.executable, "-m", "e2e_drive.cli", "evaluate", "experiment=first_drive"]
        command += [f"seed={seed}", f"out={folder}", *overrides]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"bench drive: seed {seed} ended with exit code {done.returncode}")
        rows.append(_row(folder, seed))
    scores = [row["driving_score"] for row in rows]
    metrics = {
        "driving_score_mean": sum(scores) / len(scores),
        "driving_score_min": min(scores),
        "route_completion_min": min(row["route_completion"] for row in rows),
        "simulated_s_per_wall_s": sum(row["simulated_s_per_wall_s"] for row in rows) / len(rows),
        "wall_s_max": max(row["wall_s"] for row in rows),
    }
    for name in ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"):
        known = [row[name] for row in rows if row[name] is not None]
        if known:
            metrics[name] = sum(known) / len(known)
    return {"metrics": metrics, "rows": rows}


def _row(folder: Path, seed: int) -> dict[str, Any]:
    record = json.loads((folder / "results.json").read_text(encoding="utf-8"))["_checkpoint"]["records"][0]
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return {
        "seed": seed,
        "status": record["status"],
        "driving_score": record["scores"]["score_composed"],
        "route_completion": record["scores"]["score_route"],
        "infractions": record["num_infractions"],
        "wall_s": run["set_up_s"] + run["duration_system"],
        "simulated_s_per_wall_s": run["simulated_s_per_wall_s"],
        **{f"latency_{name}_ms": value for name, value in run["latency_ms"].items()},
    }
