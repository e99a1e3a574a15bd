"""Many results files -> one summary, with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from e2e_drive.scores.bench2drive import ability_table, is_success, mean_of
from e2e_drive.scores.leaderboard import RULES

_RESAMPLES = 2000
_SCORES = {"driving_score": "score_composed", "route_completion": "score_route", "infraction_penalty": "score_penalty"}


def summarise(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """results: name of a drive -> its results file. Means with 95 % percentile-bootstrap intervals over drives (Efron
    & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13); success: completed without an infraction other
    than min speed (Bench2Drive's rule); infractions: how many of each kind; driving_score_by_rules; bench2drive:
    means of its figures (scores/bench2drive.py); abilities, abilities_strict; by_scenario: type -> drives, success,
    score."""
    by_name = {name: result["_checkpoint"]["records"][0] for name, result in results.items()}
    records = list(by_name.values())
    random = np.random.default_rng(0)
    chosen = random.integers(len(records), size=(_RESAMPLES, len(records)))
    summary: dict[str, Any] = {"drives": len(records)}
    for name, key in _SCORES.items():
        values = np.array([record["scores"][key] for record in records])
        low, high = np.percentile(values[chosen].mean(axis=1), [2.5, 97.5])
        summary[name] = float(values.mean())
        summary[f"{name}_interval"] = [float(low), float(high)]
    summary["success_rate"] = float(np.mean([is_success(record) for record in records]))
    counts = Counter(kind for record in records for kind, messages in record["infractions"].items() for _ in messages)
    summary["infractions"] = dict(sorted(counts.items()))
    summary["driving_scores"] = {name: record["scores"]["score_composed"] for name, record in by_name.items()}
    summary["driving_score_by_rules"] = {
        rules: mean_of([record["driving_scores"].get(rules) for record in records]) for rules in RULES
    }
    names = sorted({name for record in records for name in record["bench2drive"]})
    summary["bench2drive"] = {name: mean_of([r["bench2drive"].get(name) for r in records]) for name in names}
    summary["abilities"] = ability_table(records)
    summary["abilities_strict"] = ability_table(records, strict=True)
    kinds = sorted({kind for record in records for kind in record["scenarios"]})
    summary["by_scenario"] = {kind: _of_kind([r for r in records if kind in r["scenarios"]]) for kind in kinds}
    return summary


def _of_kind(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        "drives": len(records),
        "success_rate": float(np.mean([is_success(record) for record in records])),
        "driving_score": float(np.mean([record["scores"]["score_composed"] for record in records])),
    }
