"""What a fleet simulation is told: the infrastructure, the radio, how cars drive, what a late answer costs, how prices
move. Fixed infrastructure: a growing fleet passes its capacity."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def _positive(config: Any, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{type(config).__name__}: {name} must be positive, received {getattr(config, name)}")


@dataclass(frozen=True)
class CellConfig:
    """Roadside units on a square grid, `block` x `block` of them in front of one edge server, and their radio: 5G
    mid-band, TDD. The formulas are those of `scheduling.link.channel`; where no world gives the line of sight, its
    probability is that of 3GPP TR 38.901 table 7.4.2-1 (UMi)."""

    columns: int = 10
    rows: int = 10
    block: int = 2
    accelerators: int = 2  # of one edge server; a job runs on one of them: an assumption
    spacing_m: float = 200.0  # TR 38.901 table 7.2-1: UMi sites stand 200 m apart
    frequency_ghz: float = 3.5  # band n78
    bandwidth_hz: float = 100e6  # widest carrier of n78 (TS 38.101-1)
    car_power_dbm: float = 23.0  # power class 3 (TS 38.101-1)
    unit_power_dbm: float = 33.0  # outdoor small cell, 2 W: an assumption
    car_noise_figure_db: float = 9.0  # TR 38.802 evaluation assumptions
    unit_noise_figure_db: float = 5.0  # same
    noise_rise_db: float = 3.0  # interference from other cells at half load: an assumption
    car_height_m: float = 1.5  # TR 38.901's user height
    unit_height_m: float = 6.0  # roadside units lower than UMi's 10 m: as in the embedded world
    up_share: float = 0.23  # TDD pattern DDDSU: one of five slots and the uplink symbols of the special slot
    down_share: float = 0.74  # same pattern
    overhead: float = 0.08  # TS 38.306 section 4.1.2
    block_error_rate: float = 0.1  # target of the CQI table
    radio_rtt_s: float = 0.0095  # grant chain, TDD alignment, slots, processing (TS 38.214), 30 kHz
    harq_s: float = 0.004  # one retransmission: slot-aligned NACK, processing, next uplink slot
    core_median_s: float = 0.0175  # transport and core, lognormal, fitted on NUWiNS (IMC 2023): 27.7 / 44.2 / 53 ms
    core_log_sigma: float = 0.41  # same fit
    core_correlation_s: float = 1.0  # an assumption
    wan_rtt_s: float = 0.041  # edge - cloud - edge: difference of the NUWiNS medians to cloud and to edge
    wan_bps: float = 1e9  # an assumption
    handover_median_s: float = 0.0215  # request to success p50 21-22, p90 29-50 ms (GeNeLa, M2HO)
    handover_log_sigma: float = 0.345  # same
    handover_margin_m: float = 15.0  # a car changes to a unit that is nearer by this much: an assumption
    message_loss: float = 1e-3  # what survives HARQ, one draw a frame: an assumption
    measurement_sigma_db: float = 1.5  # error of the SINR that the car reports to itself: an assumption

    def __post_init__(self) -> None:
        _positive(self, "columns", "rows", "block", "accelerators", "spacing_m", "frequency_ghz", "bandwidth_hz",
                  "wan_bps", "core_median_s", "core_correlation_s", "handover_median_s")  # fmt: skip
        if self.columns % self.block or self.rows % self.block:
            raise ValueError(
                f"a grid of cells must divide into blocks of {self.block} x {self.block}, "
                f"received {self.columns} x {self.rows}"
            )
        for name in ("up_share", "down_share", "overhead", "block_error_rate", "message_loss"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"CellConfig: {name} must lie in [0, 1), received {getattr(self, name)}")

    @property
    def cells(self) -> int:
        return self.columns * self.rows

    @property
    def servers(self) -> int:
        return self.cells // self.block**2


@dataclass(frozen=True)
class TrafficConfig:
    """Cars on the streets of a square grid that is closed like a torus, and what else runs on their computers."""

    street_m: float = 100.0  # between crossings
    mean_speed_mps: float = 9.0  # an assumption: town traffic
    speed_sigma_mps: float = 4.0  # same
    speed_correlation_s: float = 10.0  # same
    top_speed_mps: float = 16.0
    acceleration_mps2: float = 3.0  # the most a car does, either way: an assumption
    quiet_share: float = 0.2  # of the car's accelerator, taken by other tenants: a scenario
    awake_share: float = 0.4  # ... while the cockpit assistant answers; the fallback must still meet every deadline
    mean_quiet_s: float = 12.0
    mean_awake_s: float = 6.0

    def __post_init__(self) -> None:
        _positive(self, "street_m", "speed_correlation_s", "top_speed_mps", "acceleration_mps2",
                  "mean_quiet_s", "mean_awake_s")  # fmt: skip
        if not 0.0 <= self.quiet_share <= self.awake_share < 1.0:
            raise ValueError(
                "tenant shares must satisfy 0 <= quiet_share <= awake_share < 1, "
                f"received {self.quiet_share} and {self.awake_share}"
            )


@dataclass(frozen=True)
class RiskConfig:
    """The objective of docs/scheduling.md, in seconds; its weights are preferences, not measurements."""

    futures: int = 16
    margin_s: float = 0.01  # by how much the fallback beats the deadline
    late_weight: float = 4.0  # on the mean lateness
    tail_weight: float = 2.0  # on the mean lateness of the worst futures ...
    tail_share: float = 0.1  # ... of this share of them
    per_joule_s: float = 0.005
    per_byte_s: float = 1e-8  # 100 kB cost as much as 1 ms
    inertia_s: float = 0.001  # charged when a car changes the tier: against flapping
    travel_m: float = 0.8  # the deadline: as long as the car covers this distance ...
    shortest_s: float = 0.08  # ... within these bounds
    longest_s: float = 0.20

    def __post_init__(self) -> None:
        _positive(self, "futures", "travel_m", "shortest_s")
        if not 0.0 < self.tail_share <= 1.0:
            raise ValueError(f"RiskConfig: tail_share must lie in (0, 1], received {self.tail_share}")
        if not self.shortest_s <= self.longest_s:
            raise ValueError(f"RiskConfig: shortest_s must not exceed longest_s, received {self}")
        for name in ("margin_s", "late_weight", "tail_weight", "per_joule_s", "per_byte_s", "inertia_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"RiskConfig: {name} must not be negative, received {getattr(self, name)}")


@dataclass(frozen=True)
class PriceConfig:
    """How a resource moves its own price; see `scheduling.fleet.prices`. Prices are seconds of the objective a second
    of the resource. target: the utilisation that prices aim at; what lies above it is room for queues."""

    target: float = 0.7
    first_step: float = 0.1
    smallest_step: float = 0.02
    largest_step: float = 0.5
    shrink: float = 0.5  # of the step when the excess changes its sign
    grow: float = 1.1  # of the step when it does not
    enabled: bool = True  # False: nobody pays, every car is selfish

    def __post_init__(self) -> None:
        if not 0.0 < self.target <= 1.0:
            raise ValueError(f"PriceConfig: target must lie in (0, 1], received {self.target}")
        if not 0.0 < self.smallest_step <= self.first_step <= self.largest_step:
            raise ValueError(f"PriceConfig: needs 0 < smallest_step <= first_step <= largest_step, received {self}")
        if not (0.0 < self.shrink < 1.0 <= self.grow):
            raise ValueError(f"PriceConfig: needs 0 < shrink < 1 <= grow, received {self.shrink} and {self.grow}")


@dataclass(frozen=True)
class FleetConfig:
    cells: CellConfig = field(default_factory=CellConfig)
    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    prices: PriceConfig = field(default_factory=PriceConfig)
    period_s: float = 0.1  # between two frames of a car
    capacity: float = 1.0  # scales what cells and servers can do in a second; inf: nobody ever waits
    seed: int = 0

    def __post_init__(self) -> None:
        _positive(self, "period_s", "capacity")

    @classmethod
    def configured(cls, **groups: Any) -> FleetConfig:
        """From plain mappings, as configs/fleet has them; unknown keys are refused by name."""
        parts = {"cells": CellConfig, "traffic": TrafficConfig, "risk": RiskConfig, "prices": PriceConfig}
        values = dict(groups)
        for name, part in parts.items():
            if name in values and not isinstance(values[name], part):
                values[name] = _build(part, name, dict(values[name]))
        built: FleetConfig = _build(cls, "fleet", values)
        return built


def _build(kind: type, where: str, values: dict[str, Any]) -> Any:
    known = [item.name for item in fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where}: unknown keys {unknown}; known are {', '.join(known)}")
    return kind(**values)
