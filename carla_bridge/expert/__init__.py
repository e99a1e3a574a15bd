"""The privileged driver: what it decides, and why."""

from carla_bridge.convert import compose
from carla_bridge.expert.driver import Expert, expert_of
from carla_bridge.expert.speeds import bend_speeds, speed_distribution
from carla_bridge.expert.types import ExpertConfig, ExpertDecision, GoverningLight, GoverningStop

__all__ = [
    "Expert",
    "ExpertConfig",
    "ExpertDecision",
    "GoverningLight",
    "GoverningStop",
    "bend_speeds",
    "compose",
    "expert_of",
    "speed_distribution",
]
