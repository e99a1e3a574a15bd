"""Drives -> rows of the report: means, and how far they can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy import stats

from bev import FloatArray
from e2e_drive.report.drives import DriveData, Setting
from e2e_drive.report.tally import PLACEMENTS

_SEEDS = 3  # fewer have no spread to speak of: t of one degree of freedom is 12.7
_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; over: what the interval was taken over ("3 seeds", "20 routes", "" for none)."""

    mean: float
    low: float
    high: float
    over: str


@dataclass(frozen=True, eq=False)
class Group:
    """All drives with one setting."""

    setting: Setting
    drives: tuple[DriveData, ...]
    scores: Mapping[str, Estimate]  # score_composed, score_route, score_penalty
    success: float
    latency_ms: tuple[float, ...]  # at p50, p95, p99; empty without a frame
    latencies_s: FloatArray  # sorted
    placements: Mapping[str, float]  # share of frames
    up_mbps: float  # median; nan without a radio
    rtt_ms: float


def group_drives(drives: Sequence[DriveData]) -> list[Group]:
    """Best link first within a policy, policies in alphabetical order."""
    settings: dict[Setting, list[DriveData]] = {}
    for drive in drives:
        settings.setdefault(drive.setting, []).append(drive)
    groups = [_group(setting, tuple(found)) for setting, found in settings.items()]
    return sorted(
        groups, key=lambda group: (group.setting.policy, -np.nan_to_num(group.up_mbps), astuple(group.setting))
    )


def what_differs(settings: Iterable[Setting]) -> tuple[str, ...]:
    """Fields of a setting that the report has to name: policy and link, and the others where they are not all alike."""
    known = set(settings)
    return tuple(
        name
        for name in (field.name for field in fields(Setting))
        if name in ("policy", "link") or len({getattr(setting, name) for setting in known}) > 1
    )


def _group(setting: Setting, drives: tuple[DriveData, ...]) -> Group:
    latencies = np.sort(np.concatenate([drive.latencies_s for drive in drives]))
    counts = Counter(placement for drive in drives for placement in drive.placements)
    total = max(sum(counts.values()), 1)
    up = np.concatenate([drive.up_bps for drive in drives])
    rtt = np.concatenate([drive.rtt_s for drive in drives])
    return Group(
        setting,
        drives,
        {key: estimate(drives, key) for key in ("score_composed", "score_route", "score_penalty")},
        float(np.mean([drive.is_success for drive in drives])),
        tuple(float(np.percentile(latencies, p, method="inverted_cdf")) * 1e3 for p in _PERCENTILES)
        if len(latencies)
        else (),
        latencies,
        {placement: counts[placement] / total for placement in PLACEMENTS},
        float(np.median(up)) / 1e6 if len(up) else float("nan"),
        float(np.median(rtt)) * 1e3 if len(rtt) else float("nan"),
    )


def estimate(drives: Sequence[DriveData], key: str) -> Estimate:
    """From three seeds on over their means, since what is asked is how another seed would do; with fewer over single
    drives, which says how much routes and seeds differ. One drive: no interval."""
    seeds = sorted({drive.seed for drive in drives})
    mean = float(np.mean([drive.scores[key] for drive in drives]))
    if len(seeds) >= _SEEDS:
        values = [float(np.mean([d.scores[key] for d in drives if d.seed == seed])) for seed in seeds]
        reach, over = reach_of_mean(values), f"{len(seeds)} seeds"
    else:
        reach, over = reach_of_mean([drive.scores[key] for drive in drives]), f"{len(drives)} drives"
    top = 1.0 if key == "score_penalty" else 100.0
    return Estimate(mean, max(mean - reach, 0.0), min(mean + reach, top), over if len(drives) > 1 else "")


def reach_of_mean(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean: t(0.975, n - 1) s / sqrt(n), s with n - 1 degrees of freedom (Student, "The
    Probable Error of a Mean", Biometrika 6, 1908). 0 for a single value."""
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def links_by_quality(groups: Sequence[Group]) -> list[str]:
    """Worst first: in the order of the median uplink that the drives met."""
    met: dict[str, list[float]] = {}
    for group in groups:
        met.setdefault(group.setting.link, []).append(float(np.nan_to_num(group.up_mbps)))
    return sorted(met, key=lambda link: (np.mean(met[link]), link))
