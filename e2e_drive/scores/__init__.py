"""How well a drive went, by the rules of the CARLA Leaderboard and of Bench2Drive."""

from e2e_drive.scores.bench2drive import Motion
from e2e_drive.scores.leaderboard import KINDS, RULES, Evidence, Rules, Score, score
from e2e_drive.scores.results import RouteRecord, results_json, results_text

__all__ = [
    "KINDS",
    "RULES",
    "Evidence",
    "Motion",
    "RouteRecord",
    "Rules",
    "Score",
    "results_json",
    "results_text",
    "score",
]
