"""The remote procedures of CARLA 0.9.16 that the embedded world answers: one table, one module a subject."""

from __future__ import annotations

from carla_bridge.embedded.methods import (
    actors,
    batch,
    debug,
    episode,
    queries,
    recorder,
    scenery,
    signals,
    skeleton,
    traffic,
    unsupported,
    vehicles,
)
from carla_bridge.embedded.rpc import MethodTable

METHODS = MethodTable()
for _module in (episode, actors, vehicles, signals, queries, scenery, skeleton, traffic, batch, debug, recorder):
    METHODS.merge(_module.methods)
METHODS.fill(unsupported.methods)

__all__ = ["METHODS"]
