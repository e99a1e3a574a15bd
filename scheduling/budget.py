"""Computers: how long a stage takes on one, how much of it other tenants leave us, how much energy it draws.

    t_stage = [ kernels * t_kernel / f + max(flops / (eta_c * peak * f), bytes / (eta_m * bandwidth)) ] / (1 - share)

a roofline (Williams, Waterman, Patterson, CACM 52(4), 2009) plus a fixed cost for each kernel, at the clock f (a share
of the nominal one; memory keeps its own clock), slowed by the share of the accelerator that other tenants take (time
slicing). Energy is time alone on the machine times the draw at that clock (`scheduling.thermal`). The profiles under
configs/soc, configs/edge and configs/cloud say where every number comes from.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np

from scheduling.thermal import ThermalConfig, clock_at_power, power_at_clock
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
    """One computer. Rates are dense peaks (no structured sparsity); a precision with rate 0 is not supported.

    power_mode_w: cap on what our work may draw in the long run (0: none). A cap below power_w is met by a lower clock
    for every run, as a power mode does it. thermal: how it heats up (None: it never throttles).
    """

    name: str
    fp32_flops: float  # per second, a multiply-add counts as 2
    fp16_flops: float
    int8_ops: float
    bandwidth_bps: float  # memory, *bytes* per second
    memory_bytes: float
    power_w: float  # drawn while the accelerator works at its nominal clock
    compute_efficiency: float  # eta_c, of every precision without one of its own below
    memory_efficiency: float  # eta_m
    kernel_s: float  # fixed cost of one kernel
    precision: str = "fp16"  # the default one
    tenants: TenantLoad = field(default_factory=TenantLoad)
    fp32_efficiency: float | None = None
    fp16_efficiency: float | None = None
    int8_efficiency: float | None = None
    idle_w: float = 0.0  # drawn while the accelerator waits
    power_mode_w: float = 0.0
    thermal: ThermalConfig | None = None
    _switches: list[float] = field(default_factory=list, init=False, repr=False, compare=False)
    _cap_clock: float = field(default=1.0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.precision not in BYTES_PER_NUMBER:
            known = list(BYTES_PER_NUMBER)
            raise ValueError(f"{self.name}: precision must be one of {known}, received {self.precision!r}")
        if self.peak_flops <= 0:
            raise ValueError(f"{self.name} does not support precision {self.precision!r}")
        for label in ("fp32_flops", "fp16_flops", "int8_ops", "kernel_s", "idle_w", "power_mode_w"):
            if getattr(self, label) < 0:
                raise ValueError(f"{self.name}: {label} must not be negative, received {getattr(self, label)}")
        for label in ("bandwidth_bps", "memory_bytes", "power_w"):
            if getattr(self, label) <= 0:
                raise ValueError(f"{self.name}: {label} must be positive, received {getattr(self, label)}")
        for label in ("compute", "memory", "fp32", "fp16", "int8"):
            value = getattr(self, f"{label}_efficiency")
            if value is not None and not 0.0 < value <= 1.0:
                raise ValueError(f"{self.name}: {label}_efficiency must lie in (0, 1], received {value}")
        if self.idle_w >= self.power_cap_w:
            raise ValueError(
                f"{self.name}: idle_w must lie below power_w and power_mode_w, received {self.idle_w}, {self.power_w} "
                f"and {self.power_mode_w}"
            )
        object.__setattr__(self, "_cap_clock", clock_at_power(self.idle_w, self.power_w, self.power_cap_w))

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those this computer supports, widest numbers first."""
        return tuple(name for name in BYTES_PER_NUMBER if self._peak(name) > 0)

    @property
    def peak_flops(self) -> float:
        return self._peak(self.precision)

    def _peak(self, precision: str) -> float:
        return {"fp32": self.fp32_flops, "fp16": self.fp16_flops, "int8": self.int8_ops}[precision]

    def efficiency(self, precision: str) -> float:
        """eta_c: share of the peak that dense layers reach at that precision."""
        own = {"fp32": self.fp32_efficiency, "fp16": self.fp16_efficiency, "int8": self.int8_efficiency}[precision]
        return self.compute_efficiency if own is None else own

    @property
    def power_cap_w(self) -> float:
        """The most that our work may draw in the long run."""
        return min(self.power_w, self.power_mode_w) if self.power_mode_w > 0 else self.power_w

    def sustained_clock(self, clock: float = 1.0) -> float:
        """The clock that runs when heat leaves `clock`: the power cap may ask for less."""
        if not 0.0 < clock <= 1.0:
            raise ValueError(f"{self.name}: a clock is a share of the nominal one in (0, 1], received {clock}")
        return min(clock, self._cap_clock)

    def busy_w(self, clock: float = 1.0) -> float:
        """Drawn while working."""
        return power_at_clock(self.idle_w, self.power_w, self.sustained_clock(clock))

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

    def alone_seconds(self, cost: StageCost, precision: str | None = None, clock: float = 1.0) -> float:
        """Time of one run with the whole machine to ourselves."""
        precision = self.precision if precision is None else precision
        if precision not in BYTES_PER_NUMBER or self._peak(precision) <= 0:
            raise ValueError(f"{self.name} supports {', '.join(self.precisions)}; received precision {precision!r}")
        clock = self.sustained_clock(clock)
        moved = cost.bytes_moved * BYTES_PER_NUMBER[precision] / 4.0  # traced at 4 bytes a number
        arithmetic_s = cost.flops / (self.efficiency(precision) * self._peak(precision) * clock)
        memory_s = moved / (self.memory_efficiency * self.bandwidth_bps)
        return cost.kernels * self.kernel_s / clock + max(arithmetic_s, memory_s)

    def stage_seconds(self, cost: StageCost, time_s: float, precision: str | None = None, clock: float = 1.0) -> float:
        """Time of one run that starts then."""
        return self.alone_seconds(cost, precision, clock) / (1.0 - self.share_other_tenants(time_s))

    def joules(self, cost: StageCost, precision: str | None = None, clock: float = 1.0) -> float:
        """Energy of one run: other tenants' time slices are theirs."""
        return self.alone_seconds(cost, precision, clock) * self.busy_w(clock)

    def state(self, time_s: float, clock: float = 1.0) -> BudgetState:
        return BudgetState(self, self.share_other_tenants(time_s), clock)


@dataclass(frozen=True)
class BudgetState:
    """A computer as a policy sees it at decision time. clock: what heat leaves of the nominal one."""

    budget: ComputeBudget
    share_taken: float
    clock: float = 1.0

    def stage_seconds(self, cost: StageCost, precision: str | None = None) -> float:
        return self.budget.alone_seconds(cost, precision, self.clock) / (1.0 - self.share_taken)

    def stage_joules(self, cost: StageCost, precision: str | None = None) -> float:
        return self.budget.joules(cost, precision, self.clock)
