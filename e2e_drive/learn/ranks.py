"""Training over several processes (`torchrun`): each takes its part of every batch, gradients are averaged.

Without torchrun there is one rank, and nothing here costs anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """Which process of how many this is."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """The accelerator of this process: cuda -> cuda:<local rank>."""
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if wanted == "cuda" and self.count > 1 else wanted

    def share(self, items: int) -> slice:
        """This process's part of a batch; all parts are equally long."""
        size = items // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """One message a step: all gradients in a row. A parameter that this process's part did not touch counts as
        zero."""
        if self.count == 1:
            return
        weights = [weight for weight in parameters if weight.requires_grad]
        row = torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights])
        dist.all_reduce(row)
        row /= self.count
        place = 0
        for weight in weights:
            weight.grad = row[place : place + weight.numel()].view_as(weight).clone()
            place += weight.numel()

    def from_leader(self, tensors: Iterable[Tensor]) -> None:
        """Every process continues with rank 0's values."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)


def join_ranks(device: str) -> Ranks:
    """Joins the processes that torchrun started, if it did."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return Ranks(dist.get_rank(), dist.get_world_size())
