"""`e2e-drive train`: recorded drives -> weights; `e2e-drive train eval=WEIGHTS`: how well weights know the drives."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from bev import CameraRig
from e2e_drive.apps.options import build, plain, rig_of
from e2e_drive.apps.run_plan import is_held_out
from e2e_drive.errors import EXIT_INTERRUPTED, UserError
from e2e_drive.learn.board import Board
from e2e_drive.learn.card import write_card
from e2e_drive.learn.config import TrainConfig
from e2e_drive.learn.dataset import Balance, DriveDataset
from e2e_drive.learn.evaluation import evaluate
from e2e_drive.learn.loop import CHECKPOINT_FILE, WEIGHTS_FOLDER, Trainer, validation_batches
from e2e_drive.learn.ranks import join_ranks
from e2e_drive.learn.shards import Shard, build_cache, find_logs, split_drives
from e2e_drive.report.files import write_json
from e2e_drive.stack import weights_folder
from planner.config import ModelConfig, model_config_from
from planner.losses import LossConfig
from planner.model import DrivingModel
from planner.weights import WEIGHTS_FILE, load_model


def run(cfg: DictConfig) -> int:
    console = Console(stderr=True)
    torch.set_num_threads(int(cfg.threads) if cfg.threads else torch.get_num_threads())
    rig = rig_of(cfg)
    if cfg.eval:
        return _evaluate(cfg, rig, console)
    out = Path(cfg.out)
    config = train_config_from(plain(cfg))
    ranks = join_ranks(config.device)
    model_config = _model_config(plain(cfg.model), rig)
    learn_shards, held_out = _shards(cfg, model_config, config.seed)
    learn = DriveDataset(learn_shards, rig, config.latency_s)
    validate = DriveDataset(held_out, rig, config.latency_s) if held_out else None
    torch.manual_seed(config.seed)  # the initial weights
    model = build("model", DrivingModel, {"config": model_config, "pretrained": True})
    if cfg.init and not (out / CHECKPOINT_FILE).exists():
        _start_from(model, str(cfg.init))
    trainer = Trainer(model, learn, validate, out, config, ranks)
    console.print(
        f"{len(learn)} samples of {len(learn_shards)} drives, {len(validate) if validate else 0} held out; "
        f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.2f} M parameters; "
        f"{'bfloat16' if config.half else 'float32'} on {trainer.device}; {trainer.step} steps done"
    )
    board = Board(out, validate) if cfg.tensorboard and ranks.leads else None
    try:
        metrics = trainer.run(on_metrics=board.write if board else None)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from {out / CHECKPOINT_FILE}")
        return EXIT_INTERRUPTED
    if not ranks.leads:
        return 0
    _show(console, f"held-out drives after {trainer.step} steps" if validate else "training", metrics)
    write_json(out / "metrics.json", metrics)
    write_card(
        out / WEIGHTS_FOLDER,
        out.name,
        model,
        learn_shards,
        held_out,
        metrics,
        steps=trainer.step,
        batch_size=config.batch_size,
        minutes=trainer.spent_s / 60,
        seed=config.seed,
        command=_command(),
    )
    console.print(f"weights and their model card: {out / WEIGHTS_FOLDER}")
    return 0


def _command() -> str:
    """As it was typed."""
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    return " ".join(["e2e-drive train", *typed])


def _evaluate(cfg: DictConfig, rig: CameraRig, console: Console) -> int:
    """Open loop over all drives of `data`."""
    folder = weights_folder(str(cfg.eval), "eval")
    model = build(f"eval={cfg.eval}", load_model, {"folder": folder})
    model.set_rig(rig)
    shards = _shards(cfg, model.config, 0, hold_out=False)[0]
    dataset = DriveDataset(shards, rig)
    model = model.to(str(cfg.device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    metrics = evaluate(model, validation_batches(dataset, int(cfg.eval_samples), str(cfg.device)))
    _show(console, f"{cfg.eval} on {len(shards)} drives of {cfg.data}", metrics)
    write_json(Path(cfg.out) / "open_loop.json", metrics)
    return 0


def _shards(cfg: DictConfig, model: ModelConfig, seed: int, hold_out: bool = True) -> tuple[list[Shard], list[Shard]]:
    cache = Path(cfg.cache) if cfg.cache else Path(cfg.data) / "cache"
    shards = build_cache(
        find_logs(Path(cfg.data)), cache, model.rig, model.grid, workers=int(cfg.workers), progress=True
    )
    if not hold_out:
        return shards, []
    for shard in shards:
        if is_held_out(shard.town):
            raise UserError(f"{shard.log} was driven in {shard.town}, a town that is held out for tests: leave it out")
    return split_drives(shards, float(cfg.held_out), seed)


def _show(console: Console, title: str, metrics: dict[str, float]) -> None:
    table = Table(title=title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)


def _start_from(model: DrivingModel, name: str) -> None:
    """name: of shipped weights, or a folder of weights."""
    folder = weights_folder(name, "init")
    try:
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except RuntimeError as error:
        raise UserError(f"init={name} holds the weights of another network than model=... describes") from error


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
    return build("model", model_config_from, {"values": values, "rig": rig})
