"""Many cars share cells and edge servers: decentralised prices, decisions by menu, execution in virtual time."""

from scheduling.fleet.config import CellConfig, FleetConfig, PriceConfig, RiskConfig, TrafficConfig
from scheduling.fleet.menu import Menu, MenuEntry, build_menu
from scheduling.fleet.simulation import Decisions, Fleet, FleetReport, jain

__all__ = [
    "CellConfig",
    "Decisions",
    "Fleet",
    "FleetConfig",
    "FleetReport",
    "Menu",
    "MenuEntry",
    "PriceConfig",
    "RiskConfig",
    "TrafficConfig",
    "build_menu",
    "jain",
]
