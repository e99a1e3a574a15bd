"""The server's life: it ends with its parent, and on a signal; --fixed-delta starts it standing still."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from subprocess import Popen

import carla
import psutil

Start = Callable[..., "tuple[Popen[str], int]"]


def test_ends_with_its_parent(start_world: Start) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process, port = start_world("--parent", str(parent.pid), "--fixed-delta", "0.05")
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(10.0)
    world = client.get_world()
    assert (world.get_snapshot().frame, world.get_settings().synchronous_mode) == (0, True)
    assert world.tick() == 1
    parent.kill()
    parent.wait()
    assert process.wait(5.0) == 0


def test_ends_on_a_signal_and_frees_its_ports(start_world: Start) -> None:
    process, port = start_world()
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port + 1)):
        process.send_signal(signal.SIGINT)
        assert process.wait(5.0) == 0
    for freed in (port, port + 1):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", freed))


def test_unknown_town_is_one_line() -> None:
    command = [sys.executable, "-m", "carla_bridge.embedded", "--port", "0", "--town", "Nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Nowhere" in result.stderr


def test_ends_at_once_while_it_starts() -> None:
    process = subprocess.Popen([sys.executable, "-m", "carla_bridge.embedded", "--port", "0"])
    time.sleep(1.5)  # importing or loading
    process.terminate()
    process.wait(5.0)


def test_binds_to_loopback_unless_told_otherwise(start_world: Start) -> None:
    for options, expected in (((), "127.0.0.1"), (("--host", "0.0.0.0"), "0.0.0.0")):
        process, port = start_world(*options)
        listening = [c for c in psutil.Process(process.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert port in {c.laddr.port for c in listening}
        assert len(listening) == 2  # and the streams, on the next port or, where that is taken, on another
        assert {c.laddr.ip for c in listening} == {expected}
