"""Many results files -> one summary, with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

_RESAMPLES = 2000
_SCORES = {"driving_score": "score_composed", "route_completion": "score_route", "infraction_penalty": "score_penalty"}


def summarise(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """results: name of a drive -> its results file. Means with 95 % percentile-bootstrap intervals over drives (Efron
    & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13); success: completed without an infraction other
    than min speed (Bench2Drive's rule); infractions: how many of each kind."""
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
    summary["success_rate"] = float(np.mean([_is_success(record) for record in records]))
    counts = Counter(kind for record in records for kind, messages in record["infractions"].items() for _ in messages)
    summary["infractions"] = dict(sorted(counts.items()))
    summary["driving_scores"] = {name: record["scores"]["score_composed"] for name, record in by_name.items()}
    return summary


def _is_success(record: Mapping[str, Any]) -> bool:
    spoiled = any(messages for kind, messages in record["infractions"].items() if kind != "min_speed_infractions")
    return record["status"] in ("Perfect", "Completed") and not spoiled
