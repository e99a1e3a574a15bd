"""Traffic outlives what the client library's TrafficManager does to it."""

from __future__ import annotations

import carla

from bev import Pose2D
from carla_bridge.traffic import CHECK_TICKS, Traffic

TICK_S, STUCK_S = 0.05, 90.0  # TrafficManager destroys who has stood for so long without a red light


def test_a_car_that_the_traffic_manager_takes_away_is_not_asked_again(world_port: int) -> None:
    client = carla.Client("127.0.0.1", world_port)
    client.set_timeout(60.0)
    world = client.get_world()
    world.apply_settings(carla.WorldSettings(True, False, TICK_S))
    traffic = Traffic(client, world, 3, seed=1, keep_clear=Pose2D(1e4, 1e4, 0.0))
    try:
        world.tick()
        traffic.ticked()
        stuck = traffic.actors[0]
        assert traffic._manager is not None
        traffic._hold_back()  # tells everybody their speed, so that nobody is told again
        traffic._manager.vehicle_percentage_speed_difference(traffic._cars[stuck][0], 100.0)
        for _ in range(round(1.5 * STUCK_S / TICK_S)):
            world.tick()
            traffic.ticked()
            if not world.get_snapshot().has_actor(stuck):
                break
        else:
            raise AssertionError("nobody was taken away")
        for _ in range(2 * CHECK_TICKS):
            world.tick()
            traffic.ticked()
        assert sorted(traffic._cars) == sorted(set(traffic.actors) - {stuck})
    finally:
        traffic.close()
