"""The model card that lies beside trained weights: from which drives, by which command, how well, how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e_drive.learn.shards import Shard
from e2e_drive.report import machine, versions, write_text
from planner.model import DrivingModel

CARD = "README.md"


def write_card(
    folder: Path,
    name: str,
    model: DrivingModel,
    learned: Sequence[Shard],
    held_out: Sequence[Shard],
    metrics: Mapping[str, float],
    *,
    steps: int,
    batch_size: int,
    minutes: float,
    seed: int,
    command: str,
) -> None:
    """folder: of the weights. metrics: of the held-out drives, or of the training if none was held out."""
    config, parameters = model.config, sum(weight.numel() for weight in model.parameters()) / 1e6
    cameras = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in config.rig.cameras)
    whole = sum(shard.samples for shard in learned)
    lines = [
        f"# {name}",
        "",
        f"Cameras: {cameras}. Backbone `{config.backbone}`{' from ImageNet weights' if config.pretrained else ''}, "
        f"view transform `{config.view_transform}`, {parameters:.2f} M parameters.",
        "",
        f"**Data.** {whole} samples of {len(learned)} drives of the privileged expert ({len(held_out)} more drives "
        f"held out): {_towns(learned)}.",
        "",
        f"**Training.** {steps} steps of {batch_size} samples, {minutes:.0f} minutes on {machine()['cpus']} cores "
        f"({machine()['processor']}), seed {seed}, torch {versions()['torch']}:",
        "",
        f"    {command}",
        "",
        f"**{'Held-out drives of the same towns' if held_out else 'Training'}**, exponential average of the weights "
        "(the figures are explained in docs/model.md):",
        "",
        *_table(metrics),
    ]
    write_text(folder / CARD, "\n".join(lines) + "\n")


def _towns(shards: Sequence[Shard]) -> str:
    counts: Counter[str] = Counter()
    for shard in shards:
        counts[shard.town or "unknown town"] += shard.samples
    return ", ".join(f"{town} {samples}" for town, samples in sorted(counts.items()))


def _table(metrics: Mapping[str, float]) -> list[str]:
    rows = (f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in metrics.items())
    return ["| metric | value |", "|---|---|", *rows]
