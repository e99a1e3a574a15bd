"""Results in the layout of the CARLA Leaderboard's results JSON, so that its users' tools read ours.

`meta.duration_system` (wall clock) is left out: a results file depends on the seed alone. It is in `run.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2e_drive.scores.leaderboard import KINDS, RULES, Evidence, Score, score

_LABELS = {
    "score_composed": "Avg. driving score",
    "score_route": "Avg. route completion",
    "score_penalty": "Avg. infraction penalty",
    "collisions_pedestrian": "Collisions with pedestrians",
    "collisions_vehicle": "Collisions with vehicles",
    "collisions_layout": "Collisions with layout",
    "red_light": "Red lights infractions",
    "stop_infraction": "Stop sign infractions",
    "outside_route_lanes": "Off-road infractions",
    "route_dev": "Route deviations",
    "route_timeout": "Route timeouts",
    "vehicle_blocked": "Agent blocked",
    "yield_emergency_vehicle_infractions": "Yield emergency vehicles infractions",
    "scenario_timeouts": "Scenario timeouts",
    "min_speed_infractions": "Min speed infractions",
}  # in the order of the Leaderboard's table; the infractions are per driven kilometre
_FAILURES = {
    "route_dev": "Failed - Agent deviated from the route",
    "vehicle_blocked": "Failed - Agent got blocked",
    "route_timeout": "Failed - Agent timed out",
}


@dataclass(frozen=True)
class RouteRecord:
    """How one route went. infractions: kind -> one message each. crash: why the drive ended before its time
    (the world died, Ctrl-C), None if it ended by the rules. scenarios: types on the route. first_junction_pct: of the
    route, where its first junction is passed. bench2drive: see bench2drive.figures."""

    index: int
    route_id: str
    route_length_m: float
    duration_game_s: float  # simulated
    completion_pct: float
    infractions: dict[str, list[str]] = field(default_factory=dict)
    off_route_fraction: float = 0.0
    speed_ratios: tuple[float, ...] = ()
    crash: str | None = None
    scenarios: tuple[str, ...] = ()
    first_junction_pct: float | None = None
    bench2drive: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def evidence(self) -> Evidence:
        counts = {kind: len(messages) for kind, messages in self.infractions.items()}
        return Evidence(self.completion_pct, counts, self.off_route_fraction, self.speed_ratios)

    @property
    def status(self) -> str:
        if self.crash is not None:
            return f"Failed - {self.crash}"
        for kind, status in _FAILURES.items():
            if self.infractions.get(kind):
                return status
        if self.completion_pct < 100.0:
            return "Failed"
        # as the Leaderboard: too slow at a checkpoint does not spoil a perfect drive
        spoiled = any(messages for kind, messages in self.infractions.items() if kind != "min_speed_infractions")
        return "Completed" if spoiled else "Perfect"


def results_json(
    outcomes: Sequence[RouteRecord], total_routes: int, sensors: Sequence[str], rules: str = "2.0"
) -> dict[str, Any]:
    """The whole results file. sensors: the Leaderboard's names of what the agent uses."""
    scores = [score(outcome.evidence, RULES[rules]) for outcome in outcomes]
    records = [_record(outcome, result) for outcome, result in zip(outcomes, scores, strict=True)]
    mean = {
        key: _mean([r["scores"][key] for r in records]) for key in ("score_composed", "score_route", "score_penalty")
    }
    driven_km = sum(o.route_length_m * o.completion_pct / 100.0 for o in outcomes) / 1000.0
    per_km = {
        kind: _rounded(sum(len(o.infractions.get(kind, ())) for o in outcomes) / driven_km if driven_km else 0.0)
        for kind in KINDS
    }
    failed = [record for record in records if record["status"].startswith("Failed")]
    crashed = any(outcome.crash is not None for outcome in outcomes)
    return {
        "_checkpoint": {
            "global_record": {
                "index": -1,
                "route_id": -1,
                "status": "Failed"
                if failed
                else "Perfect"
                if all(r["status"] == "Perfect" for r in records)
                else "Completed",
                "infractions": per_km,
                "scores_mean": mean,
                "scores_std_dev": {key: _deviation([r["scores"][key] for r in records]) for key in mean},
                "meta": {
                    "total_length": _rounded(sum(outcome.route_length_m for outcome in outcomes)),
                    "duration_game": _rounded(sum(outcome.duration_game_s for outcome in outcomes)),
                    "exceptions": [[r["route_id"], r["index"], r["status"]] for r in failed],
                },
            },
            "progress": [len(records), total_routes],
            "records": records,
        },
        "entry_status": "Crashed" if crashed else "Finished" if len(records) == total_routes else "Started",
        "eligible": not crashed and len(records) == total_routes,
        "sensors": list(sensors),
        "values": [str(mean[key] if key in mean else per_km[key]) for key in _LABELS],
        "labels": list(_LABELS.values()),
        "rules": "Bench2Drive" if rules == "bench2drive" else f"CARLA Leaderboard {rules}",
    }


def results_text(results: dict[str, Any]) -> str:
    """The file's text: the same results are the same bytes."""
    return json.dumps(results, indent=2, sort_keys=True) + "\n"


def _record(outcome: RouteRecord, result: Score) -> dict[str, Any]:
    return {
        "index": outcome.index,
        "route_id": outcome.route_id,
        "status": outcome.status,
        "num_infractions": sum(len(messages) for messages in outcome.infractions.values()),
        "infractions": {kind: list(outcome.infractions.get(kind, ())) for kind in KINDS},
        "scores": {
            "score_route": _rounded(result.route),
            "score_penalty": _rounded(result.penalty),
            "score_composed": _rounded(result.composed),
        },
        "meta": {
            "route_length": _rounded(outcome.route_length_m),
            "duration_game": _rounded(outcome.duration_game_s),
        },
        # not the Leaderboard's: its readers pass over them
        "driving_scores": {name: _rounded(score(outcome.evidence, rules).composed) for name, rules in RULES.items()},
        "scenarios": list(outcome.scenarios),
        "first_junction_pct": outcome.first_junction_pct,
        "bench2drive": {
            name: None if value is None else _rounded(value) for name, value in outcome.bench2drive.items()
        },
    }


def _rounded(value: float) -> float:
    return round(value, 6)


def _mean(values: Sequence[float]) -> float:
    return _rounded(sum(values) / len(values)) if values else 0.0


def _deviation(values: Sequence[float]) -> float:
    """Sample standard deviation, 0 for a single route."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return _rounded((sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5)
