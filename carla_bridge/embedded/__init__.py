"""An embedded world that speaks CARLA 0.9.16's network protocol: `python -m carla_bridge.embedded`."""
