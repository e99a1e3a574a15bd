"""Computers: how long a stage takes on one, how much of it other tenants leave us, how much energy it draws.

    t_stage = [ kernels * t_kernel + max(flops / (eta_c * peak), bytes / (eta_m * bandwidth)) ] / (1 - share)

a roofline (Williams, Waterman, Patterson, CACM 52(4), 2009) plus a fixed cost for each kernel, slowed by the share of
the accelerator that other tenants take (time slicing). The profiles under configs/soc and configs/edge say where
every number comes from.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np

from scheduling.types import StageCost

BYTES_PER_NUMBER = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class TenantLoad:
    """Other work on the same accelerator: an on/off process with exponential times (a cockpit assistant that wakes up
    when spoken to). Deterministic given the seed; the first period is quiet."""

    quiet_share: float = 0.0  # share of the accelerator taken while quiet
    awake_share: float = 0.0  # ... while awake
    mean_quiet_s: float = 20.0
    mean_awake_s: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.quiet_share <= self.awake_share < 1.0:
            raise ValueError(
                "tenant shares must satisfy 0 <= quiet_share <= awake_share < 1, "
                f"received {self.quiet_share} and {self.awake_share}"
            )
        if self.mean_quiet_s <= 0 or self.mean_awake_s <= 0:
            raise ValueError(f"mean times must be positive, received {self.mean_quiet_s}, {self.mean_awake_s}")


@dataclass(frozen=True)
class ComputeBudget:
    """One computer. Rates are dense peaks; a precision with rate 0 is not supported."""

    name: str
    fp32_flops: float  # per second, a multiply-add counts as 2
    fp16_flops: float
    int8_ops: float
    bandwidth_bps: float  # memory, *bytes* per second
    memory_bytes: float
    power_w: float  # drawn while the accelerator works
    compute_efficiency: float  # eta_c
    memory_efficiency: float  # eta_m
    kernel_s: float  # fixed cost of one kernel
    precision: str = "fp16"
    tenants: TenantLoad = field(default_factory=TenantLoad)
    _switches: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.precision not in BYTES_PER_NUMBER:
            known = list(BYTES_PER_NUMBER)
            raise ValueError(f"{self.name}: precision must be one of {known}, received {self.precision!r}")
        if self.peak_flops <= 0:
            raise ValueError(f"{self.name} does not support precision {self.precision!r}")
        for label in ("compute_efficiency", "memory_efficiency"):
            if not 0.0 < getattr(self, label) <= 1.0:
                raise ValueError(f"{self.name}: {label} must lie in (0, 1], received {getattr(self, label)}")

    @property
    def peak_flops(self) -> float:
        return {"fp32": self.fp32_flops, "fp16": self.fp16_flops, "int8": self.int8_ops}[self.precision]

    def share_other_tenants(self, time_s: float) -> float:
        """Share of this computer that is not ours at that time."""
        switches = self._switches
        if not switches or switches[-1] <= time_s:
            # Always drawn from the beginning, so that the answer depends on the time asked for and nothing else.
            rng = np.random.default_rng([self.tenants.seed, 0x7E4A])
            means_s = (self.tenants.mean_quiet_s, self.tenants.mean_awake_s)
            switches.clear()
            end = 0.0
            while end <= time_s + 60.0:
                end += rng.exponential(means_s[len(switches) % 2])
                switches.append(end)
        awake = bisect.bisect_right(switches, time_s) % 2 == 1
        return self.tenants.awake_share if awake else self.tenants.quiet_share

    def alone_seconds(self, cost: StageCost) -> float:
        """Time of one run with the whole machine to ourselves."""
        moved = cost.bytes_moved * BYTES_PER_NUMBER[self.precision] / 4.0  # traced at 4 bytes a number
        arithmetic_s = cost.flops / (self.compute_efficiency * self.peak_flops)
        memory_s = moved / (self.memory_efficiency * self.bandwidth_bps)
        return cost.kernels * self.kernel_s + max(arithmetic_s, memory_s)

    def stage_seconds(self, cost: StageCost, time_s: float) -> float:
        """Time of one run that starts then."""
        return self.alone_seconds(cost) / (1.0 - self.share_other_tenants(time_s))

    def state(self, time_s: float) -> BudgetState:
        return BudgetState(self, self.share_other_tenants(time_s))


@dataclass(frozen=True)
class BudgetState:
    """A computer as a policy sees it at decision time."""

    budget: ComputeBudget
    share_taken: float

    def stage_seconds(self, cost: StageCost) -> float:
        return self.budget.alone_seconds(cost) / (1.0 - self.share_taken)

    def stage_joules(self, cost: StageCost) -> float:
        return self.budget.alone_seconds(cost) * self.budget.power_w
