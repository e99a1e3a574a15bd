"""How well a drive went, by the CARLA Leaderboard's rules."""

from e2e_drive.scores.leaderboard import KINDS, RULES, Evidence, Rules, Score, score
from e2e_drive.scores.results import RouteRecord, results_json, results_text

__all__ = ["KINDS", "RULES", "Evidence", "RouteRecord", "Rules", "Score", "results_json", "results_text", "score"]
