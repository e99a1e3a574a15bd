"""What a stranger's script looks like: `import carla` and the standard library, nothing of ours.

usage: plain_carla_script.py PORT [TICKS [TOWN]]
50 vehicles on autopilot, 30 walkers with the client's own pedestrian AI, six cameras and a lidar on one car.
Prints one line that the test reads.
"""

import queue
import random
import socket
import sys

import carla

VEHICLES, WALKERS = 50, 30
CAMERAS = (
    ("sensor.camera.rgb", 0),
    ("sensor.camera.rgb", 120),
    ("sensor.camera.rgb", -120),
    ("sensor.camera.depth", 0),
    ("sensor.camera.semantic_segmentation", 0),
    ("sensor.camera.instance_segmentation", 0),
)


def spawn_vehicles(client, world, traffic_manager, rng):
    blueprints = [b for b in world.get_blueprint_library().filter("vehicle.*") if b.get_attribute("base_type") == "car"]
    points = world.get_map().get_spawn_points()
    rng.shuffle(points)
    batch = []
    for point in points[:VEHICLES]:
        blueprint = rng.choice(blueprints)
        blueprint.set_attribute("color", rng.choice(blueprint.get_attribute("color").recommended_values))
        batch.append(
            carla.command.SpawnActor(blueprint, point).then(
                carla.command.SetAutopilot(carla.command.FutureActor, True, traffic_manager.get_port())
            )
        )
    answers = client.apply_batch_sync(batch, True)
    return [answer.actor_id for answer in answers if not answer.error]


def spawn_walkers(client, world, rng):
    world.set_pedestrians_seed(3)
    world.set_pedestrians_cross_factor(0.2)
    blueprints = world.get_blueprint_library().filter("walker.pedestrian.*")
    walkers, speeds = [], []
    for _ in range(10):  # two may be asked for in one place: try the rest again
        batch = []
        tried = []
        for _ in range(WALKERS - len(walkers)):
            blueprint = rng.choice(blueprints)
            tried.append(float(blueprint.get_attribute("speed").recommended_values[1]))
            location = world.get_random_location_from_navigation()
            location.z += 1.0
            batch.append(carla.command.SpawnActor(blueprint, carla.Transform(location)))
        for answer, speed in zip(client.apply_batch_sync(batch, True), tried, strict=True):
            if not answer.error:
                walkers.append(answer.actor_id)
                speeds.append(speed)
        if len(walkers) == WALKERS:
            break
    controller = world.get_blueprint_library().find("controller.ai.walker")
    answers = client.apply_batch_sync(
        [carla.command.SpawnActor(controller, carla.Transform(), walker) for walker in walkers], True
    )
    controllers = world.get_actors([answer.actor_id for answer in answers])
    world.tick()
    for walking, speed in zip(controllers, speeds, strict=True):
        walking.start()
        walking.go_to_location(world.get_random_location_from_navigation())
        walking.set_max_speed(speed)
    return walkers, controllers


def attach_sensors(world, car):
    sensors, queues = [], []
    library = world.get_blueprint_library()
    for kind, yaw in (*CAMERAS, ("sensor.lidar.ray_cast", 0)):
        blueprint = library.find(kind)
        if "camera" in kind:
            blueprint.set_attribute("image_size_x", "320")
            blueprint.set_attribute("image_size_y", "180")
        else:
            blueprint.set_attribute("channels", "32")
            blueprint.set_attribute("points_per_second", "200000")
            blueprint.set_attribute("rotation_frequency", "20")
        mount = carla.Transform(carla.Location(x=0.5, z=2.2), carla.Rotation(yaw=yaw))
        sensor = world.spawn_actor(blueprint, mount, attach_to=car)
        data = queue.Queue()
        sensor.listen(data.put)
        sensors.append(sensor)
        queues.append(data)
    return sensors, queues


def main():
    port = int(sys.argv[1])
    ticks = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    rng = random.Random(11)
    client = carla.Client("localhost", port)
    client.set_timeout(30.0)
    world = client.load_world(sys.argv[3]) if len(sys.argv) > 3 else client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode = True
    settings.fixed_delta_seconds = 0.05
    world.apply_settings(settings)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    traffic_manager = client.get_trafficmanager(free)
    traffic_manager.set_synchronous_mode(True)
    traffic_manager.set_random_device_seed(5)

    vehicles = spawn_vehicles(client, world, traffic_manager, rng)
    walkers, controllers = spawn_walkers(client, world, rng)
    actors = {actor.id: actor for actor in world.get_actors()}
    sensors, queues = attach_sensors(world, actors[vehicles[0]])
    start = {number: actors[number].get_location() for number in vehicles + walkers}
    received, points = [0] * len(queues), 0
    for _ in range(ticks):
        frame = world.tick()
        for number, data in enumerate(queues):
            while True:
                measurement = data.get(timeout=30.0)
                if measurement.frame == frame:
                    break
            received[number] += 1
        points += len(measurement)
    moved = {number: start[number].distance(actors[number].get_location()) > 2.0 for number in start}
    print(
        f"vehicles={len(vehicles)} moved={sum(moved[n] for n in vehicles)} "
        f"walkers={len(walkers)} moved={sum(moved[n] for n in walkers)} "
        f"frames={min(received)} lidar_points={points}"
    )
    for sensor in sensors:
        sensor.stop()
        sensor.destroy()
    for walking in controllers:
        walking.stop()
    traffic_manager.shut_down()
    client.apply_batch([carla.command.DestroyActor(n) for n in [c.id for c in controllers] + walkers + vehicles])
    settings.synchronous_mode = False
    settings.fixed_delta_seconds = None
    world.apply_settings(settings)


if __name__ == "__main__":
    main()
