"""What a log says of its run, so that it can be driven again: configuration, revision, weights, rig, stage graph."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bev import CameraRig, rig_from_config, rig_to_config
from scheduling.types import StageCost, StageGraph, StageNode

RUN, RIG, GRAPH = "run", "rig", "graph"  # names of metadata records


def rig_record(rig: CameraRig) -> dict[str, str]:
    """Numbers in full precision: the same rig comes back."""
    return {"cameras": json.dumps(rig_to_config(rig))}


def rig_of_record(record: Mapping[str, str]) -> CameraRig:
    return rig_from_config(json.loads(record["cameras"]))


def graph_record(graph: StageGraph) -> dict[str, str]:
    """Stage costs as traced when the drive began."""
    return {"graph": json.dumps(asdict(graph))}


def graph_of_record(record: Mapping[str, str]) -> StageGraph:
    values = json.loads(record["graph"])
    return StageGraph(
        stages=tuple(_stage_of(stage) for stage in values["stages"]),
        sources=values["sources"],
        sinks=tuple(values["sinks"]),
        codecs={tensor: tuple(names) for tensor, names in values["codecs"].items()},
        states=values["states"],
    )


def _stage_of(values: Mapping[str, Any]) -> StageNode:
    return StageNode(values["name"], tuple(values["inputs"]), tuple(values["outputs"]), StageCost(**values["cost"]))


def git_revision() -> str:
    """Of the checkout that this package lies in, "+" if it was changed; "unknown" outside one."""
    here = Path(__file__).resolve().parent
    try:
        revision, changes = (
            subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return revision + ("+" if changes else "")


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
