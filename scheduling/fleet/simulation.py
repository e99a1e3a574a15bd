"""A fleet from capture to answer: cars drive, decide, resources post prices, jobs are served. See docs/fleet.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduling.fleet.config import FleetConfig
from scheduling.fleet.decision import decide_frames, new_draws, risk_numbers
from scheduling.fleet.execution import BY_CLOUD, BY_EDGE, BY_FALLBACK, LOCAL, Outcome, execute
from scheduling.fleet.menu import Menu
from scheduling.fleet.prices import Board, new_board, rule_of
from scheduling.fleet.world import Drive, radio_numbers, simulate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Decisions:
    """choice: (F, N) entries of the menu. prices, loads: (F, R) as posted, and as asked for (0 rows: not kept)."""

    choice: Ints
    prices: Floats
    loads: Floats
    board: Board


@dataclass(frozen=True)
class FleetReport:
    """What a run comes to after its warm-up. Shares sum to 1. Utilisation: seconds taken over seconds available."""

    cars: int
    frames: int
    latency_mean_s: float
    latency_p50_s: float
    latency_p95_s: float
    latency_p99_s: float
    quality_mean_s: float  # quality price of the answers that won
    misses: int  # frames answered after their deadline
    unanswered: int  # frames without any answer
    local_share: float  # decided to run on the car
    edge_share: float  # answered by the edge
    cloud_share: float
    fallback_share: float  # sent away, answered by the car's own run
    uplink_utilisation: float  # mean over cells
    busiest_uplink: float
    server_utilisation: float
    busiest_server: float
    fairness_latency: float  # Jain's index over cars of their mean latency
    fairness_remote: float  # ... of their share of remote answers
    tier_changes: float  # share of decisions that change the tier

    def __post_init__(self) -> None:
        shares = self.local_share + self.edge_share + self.cloud_share + self.fallback_share
        if abs(shares - 1.0) > 1e-9:
            raise ValueError(f"shares of sources must sum to 1, received {shares}")


class Fleet:
    """One menu, one world; `drive`, `decide` and `serve` are its three steps, `run` all of them.

    A car meets every deadline by itself when its complete run, slowed down by its tenants, and the margin fit into the
    shortest deadline. Where they do not, misses are counted like any others; a car that cannot even run the fallback
    once a period is refused."""

    def __init__(self, config: FleetConfig, menu: Menu) -> None:
        slowest_s = menu.local_s / (1.0 - config.traffic.awake_share)
        if slowest_s > config.period_s:
            raise ValueError(
                f"fleet: {menu.entries[0].name} takes {slowest_s:.3f} s while other tenants are awake, longer than the "
                f"period of {config.period_s} s; a smaller model, a faster computer or a lower awake_share would do"
            )
        self.config, self.menu = config, menu
        self._menu = menu.arrays
        self._radio, self._risk = radio_numbers(config.cells), risk_numbers(config)
        self._rule, self._draws = rule_of(config), new_draws(config)

    def drive(self, cars: int, frames: int) -> Drive:
        return simulate(self.config, cars, frames)

    def decide(self, drive: Drive, keep_history: bool = False) -> Decisions:
        """From fresh boards: the prices of the first frame are 0."""
        frames, cars = drive.shape
        board = new_board(self.config)
        kept = np.zeros((frames if keep_history else 0, board.price.size))
        decisions = Decisions(np.empty((frames, cars), np.int64), kept, kept.copy(), board)
        decide_frames(
            self._menu, self._radio, self._risk, self._rule, self._draws, board, drive, np.full(cars, -1, np.int64), 0,
            decisions.choice, decisions.prices, decisions.loads,
        )  # fmt: skip
        return decisions

    def serve(self, drive: Drive, choice: Ints, watch: bool = False) -> Outcome:
        capacity = new_board(self.config).capacity
        return execute(self._menu, self._radio, self._risk, capacity, self.config.period_s, drive, choice, watch)

    def run(self, cars: int, frames: int, warm_up: int = 0) -> FleetReport:
        drive = self.drive(cars, frames)
        decisions = self.decide(drive)
        return self.report(drive, decisions.choice, self.serve(drive, decisions.choice), warm_up)

    def report(self, drive: Drive, choice: Ints, outcome: Outcome, warm_up: int = 0) -> FleetReport:
        """Misses and unanswered frames count from the first frame on, everything else after the warm-up; utilisation
        is that of the whole run."""
        frames, cars = drive.shape
        if not 0 <= warm_up < frames:
            raise ValueError(f"warm_up must leave frames of {frames}, received {warm_up}")
        latency, source = outcome.latency_s[warm_up:], outcome.source[warm_up:]
        local, edge, cloud, fallback = (float(np.mean(source == k)) for k in (LOCAL, BY_EDGE, BY_CLOUD, BY_FALLBACK))
        remote = np.mean((source == BY_EDGE) | (source == BY_CLOUD), axis=0)
        cells = self.config.cells.cells
        utilisation = outcome.taken_s[:-1].sum(axis=0) / (frames * self.config.period_s)
        tier = self._menu.tier[choice[warm_up:]]
        answered_by = np.where(source == BY_FALLBACK, 0, choice[warm_up:])
        p50, p95, p99 = np.percentile(latency, (50, 95, 99))
        return FleetReport(
            cars=cars,
            frames=frames - warm_up,
            latency_mean_s=float(latency.mean()),
            latency_p50_s=float(p50),
            latency_p95_s=float(p95),
            latency_p99_s=float(p99),
            quality_mean_s=float(self._menu.quality_s[answered_by].mean()),
            misses=int(outcome.late.sum()),
            unanswered=int((~np.isfinite(outcome.latency_s)).sum()),
            local_share=local,
            edge_share=edge,
            cloud_share=cloud,
            fallback_share=fallback,
            uplink_utilisation=float(utilisation[:cells].mean()),
            busiest_uplink=float(utilisation[:cells].max()),
            server_utilisation=float(utilisation[2 * cells :].mean()),
            busiest_server=float(utilisation[2 * cells :].max()),
            fairness_latency=jain(latency.mean(axis=0)),
            fairness_remote=jain(remote),
            tier_changes=float(np.mean(tier[1:] != tier[:-1])) if len(tier) > 1 else 0.0,
        )


def jain(values: Floats) -> float:
    """Jain's fairness index (Jain, Chiu, Hawe 1984): 1 when all are equal, 1/n when one has everything."""
    squares = float(np.sum(values**2))
    return float(np.sum(values)) ** 2 / (len(values) * squares) if squares > 0.0 else 1.0
