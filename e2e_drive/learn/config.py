"""How a training run goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from e2e_drive.errors import UserError
from e2e_drive.learn.dataset import Balance
from planner.losses import LossConfig


@dataclass(frozen=True)
class TrainConfig:
    """Fields of configs/train.yaml. Raises UserError for what cannot be."""

    epochs: int = 10
    max_minutes: float | None = None  # the schedule is shortened so as to end by then
    batch_size: int = 16  # over all ranks
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warm_up_steps: int = 200
    weight_decay: float = 0.02
    clip_norm: float = 2.0
    average_decay: float = 0.998  # of the exponential moving average of the weights, which is what drives
    perception_share: float = 0.25  # of the schedule, at its beginning: perception alone, then all together
    forget: float = 0.3  # share of samples that have to do without a memory
    latency_s: float = 0.0  # expected age of a trajectory when it is driven: target speeds are those of that much later
    precision: str = "auto"  # auto | bf16 | fp32
    device: str = "cpu"  # | cuda
    seed: int = 0
    validate_every_steps: int = 500
    validation_samples: int = 600
    checkpoint_minutes: float = 2.0
    balance: Balance = field(default_factory=Balance)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise UserError(f"train: epochs >= 1 and batch_size >= 2, received {self.epochs} and {self.batch_size}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise UserError(f"train: precision must be auto, bf16 or fp32, received {self.precision!r}")
        for name, highest in (("perception_share", 1.0), ("forget", 1.0), ("latency_s", 2.0)):
            if not 0.0 <= getattr(self, name) <= highest:
                raise UserError(f"train: {name} must lie in [0, {highest:g}], received {getattr(self, name)}")

    @property
    def half(self) -> bool:
        """bfloat16 pays where the processor multiplies it in hardware (with AVX512-BF16: twice the samples)."""
        if self.precision == "auto":
            return self.device != "cpu" or _multiplies_bf16()
        return self.precision == "bf16"


def _multiplies_bf16() -> bool:
    ask = getattr(torch.cpu, "get_capabilities", None)
    found = ask() if ask is not None else {}  # an older torch cannot tell
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
