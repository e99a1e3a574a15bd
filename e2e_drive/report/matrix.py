"""Policy x link: the study's table, and a sentence that says on which links ours keeps its promise, and where not.

The promise: within CLOSE_POINTS of the oracle, which knows the link of the coming frame, and ahead of every policy that
a car could have. Differences are taken drive by drive: two policies on one route with one seed meet the same world,
cars and radio, so the mean of their differences is known better than either mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from e2e_drive.report.groups import Estimate, Group, links_by_quality, reach_of_mean
from e2e_drive.report.tally import DROPPED

OURS, ORACLE = "exact", "oracle"
CLOSE_POINTS = 3.0
_SCORE = "score_composed"
_SAME = 0.05  # points: a smaller difference does not show in the table
_STRANGERS = ("expert", "none")  # who drives without a scheduler


@dataclass(frozen=True)
class Verdict:
    """Ours on one link. to_oracle, to_best: ours less the other; None without one to compare with. best: the policy
    with the highest mean beside the two."""

    link: str
    ours: Group
    oracle: Group | None
    best: Group | None
    to_oracle: Estimate | None
    to_best: Estimate | None

    @property
    def is_close(self) -> bool:
        return self.to_oracle is None or self.to_oracle.mean >= -CLOSE_POINTS

    @property
    def is_ahead(self) -> bool:
        return self.to_best is None or self.to_best.mean > _SAME

    @property
    def is_kept(self) -> bool:
        return self.is_close and self.is_ahead

    def why_not(self) -> str:
        """One clause for each part of the promise that is not kept, with what the drives tell about the reason."""
        reasons = []
        if self.to_oracle is not None and self.oracle is not None and not self.is_close:
            reasons.append(
                f"{-self.to_oracle.mean:.1f} points behind the oracle "
                f"({_latencies(self.ours, self.oracle)}{_chance(self.to_oracle)})"
            )
        if self.to_best is not None and self.best is not None and not self.is_ahead:
            name, behind = self.best.setting.policy, -self.to_best.mean
            what = f"level with {name}" if behind < _SAME else f"{behind:.1f} points behind {name}"
            reasons.append(f"{what} ({_latencies(self.ours, self.best)}{_chance(self.to_best)})")
        return " and ".join(reasons)


@dataclass(frozen=True)
class Matrix:
    """Drives that differ in policy and link alone. title: what they share. links: worst first. cells: by both."""

    title: str
    policies: tuple[str, ...]
    links: tuple[str, ...]
    cells: Mapping[tuple[str, str], Group]
    verdicts: tuple[Verdict, ...]

    def best_on(self, link: str) -> float:
        """The highest mean score there, the oracle's aside."""
        means = [g.scores[_SCORE].mean for (name, at), g in self.cells.items() if at == link and name != ORACLE]
        return max(means, default=float("nan"))


def matrices(groups: Sequence[Group]) -> list[Matrix]:
    """One for each SoC and weights that several policies drove with on the same link."""
    shared: dict[str, list[Group]] = {}
    for group in groups:
        if group.setting.policy not in _STRANGERS:
            shared.setdefault(f"{group.setting.soc}, {group.setting.weights}", []).append(group)
    return [
        _matrix(title, found)
        for title, found in shared.items()
        if max(Counter(group.setting.link for group in found).values()) > 1
    ]


def in_words(matrix: Matrix) -> tuple[str, ...]:
    """What came of the promise: a sentence, then one for each link where it is not kept; () where nobody made it."""
    if not matrix.verdicts:
        return ()
    kept = [verdict.link for verdict in matrix.verdicts if verdict.is_kept]
    promise = f"within {CLOSE_POINTS:.0f} points of the oracle and ahead of every other policy"
    where = f" ({', '.join(kept)})" if kept else ""
    return (
        f"Ours is {promise} in {len(kept)} of {len(matrix.verdicts)} link conditions{where}.",
        *(f"Under {v.link} it is {v.why_not()}." for v in matrix.verdicts if not v.is_kept),
    )


def difference(ours: Group, other: Group) -> Estimate | None:
    """Mean of ours less the other's score over the routes and seeds that both drove, with its 95 % interval."""
    theirs = {(drive.route, drive.town, drive.seed): drive.scores[_SCORE] for drive in other.drives}
    pairs = [(drive.scores[_SCORE], theirs.get((drive.route, drive.town, drive.seed))) for drive in ours.drives]
    values = [mine - its for mine, its in pairs if its is not None]
    if not values:
        return None
    mean, reach = float(np.mean(values)), reach_of_mean(values)
    return Estimate(mean, mean - reach, mean + reach, f"{len(values)} pairs" if len(values) > 1 else "")


def _matrix(title: str, groups: Sequence[Group]) -> Matrix:
    links = tuple(links_by_quality(groups))
    means: dict[str, list[float]] = {}
    for group in groups:
        means.setdefault(group.setting.policy, []).append(group.scores[_SCORE].mean)
    last = (OURS, ORACLE)  # below those that they are compared with, which stand worst first
    policies = sorted(means, key=lambda name: (last.index(name) if name in last else -1, np.mean(means[name]), name))
    cells = {(group.setting.policy, group.setting.link): group for group in groups}
    verdicts = tuple(_verdict(link, cells) for link in links if (OURS, link) in cells)
    return Matrix(title, tuple(policies), links, cells, verdicts)


def _verdict(link: str, cells: Mapping[tuple[str, str], Group]) -> Verdict:
    ours, oracle = cells[OURS, link], cells.get((ORACLE, link))
    others = [group for (name, at), group in cells.items() if at == link and name not in (OURS, ORACLE)]
    best = max(others, key=lambda group: group.scores[_SCORE].mean, default=None)
    to_oracle = None if oracle is None else difference(ours, oracle)
    return Verdict(link, ours, oracle, best, to_oracle, None if best is None else difference(ours, best))


def _chance(gap: Estimate) -> str:
    """What is to be said of a difference whose interval holds zero, though its mean is another."""
    if gap.low <= 0.0 <= gap.high and abs(gap.mean) >= _SAME:
        return f"; {gap.over or 'one pair'} cannot tell that from chance"
    return ""


def _latencies(ours: Group, other: Group) -> str:
    def told(group: Group) -> str:
        dropped = group.placements.get(DROPPED, 0.0)
        p95 = f"{group.latency_ms[1]:.0f} ms" if group.latency_ms else "never"
        return p95 + (f" with {100 * dropped:.0f} % of the frames dropped" if dropped >= 0.005 else "")

    mishaps = [sum(len(drive.mishaps) for drive in group.drives) for group in (ours, other)]
    return f"p95 of the latency {told(ours)} against {told(other)}, infractions {mishaps[0]} against {mishaps[1]}"
