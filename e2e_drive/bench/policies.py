"""All policies along the same drives: link conditions x cars' computers x sizes of the network, in virtual time.

Every (condition, seed) is one recorded drive (`scheduling.simulation`): all policies meet the same geometry, radio,
lines at the servers and tenants. Deadlines come from the speed as in a real drive. The rows are one a (condition, SoC,
size, policy), over all seeds; a frame without an answer counts as infinitely late (null in the JSON).

*Sizes.* The main model comes with `little` as the one that the car keeps ready; with `little` itself, there is only
one. Prices of quality are preferences (`QUALITY_PRICE_S`). Policies that know one size use the main one. `big` (ViT-L
at 6 x 640 x 1600) is left out by default: at int8 an A100 needs 96 ms for it, an L40S 86 ms, other tenants aside, and
its six pictures another 70 ms of a free 105 Mbit/s uplink, so that no placement meets the longest deadline (0.2 s).

*SoCs.* NAME or NAME@WATTS, a power mode. By default one that can run `base` in time and one that cannot, while both
can run `little` in time even when the cockpit assistant takes its share.

*Confidence intervals* (95 %) by bootstrap over blocks of `BLOCK` consecutive frames, the same blocks for all policies
of a row's group, since frames close in time share their fate.

*Pareto front.* In each group (condition, SoC, size), over {deadline-miss rate, mean and p95 latency, energy, bytes sent
up, quality price}, a policy other than the oracle dominates ours in one of three senses (`DOMINANCE`); intervals are
those of the paired difference, theirs minus ours:

- `point`: it measured at least as good in all six, and the interval of one lies below 0. `ours_on_pareto_front` is 1
  if no policy does so in any group.
- `confident`: the intervals of all six reach no higher than 0, and one lies below.
- `tolerant`: none of the six intervals lies above 0, and one lies below. This asks most of ours.

`dominated_by_...` of ours' rows say by whom, `ours_groups_dominated_...` in how many of the `groups`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tqdm import tqdm

from e2e_drive import config_dir
from e2e_drive.bench import figures
from e2e_drive.dispatch import DeadlineConfig
from e2e_drive.errors import UserError
from e2e_drive.study import study_graph
from scheduling.budget import ComputeBudget
from scheduling.link import DRIVES, drive_geometry
from scheduling.policies import POLICIES
from scheduling.preferences import PolicyConfig
from scheduling.queue import SharedQueue
from scheduling.simulation import Drive, Frames, record_drive, simulate
from scheduling.types import ModelVariant, Place

Floats = npt.NDArray[np.float64]
OURS, ORACLE = "exact", "oracle"
# Driving by this size instead of the largest, in seconds of latency: preferences, not measurements.
QUALITY_PRICE_S = {"big": 0.0, "base": 0.05, "little": 0.10}
# Share of the edge server and of the cloud that other cars' jobs take, and the mean seconds of one: a scenario.
EDGE_LOAD = {"good": 0.1, "urban": 0.4, "congested": 0.8, "tunnel": 0.4}
EDGE_JOB_S, CLOUD_LOAD, CLOUD_JOB_S, JOB_VARIATION = 0.01, 0.5, 0.002, 0.5
BLOCK = 20  # frames
RESAMPLES = 400
DOMINANCE = ("point", "confident", "tolerant")
ROUNDING = 1e-9  # smaller differences are none
Group = tuple[str, str, str]  # (condition, SoC, size)


@dataclass(frozen=True)
class PoliciesBenchConfig:
    """socs: NAME or NAME@WATTS. sizes: main models. drives: of each condition, `frames` long. max_nodes: of a search;
    `unproven_pct` says how often it ended without a proof, `gap_p99_ms` how loose the bound was then. Against searches
    of 100,000 nodes, decisions at this limit were worse by 0.06 ms of the objective on average (Xavier at 10 W, good
    link, 160 decisions), by 0.3 ms on the slower Jetson TX2."""

    conditions: tuple[str, ...] = tuple(DRIVES)
    socs: tuple[str, ...] = ("orin_nx", "xavier@10")
    sizes: tuple[str, ...] = ("little", "base")
    edge: str = "l4"
    cloud: str = "a100"
    policies: tuple[str, ...] = tuple(POLICIES)
    drives: int = 4
    frames: int = 250
    futures: int = 64
    max_nodes: int = 2000
    processes: int = 2
    figures: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("drives", "futures", "max_nodes", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"policies bench: {name} must be at least 1, received {getattr(self, name)}")
        if self.frames < 2 * BLOCK:
            raise ValueError(f"policies bench: frames must be at least {2 * BLOCK}, received {self.frames}")
        for name, known in (("conditions", DRIVES), ("policies", POLICIES), ("sizes", QUALITY_PRICE_S)):
            unknown = [value for value in getattr(self, name) if value not in known]
            if unknown or not getattr(self, name):
                raise ValueError(f"policies bench: {name} must be some of {', '.join(known)}, received {unknown}")
        if not {OURS, ORACLE} <= set(self.policies):
            raise ValueError(f"policies bench: policies must contain {OURS} and {ORACLE}, received {self.policies}")

    @classmethod
    def from_options(cls, **options: Any) -> PoliciesBenchConfig:
        """Lists, as configuration files have them, become tuples."""
        tuples: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in options.items()}
        return cls(**tuples)


def run(config: PoliciesBenchConfig | None = None, out: Path | None = None) -> dict[str, Any]:
    """{"metrics": {id: number}, "rows": [...]}; figures go into the folder `out`."""
    config = config or PoliciesBenchConfig()
    for soc in config.socs:  # what is wrong with them is told now and not after minutes
        computers_of(soc, config.edge, config.cloud, config.seed)
    if out is not None and config.figures:
        figures.require_matplotlib()
    found: dict[Group, dict[str, list[Frames]]] = {}
    for group, policy, frames in _all_frames(config):
        found.setdefault(group, {}).setdefault(policy, []).append(frames)
    rng = np.random.default_rng([config.seed, 0xB007])
    rows = [row for group, by_policy in found.items() for row in group_rows(group, by_policy, rng)]
    metrics = summary(rows, found, rng)
    if out is not None and config.figures:
        out.mkdir(parents=True, exist_ok=True)
        figures.policies_figure(rows, out)
        figures.placement_figure(*placement_example(config), out)
    return {"metrics": {key: _finite(value) for key, value in metrics.items()}, "rows": rows}


def _all_frames(config: PoliciesBenchConfig) -> Iterator[tuple[Group, str, Frames]]:
    jobs = [(config, condition, number) for condition in config.conditions for number in range(config.drives)]
    with tqdm(total=len(jobs), desc="policies", unit="drive") as bar:
        if config.processes == 1:
            for job in jobs:
                yield from drive_all(*job)
                bar.update()
            return
        fresh = multiprocessing.get_context("spawn")  # numba and torch do not like to be forked
        with ProcessPoolExecutor(config.processes, mp_context=fresh) as pool:
            for results in pool.map(drive_all, *zip(*jobs, strict=True)):
                yield from results
                bar.update()


def drive_all(config: PoliciesBenchConfig, condition: str, number: int) -> list[tuple[Group, str, Frames]]:
    """One drive by all policies with all computers and sizes."""
    seed = 1000 * config.seed + number
    drive = scenario(condition, seed, config.frames, config.futures)
    results = []
    for soc in config.socs:
        computers = computers_of(soc, config.edge, config.cloud, seed)
        for size in config.sizes:
            for name in config.policies:
                policy = POLICIES[name](PolicyConfig(futures=config.futures, max_nodes=config.max_nodes))
                frames = simulate(policy, models_of(size), computers, drive)
                results.append(((condition, soc, size), name, frames))
    return results


def scenario(condition: str, seed: int, frames: int, futures: int) -> Drive:
    queues = {
        place: SharedQueue(load / job_s, job_s, JOB_VARIATION, seed=seed + 7 * place)
        for place, load, job_s in (
            (Place.EDGE, EDGE_LOAD[condition], EDGE_JOB_S), (Place.CLOUD, CLOUD_LOAD, CLOUD_JOB_S)
        )
    }  # fmt: skip
    return record_drive(
        component("link", condition, seed), drive_geometry(seed, condition), DeadlineConfig().deadline_s, frames,
        queues=queues, futures=futures, seed=seed,
    )  # fmt: skip


def component(group: str, name: str, seed: int = 0) -> Any:
    """What configs/GROUP/NAME.yaml describes, for that seed."""
    path = config_dir() / group / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in path.parent.glob("*.yaml")))
        raise UserError(f"policies bench: {group} must be one of {known}, received {name!r}")
    whole = OmegaConf.create({"seed": seed, group: OmegaConf.load(path)})
    return instantiate(OmegaConf.to_container(whole, resolve=True)[group])  # type: ignore[index, call-overload]


def computers_of(soc: str, edge: str, cloud: str, seed: int) -> tuple[ComputeBudget, ...]:
    name, _, watts = soc.partition("@")
    car = component("soc", name, seed)
    if watts:
        try:
            car = replace(car, power_mode_w=float(watts))
        except ValueError as error:
            raise UserError(f"policies bench: socs are NAME or NAME@WATTS, received {soc!r}: {error}") from error
    return car, component("edge", edge, seed + 1), component("cloud", cloud, seed + 2)


def models_of(main: str) -> tuple[ModelVariant, ...]:
    names = (main,) if main == "little" else (main, "little")
    best_s = QUALITY_PRICE_S[main]
    return tuple(
        ModelVariant(name, study_graph(component("study", name)), QUALITY_PRICE_S[name] - best_s) for name in names
    )


def placement_example(config: PoliciesBenchConfig) -> tuple[Frames, Drive, tuple[ModelVariant, ...], str]:
    """One drive of ours for the eye: the condition and the computer that make it move most."""
    condition = "tunnel" if "tunnel" in config.conditions else config.conditions[-1]
    soc, models, seed = config.socs[-1], models_of(config.sizes[-1]), 1000 * config.seed
    drive = scenario(condition, seed, max(config.frames, 600), config.futures)
    policy = POLICIES[OURS](PolicyConfig(futures=config.futures, max_nodes=config.max_nodes))
    frames = simulate(policy, models, computers_of(soc, config.edge, config.cloud, seed), drive, keep=True)
    return frames, drive, models, f"{condition}, {soc}, {config.sizes[-1]}"


# Statistics


def group_rows(group: Group, by_policy: dict[str, list[Frames]], rng: np.random.Generator) -> list[dict[str, Any]]:
    joined = {name: join(drives) for name, drives in by_policy.items()}
    blocks = block_indices(by_policy[OURS], rng)
    samples = {name: measures(frames, blocks) for name, frames in joined.items()}
    points = {name: measures(frames, np.arange(len(frames.capture_s))[None])[0] for name, frames in joined.items()}
    rows = []
    for name, drives in by_policy.items():
        row = _row(group, name, drives, joined[name], samples[name])
        if name == OURS:
            others = [other for other in joined if other not in (OURS, ORACLE)]
            for sense in DOMINANCE:
                row[f"dominated_by_{sense}"] = " ".join(o for o in others if dominates(o, points, samples, sense))
        rows.append(row)
    return rows


def _row(group: Group, name: str, drives: list[Frames], frames: Frames, sample: Floats) -> dict[str, Any]:
    low, high = np.quantile(sample[:, 0], (0.025, 0.975))
    p50, p95, p99 = np.quantile(frames.latency_s, (0.5, 0.95, 0.99), method="inverted_cdf")
    answered = np.isfinite(frames.latency_s)
    row = dict(zip(("condition", "soc", "size"), group, strict=True)) | {
        "policy": name,
        "latency_mean_ms": 1e3 * float(frames.latency_s.mean()),
        "latency_p50_ms": 1e3 * float(p50),
        "latency_p95_ms": 1e3 * float(p95),
        "latency_p99_ms": 1e3 * float(p99),
        "miss_pct": 100.0 * float(frames.is_late.mean()),
        "miss_low_pct": 100.0 * float(low),
        "miss_high_pct": 100.0 * float(high),
        "without_trajectory": int(sum(one.is_without_trajectory().sum() for one in drives)),
        "unanswered_pct": 100.0 * float(1.0 - answered.mean()),
        "fallback_pct": 100.0 * float(frames.is_fallback.mean()),
        "remote_pct": 100.0 * float(frames.is_remote.mean()),
        "energy_j": float(frames.joules.mean()),
        "up_kb": float(frames.bytes_up.mean()) / 1e3,
        "quality_price_ms": 1e3 * float(frames.quality_price_s[answered].mean()) if answered.any() else float("inf"),
        "decide_us": 1e6 * float(np.median(frames.decide_s)),
        "unproven_pct": 100.0 * float((frames.gap_s > 0.0).mean()),
        "gap_p99_ms": 1e3 * float(np.quantile(frames.gap_s, 0.99)),
        **{f"dominated_by_{sense}": "" for sense in DOMINANCE},
    }
    return {key: _finite(value) for key, value in row.items()}


def join(drives: Sequence[Frames]) -> Frames:
    """One after the other."""
    names = [field.name for field in fields(Frames) if field.name not in ("schedules", "timelines")]
    columns: dict[str, Any] = {name: np.concatenate([getattr(frames, name) for frames in drives]) for name in names}
    return Frames(**columns)


def block_indices(drives: Sequence[Frames], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(resamples, frames): frames of joined drives, drawn block by block with replacement."""
    starts, offset = [], 0
    for frames in drives:
        count = len(frames.capture_s)
        starts += [offset + start for start in range(0, count - BLOCK + 1, BLOCK)]
        offset += count
    drawn = rng.choice(np.array(starts), (RESAMPLES, len(starts)))
    return (drawn[:, :, None] + np.arange(BLOCK)).reshape(RESAMPLES, -1)


def measures(frames: Frames, indices: npt.NDArray[np.int64]) -> Floats:
    """(samples, 6): deadline-miss rate, mean and p95 latency, energy, bytes sent up, quality price of the frames picked
    by indices (samples, frames); all the smaller the better."""
    mean_s = frames.latency_s[indices].mean(axis=1)
    p95 = np.quantile(frames.latency_s[indices], 0.95, axis=1, method="inverted_cdf")
    quality = frames.quality_price_s[indices]
    is_known = np.isfinite(quality)
    known = is_known.sum(axis=1)
    price = np.where(known > 0, np.where(is_known, quality, 0.0).sum(axis=1) / np.maximum(known, 1), np.inf)
    misses, joules = frames.is_late[indices].mean(axis=1), frames.joules[indices].mean(axis=1)
    return np.stack([misses, mean_s, p95, joules, frames.bytes_up[indices].mean(axis=1), price], axis=1)


def dominates(other: str, points: dict[str, Floats], samples: dict[str, Floats], sense: str) -> bool:
    """Whether it dominates ours; see the module."""
    ours, theirs = samples[OURS], samples[other]
    with np.errstate(invalid="ignore"):
        difference = theirs - ours
    difference[np.isinf(theirs) & np.isinf(ours)] = 0.0
    low, high = np.quantile(difference, (0.025, 0.975), axis=0, method="inverted_cdf")
    is_no_worse = {"point": points[other] - points[OURS], "confident": high, "tolerant": low}[sense] <= ROUNDING
    return bool(np.all(is_no_worse) and np.any(high < -ROUNDING))


def summary(
    rows: list[dict[str, Any]], found: dict[Group, dict[str, list[Frames]]], rng: np.random.Generator
) -> dict[str, float]:
    ours = [row for row in rows if row["policy"] == OURS]
    metrics: dict[str, float] = {
        "ours_frames_without_trajectory": max(row["without_trajectory"] for row in ours),
        "ours_on_pareto_front": float(not any(row["dominated_by_point"] for row in ours)),
        **{f"ours_groups_dominated_{c}": sum(bool(row[f"dominated_by_{c}"]) for row in ours) for c in DOMINANCE},
        "groups": len(ours),
        "ours_decide_us": float(np.median([row["decide_us"] for row in ours])),
        "ours_unproven_pct": float(np.mean([row["unproven_pct"] for row in ours])),
    }
    for condition in dict.fromkeys(group[0] for group in found):
        pooled = {
            name: join([one for group, by in found.items() if group[0] == condition for one in by[name]])
            for name in next(iter(found.values()))
        }
        drives = [one for group, by in found.items() if group[0] == condition for one in by[OURS]]
        blocks = block_indices(drives, rng)
        metrics |= _against_oracle(condition, pooled, blocks)
        for label, name in (("ours", OURS), ("edge_only", "edge_only"), ("cloud_central", "cloud_central")):
            if name in pooled:
                p95 = np.quantile(pooled[name].latency_s, 0.95, method="inverted_cdf")
                metrics[f"{label}_p95_ms_{condition}"] = 1e3 * float(p95)
    return metrics


def _against_oracle(condition: str, pooled: dict[str, Frames], blocks: npt.NDArray[np.int64]) -> dict[str, float]:
    """Percentage points with their interval, and ratio (1 where neither misses)."""
    ours, oracle = pooled[OURS].is_late, pooled[ORACLE].is_late
    difference = 100.0 * (ours[blocks].mean(axis=1) - oracle[blocks].mean(axis=1))
    low, high = np.quantile(difference, (0.025, 0.975))
    ratio = 1.0 if ours.sum() == oracle.sum() else float(ours.sum() / oracle.sum()) if oracle.any() else float("inf")
    return {
        f"ours_miss_over_oracle_{condition}": 100.0 * float(ours.mean() - oracle.mean()),
        f"ours_miss_over_oracle_low_{condition}": float(low),
        f"ours_miss_over_oracle_high_{condition}": float(high),
        f"ours_miss_over_oracle_ratio_{condition}": ratio,
    }


def _finite(value: Any) -> Any:
    """JSON knows no infinity."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
