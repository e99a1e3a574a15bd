"""Average precision of detections by centre distance, as in nuScenes (Caesar et al., arXiv 1903.11027, section 3.2), at
one distance.

Shapes:  A detections   G labelled boxes
"""

from __future__ import annotations

import numpy as np

from bev import FloatArray
from bev.heads import Agent

MATCH_M = 2.0


class AveragePrecision:
    """Collects frames of one kind of object; `value` is the area under the precision-recall curve."""

    def __init__(self, kind: int, match_m: float = MATCH_M) -> None:
        self.kind, self.match_m = kind, match_m
        self._scores: list[float] = []
        self._hits: list[bool] = []
        self.labelled = 0

    def add(self, found: FloatArray, truth: FloatArray) -> None:
        """found (A, len(Agent)), truth (G, len(Agent)) of one frame. SCORE of truth: 1 counts; 0 is there but not to be
        seen, so whoever finds it is neither right nor wrong (rows of zeros stand for nobody)."""
        found = found[found[:, Agent.KIND] == self.kind]
        truth = truth[(truth[:, Agent.KIND] == self.kind) & (truth[:, Agent.LENGTH] > 0)]
        counts = truth[:, Agent.SCORE] > 0.5
        self.labelled += int(counts.sum())
        free = np.ones(len(truth), dtype=bool)
        for row in found[np.argsort(-found[:, Agent.SCORE], kind="stable")]:
            gap = np.hypot(truth[:, Agent.X] - row[Agent.X], truth[:, Agent.Y] - row[Agent.Y])
            gap = np.where(free, gap, np.inf)
            nearest = int(np.argmin(gap)) if len(gap) else -1
            hit = nearest >= 0 and gap[nearest] < self.match_m
            if hit:
                free[nearest] = False
                if not counts[nearest]:
                    continue
            self._scores.append(float(row[Agent.SCORE]))
            self._hits.append(bool(hit))

    @property
    def value(self) -> float:
        """In [0, 1]; NaN if nothing was labelled."""
        if self.labelled == 0:
            return float("nan")
        order = np.argsort(-np.array(self._scores), kind="stable")
        hits = np.cumsum(np.array(self._hits, dtype=np.float64)[order])
        recall = hits / self.labelled
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall, prepend=0.0) * envelope)) if len(hits) else 0.0
