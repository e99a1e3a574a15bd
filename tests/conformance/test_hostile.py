"""Hostile and unlucky clients: the server stays up, and a healthy client beside them keeps its tick."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
import time

import carla
import msgpack
import psutil
import pytest
from conftest import DELTA_S
from fuzzing import Fuzzer, Hostile, subscribe

SHOWN_SLOWEST_TICK_S = 1.5  # beside a fuzzer, on a busy machine with two cores


def fuzz(world: carla.World, port: int, requests: int, subscriptions: int, seed: int) -> None:
    """Requests and subscriptions in turn, with a tick of the healthy client after every few."""
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    car = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    world.tick()
    ids = [*[actor.id for actor in world.get_actors()][-12:], car.id]
    fuzzer, hostile = Fuzzer(seed, ids), Hostile(port)
    every = max(1, requests // subscriptions)
    slowest_s = 0.0
    for number in range(requests):
        hostile.send(fuzzer.request())
        if number % every == 0:
            subscribe(port + 1, fuzzer.subscription())
        if number % 20 == 0:
            started = time.monotonic()
            world.tick()
            slowest_s = max(slowest_s, time.monotonic() - started)
        if number % 500 == 499:
            tidy(world)
    hostile.close()
    assert slowest_s < SHOWN_SLOWEST_TICK_S


def tidy(world: carla.World) -> None:
    """Take away what the fuzzer has spawned: a full world is slow by right."""
    for actor in world.get_actors():
        if actor.type_id.startswith(("vehicle.", "walker.", "static.", "sensor.")):
            actor.destroy()
    world.tick()


def test_mutated_requests(world: carla.World, world_port: int) -> None:
    frame = world.get_snapshot().frame
    fuzz(world, world_port, requests=2000, subscriptions=300, seed=1)
    assert world.get_snapshot().frame > frame + 100
    assert world.get_settings().synchronous_mode


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_mutated_requests(world: carla.World, world_port: int) -> None:
    process = listener_of(world_port)
    fuzz(world, world_port, requests=10_000, subscriptions=1_000, seed=2)  # caches fill
    before = process.memory_info().rss
    fuzz(world, world_port, requests=90_000, subscriptions=9_000, seed=3)
    assert process.memory_info().rss < before + 60 * 2**20


def listener_of(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp4"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise AssertionError(f"nobody listens on port {port}")


def test_a_client_that_never_reads_its_answers(world: carla.World, world_port: int) -> None:
    process = listener_of(world_port)
    before = process.memory_info().rss
    request = msgpack.packb([0, 1, "get_actor_definitions", [[False]]])
    with socket.create_connection(("127.0.0.1", world_port), timeout=0.5) as sock:
        with contextlib.suppress(TimeoutError):  # the server stops reading when its answers pile up
            for _ in range(20_000):
                sock.sendall(request * 20)
            pytest.fail("the server took in all requests though nobody read its answers")
        started = time.monotonic()
        for _ in range(20):
            world.tick()
        assert time.monotonic() - started < 5.0
        assert process.memory_info().rss < before + 100 * 2**20


def test_huge_announcements_reserve_nothing(world: carla.World, world_port: int) -> None:
    process = listener_of(world_port)
    before = process.memory_info().rss
    sockets = []
    for _ in range(30):
        sock = socket.create_connection(("127.0.0.1", world_port), timeout=5.0)
        sock.sendall(b"\x94\x00\x01" + b"\xdd\x7f\xff\xff\xff" * 500)
        sockets.append(sock)
    world.tick()
    assert process.memory_info().rss < before + 50 * 2**20
    for sock in sockets:
        sock.close()


SENSOR_CLIENT = """
import os, sys, carla
client = carla.Client("127.0.0.1", {port})
client.set_timeout(20.0)
world = client.get_world()
car = world.get_actors().filter("vehicle.*")[0]
blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
blueprint.set_attribute("image_size_x", "640"); blueprint.set_attribute("image_size_y", "480")
camera = world.spawn_actor(blueprint, carla.Transform(carla.Location(x=1.0, z=2.0)), attach_to=car)
got = []
camera.listen(got.append)
print("listening", flush=True)
while True:
    {loop}
"""


def start_client(port: int, loop: str) -> subprocess.Popen[str]:
    code = SENSOR_CLIENT.format(port=port, loop=loop)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    return process


@pytest.mark.parametrize("ticking", [True, False])
def test_a_client_killed_amid_its_pictures(
    world: carla.World, world_port: int, vehicle: carla.Vehicle, ticking: bool
) -> None:
    """Killed while it ticks, or while it only looks: the others go on."""
    process = start_client(world_port, "world.tick()" if ticking else "import time; time.sleep(1)")
    for _ in range(10):
        world.tick()
    process.send_signal(signal.SIGKILL)
    process.wait()
    started = time.monotonic()
    for _ in range(30):
        world.tick()
    assert time.monotonic() - started < 10.0


def test_a_stopped_client_is_waited_for_once(world: carla.World, world_port: int, vehicle: carla.Vehicle) -> None:
    """It takes nothing any more and does not hang up: patience ends after a few seconds, once."""
    process = start_client(world_port, "import time; time.sleep(1)")
    for _ in range(3):
        world.tick()
    process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(40):
            world.tick()
        first_s = time.monotonic() - started
        started = time.monotonic()
        for _ in range(20):
            world.tick()
        second_s = time.monotonic() - started
    finally:
        process.kill()
        process.wait()
    assert first_s < 15.0
    assert second_s < 3.0


def test_tokens_of_gone_clients_are_forgotten(world: carla.World, world_port: int) -> None:
    """A flood of token requests without sockets costs neither memory nor renderings."""
    process = listener_of(world_port)
    request = msgpack.packb([0, 1, "get_sensor_token", [[False], 1]])
    before = process.memory_info().rss
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", world_port), timeout=5.0) as sock:
            sock.sendall(request * 200)
            sock.recv(1 << 16)
        for _ in range(20):
            world.tick()
    assert process.memory_info().rss < before + 30 * 2**20


def test_unknown_tokens_are_refused(world: carla.World, world_port: int) -> None:
    with socket.create_connection(("127.0.0.1", world_port), timeout=5.0) as sock:
        for number in (0, 999_999, 2**32 - 1, -1, "1", None):
            sock.sendall(msgpack.packb([0, 7, "get_sensor_token", [[False], number]]))
            _, msgid, error, result = msgpack.unpackb(sock.recv(4096))
            assert (msgid, error, result[0][0]) == (7, None, 0)


def test_messages_in_pieces(world: carla.World, world_port: int) -> None:
    """Many requests in one segment, and one request in many."""
    several = b"".join(msgpack.packb([0, k, "version", [[False]]]) for k in range(50))
    chopper = random.Random(3)
    with socket.create_connection(("127.0.0.1", world_port), timeout=5.0) as sock:
        at = 0
        while at < len(several):
            size = chopper.choice((1, 2, 7, 40))
            sock.sendall(several[at : at + size])
            at += size
        unpacker, answers = msgpack.Unpacker(), []
        while len(answers) < 50:
            unpacker.feed(sock.recv(4096))
            answers += list(unpacker)
    assert [answer[1] for answer in answers] == list(range(50))
    assert DELTA_S > 0.0
