"""The training loop: imitate, average the weights, look at held-out drives, and survive being interrupted.

Step k of a run depends on the seed, k and the state before it, on nothing else: sample order, augmentation, memory and
dropout are all drawn from (seed, step). That is why a resumed run goes on exactly as if it had never stopped
(unless `max_minutes` lets the clock shorten the schedule).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from e2e_drive.errors import UserError
from e2e_drive.learn.augment import augment
from e2e_drive.learn.config import TrainConfig
from e2e_drive.learn.dataset import PICTURES, DriveDataset, by_camera
from e2e_drive.learn.evaluation import evaluate
from e2e_drive.learn.ranks import Ranks
from planner.losses import LossConfig, two_hot_speed
from planner.model import DrivingModel
from planner.types import Light, Manoeuvre
from planner.weights import save_model

CHECKPOINT_FILE, HISTORY_FILE, WEIGHTS_FOLDER = "checkpoint.pt", "history.jsonl", "weights"
_BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}<{remaining}{postfix}"
_SHOWN = ("iou_road", "iou_vehicle", "path_error_20m", "speed_error_mps", "stop_recall", "light_accuracy")
OnMetrics = Callable[[int, dict[str, float], DrivingModel], None]


class Trainer:
    """`run()` trains to the end; a second Trainer on the same folder goes on where the first one stopped."""

    def __init__(
        self,
        model: DrivingModel,
        learn: DriveDataset,
        validate: DriveDataset | None,
        out: Path,
        config: TrainConfig,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.device = self.ranks.device(config.device)
        self.model = model.to(torch.device(self.device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learn, self.validate, self.out, self.config = learn, validate, out, config
        self.loss_config = weigh_classes(learn, config)
        decayed = [weight for weight in model.parameters() if weight.ndim > 1]
        plain = [weight for weight in model.parameters() if weight.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=config.learning_rate,
        )
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.step, self.spent_s = 0, 0.0
        self.steps_per_epoch = max(1, len(learn) // config.batch_size)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))
        out.mkdir(parents=True, exist_ok=True)
        if (out / CHECKPOINT_FILE).exists():
            self._resume()

    @property
    def total_steps(self) -> int:
        return self.config.epochs * self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the schedule that is behind us."""
        by_clock = self.spent_s / (60 * self.config.max_minutes) if self.config.max_minutes else 0.0
        return min(1.0, max(self.step / self.total_steps, by_clock))

    @property
    def is_planning(self) -> bool:
        return self.progress >= self.config.perception_share

    def run(self, show: bool = True, on_metrics: OnMetrics | None = None) -> dict[str, float]:
        """Returns the last validation's metrics (the training terms' averages if no drive is held out)."""
        config = self.config
        metrics: dict[str, float] = {}
        mean: dict[str, float] = {}
        # The bar counts the schedule, not the steps: with `max_minutes` nobody knows how many steps there will be.
        quiet = not (show and self.ranks.leads)
        bar = tqdm(total=1000, initial=round(1000 * self.progress), bar_format=_BAR, desc="training", disable=quiet)
        checkpointed_s = self.spent_s
        try:
            while self.progress < 1.0:
                began_s = time.perf_counter()
                for name, value in self._train_step().items():
                    mean[name] = value if name not in mean else 0.98 * mean[name] + 0.02 * value
                shown = {name: f"{value:.3f}" for name, value in mean.items()}
                bar.set_postfix({"step": self.step, **shown}, refresh=False)
                bar.update(round(1000 * self.progress) - bar.n)
                if self.step % config.validate_every_steps == 0 and self.progress < 1.0:
                    metrics = self._validate(mean, bar, on_metrics)
                self.spent_s += time.perf_counter() - began_s
                if self.spent_s - checkpointed_s > 60 * config.checkpoint_minutes:
                    self.save_checkpoint()
                    checkpointed_s = self.spent_s
            metrics = self._validate(mean, bar, on_metrics)
        finally:
            # Also on Ctrl-C: nothing that was learned is lost.
            bar.close()
            self.save_checkpoint()
        return metrics

    def _train_step(self) -> dict[str, float]:
        config = self.config
        drawn = self._next_samples()
        mine = drawn[self.ranks.share(len(drawn))]
        seed = (config.seed * 1_000_003 + self.step) * self.ranks.count + self.ranks.rank
        torch.manual_seed(seed)  # dropout, in whichever stage
        batch = self._batch(mine, seed)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=config.half):
            terms = self.model.loss(batch, self.loss_config, self.is_planning)
        if not bool(torch.isfinite(terms["total"])):
            raise UserError(self._blame(mine, seed, terms))
        terms["total"].backward()
        self.ranks.average_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        if torch.isfinite(norm):  # a batch whose gradient overflows teaches nothing; the next one will
            self.optimiser.step()
        self.ranks.from_leader(self.model.buffers())
        self.step += 1
        self._update_average()
        return {name: float(term.detach()) for name, term in terms.items()}

    def _batch(self, samples: np.ndarray, seed: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        batch = self.learn.batch(samples, np.random.default_rng(seed), self.config.forget)
        for name in PICTURES:  # in this order, so that a step always draws the same
            if name in batch:
                batch[name] = augment(batch[name], generator)
        return {name: tensor.to(self.device) for name, tensor in by_camera(batch, self.learn.cameras).items()}

    def _blame(self, samples: np.ndarray, seed: int, terms: dict[str, Tensor]) -> str:
        """Which sample makes the loss infinite, if it is one alone."""
        wrong = [name for name, term in terms.items() if name != "total" and not bool(torch.isfinite(term))]
        self.model.eval()
        for sample in samples:
            with torch.no_grad():
                alone = self.model.loss(self._batch(np.array([sample]), seed), self.loss_config, self.is_planning)
            if not bool(torch.isfinite(alone["total"])):
                return (
                    f"step {self.step}: the loss ({', '.join(wrong)}) is not finite for {self.learn.name_of(sample)}; "
                    "leave that log out, or collect it anew"
                )
        return (
            f"step {self.step}: the loss ({', '.join(wrong)}) is not finite although every sample alone gives a finite "
            f"one; the first of its samples is {self.learn.name_of(samples[0])}. "
            f"Lower learning_rate={self.config.learning_rate}"
        )

    def _next_samples(self) -> np.ndarray:
        epoch, place = divmod(self.step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self.learn.epoch(self.config.seed, epoch, self.config.balance))
        size = min(self.config.batch_size, len(self.learn))
        return self._order[1][place * size : (place + 1) * size]

    def _learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to the final rate."""
        config = self.config
        warm = min(1.0, (self.step + 1) / max(1, config.warm_up_steps))
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress))
        return warm * (config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))  # young averages forget fast
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)
            else:
                self.average[name].copy_(tensor)

    def averaged_model(self) -> DrivingModel:
        model = DrivingModel(self.model.config).to(self.device)
        model.load_state_dict(self.average)
        return model.eval()

    def _validate(self, mean: dict[str, float], bar: Any, on_metrics: OnMetrics | None) -> dict[str, float]:
        metrics = dict(mean)
        if not self.ranks.leads:
            return metrics
        model = self.averaged_model()
        save_model(model, self.out / WEIGHTS_FOLDER, half=True)
        if self.validate is not None:
            metrics = evaluate(model, validation_batches(self.validate, self.config.validation_samples, self.device))
        record: dict[str, float | None] = {"step": self.step, "minutes": round(self.spent_s / 60, 2)}
        record |= {f"train_{name}": _finite(value) for name, value in mean.items()}
        record |= {} if self.validate is None else {name: _finite(value) for name, value in metrics.items()}
        with (self.out / HISTORY_FILE).open("a", encoding="utf-8") as history:
            history.write(json.dumps(record) + "\n")
        if on_metrics:
            on_metrics(self.step, metrics, model)
        bar.write(f"step {self.step}: " + "  ".join(f"{n} {metrics[n]:.3f}" for n in _SHOWN if n in metrics))
        return metrics

    def save_checkpoint(self) -> None:
        if not self.ranks.leads:
            return
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "spent_s": self.spent_s,
            "steps_per_epoch": self.steps_per_epoch,
        }
        building = self.out / f".{CHECKPOINT_FILE}"
        torch.save(state, building)
        os.replace(building, self.out / CHECKPOINT_FILE)

    def _resume(self) -> None:
        state = torch.load(self.out / CHECKPOINT_FILE, map_location=self.device, weights_only=True)
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise UserError(f"out={self.out}: its {CHECKPOINT_FILE} is of another network; choose another") from error
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        # With more drives than at the last stop an epoch is longer: keep the share that is done, not the step.
        self.step = round(state["step"] * self.steps_per_epoch / state["steps_per_epoch"])
        self.spent_s = state["spent_s"]


def validation_batches(validate: DriveDataset, at_most: int, device: str) -> Iterator[dict[str, Tensor]]:
    for batch in validate.in_order(16, at_most):
        yield {name: tensor.to(device) for name, tensor in by_camera(batch, validate.cameras).items()}


def weigh_classes(learn: DriveDataset, config: TrainConfig) -> LossConfig:
    """Lift rare target speeds, light states and manoeuvres: one over the root of how often each is drawn,
    bounded, mean 1."""
    weights = torch.from_numpy(learn.weights(config.balance))
    speeds = two_hot_speed(torch.from_numpy(learn.column("target_speed")).double())
    lights = torch.nn.functional.one_hot(torch.from_numpy(learn.column("light")), len(Light)).double()
    manoeuvres = torch.nn.functional.one_hot(torch.from_numpy(learn.column("manoeuvre")), len(Manoeuvre)).double()
    values = {item: getattr(config.loss, item) for item in LossConfig.__dataclass_fields__}
    values["speed_class_weights"] = _rare_first(weights @ speeds)
    values["light_class_weights"] = _rare_first(weights @ lights)
    values["manoeuvre_class_weights"] = _rare_first(weights @ manoeuvres)
    return LossConfig(**values)


def _rare_first(count: Tensor) -> tuple[float, ...]:
    share = count / count.sum()
    weight = torch.where(share > 0, (share * len(share)).clamp(min=1e-6).rsqrt(), 0.0).clamp(max=3.0)
    return tuple((weight / (weight * share).sum()).tolist())


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None
