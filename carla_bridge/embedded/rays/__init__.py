"""Rays against the town and its actors: lidar, radar, lines of sight."""

from carla_bridge.embedded.rays.scene import Hits, RayFrame, RayScene

__all__ = ["Hits", "RayFrame", "RayScene"]
