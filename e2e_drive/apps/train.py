"""`e2e-drive train`: recorded drives -> weights."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from bev import CameraRig
from e2e_drive.apps.options import build, plain, rig_of
from e2e_drive.errors import EXIT_INTERRUPTED, UserError
from e2e_drive.learn.dataset import Balance, DriveDataset, build_cache, find_logs, split_drives
from e2e_drive.learn.loop import CHECKPOINT_FILE, WEIGHTS_FOLDER, TrainConfig, Trainer
from planner.losses import LossConfig
from planner.model import WEIGHTS_FILE, DrivingModel, ModelConfig, model_config_from


def run(cfg: DictConfig) -> int:
    console = Console(stderr=True)
    torch.set_num_threads(int(cfg.threads) if cfg.threads else torch.get_num_threads())
    rig = rig_of(cfg)
    out = Path(cfg.out)
    logs = find_logs(Path(cfg.data))
    shards = build_cache(logs, Path(cfg.cache) if cfg.cache else out / "cache", rig.names, progress=True)
    config = train_config_from(plain(cfg))
    learn_shards, held_out = split_drives(shards, float(cfg.held_out), config.seed)
    learn = DriveDataset(learn_shards, rig)
    validate = DriveDataset(held_out, rig) if held_out else None
    torch.manual_seed(config.seed)  # the initial weights
    model = DrivingModel(_model_config(plain(cfg.model), rig))
    if cfg.init and not (out / CHECKPOINT_FILE).exists():
        _start_from(model, Path(cfg.init))
    trainer = Trainer(model, learn, validate, out, config)
    console.print(
        f"{len(learn)} samples of {len(learn_shards)} drives, {len(validate) if validate else 0} held out; "
        f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.2f} M parameters; "
        f"{'bfloat16' if config.half else 'float32'} on {config.device}; {trainer.step} steps done"
    )
    board = _Board(out) if cfg.tensorboard else None
    try:
        metrics = trainer.run(on_metrics=board.write if board else None)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from {out / CHECKPOINT_FILE}")
        return EXIT_INTERRUPTED
    table = Table(title=f"held-out drives after {trainer.step} steps" if validate else "training")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    if metrics:
        (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    console.print(f"weights: {out / WEIGHTS_FOLDER}")
    return 0


def _start_from(model: DrivingModel, folder: Path) -> None:
    try:
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except FileNotFoundError as error:
        raise UserError(f"init={folder} holds no {WEIGHTS_FILE}") from error
    except RuntimeError as error:
        raise UserError(f"init={folder} holds the weights of another network than model=... describes") from error


def train_config_from(values: dict[str, Any]) -> TrainConfig:
    """The fields of `TrainConfig` among the values of configs/train.yaml."""
    given = {item.name: values[item.name] for item in fields(TrainConfig) if item.name in values}
    given["balance"] = build("balance", Balance, given.get("balance", {}))
    lists_as_tuples = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.get("loss", {}).items()
    }
    given["loss"] = build("loss", LossConfig, lists_as_tuples)
    return build("train", TrainConfig, given)


def _model_config(values: dict[str, Any], rig: CameraRig) -> ModelConfig:
    values.pop("weights", None)  # where a trained one lies: not part of the network
    return build("model", model_config_from, {"values": values, "rig": rig})


class _Board:
    """Validation metrics for TensorBoard."""

    def __init__(self, out: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("tensorboard=true needs the package tensorboard: pip install tensorboard") from error
        self._writer = SummaryWriter(str(out / "tensorboard"))

    def write(self, step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
