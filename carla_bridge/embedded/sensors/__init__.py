"""Sensors of the embedded world: cameras, GNSS, IMU, collision, in CARLA's encodings."""
