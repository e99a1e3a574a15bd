"""Mutated requests: valid ones of every method, changed at random in their values or in their bytes. Seeded."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from typing import Any

import msgpack

from carla_bridge.embedded.methods import METHODS

# Not called: a fuzzer that starts new episodes, or that stops the others' clock, tests nothing else any more.
LEFT_OUT = {"load_new_episode", "copy_opendrive_to_file", "set_episode_settings", "tick_cue", "replay_file"}
LEFT_OUT |= {"start_recorder"}  # writes files
POSE = [[10.0, 5.0, 1.0], [0.0, 90.0, 0.0]]
VECTOR = [1.0, 2.0, 0.5]
BOX = [VECTOR, VECTOR, VECTOR, 0]
CONTROL = [0.5, 0.1, 0.0, False, False, False, 1]
CAR = [1, "vehicle.tesla.model3", [["color", 5, "1,2,3"], ["role_name", 4, "hero"]]]
CAMERA = [1, "sensor.camera.rgb", [["image_size_x", 2, "64"], ["image_size_y", 2, "48"], ["fov", 3, "90"]]]
SHAPES = [
    [[0, [VECTOR, 0.1]], [255, 0, 0], 1.0, True],
    [[1, [VECTOR, VECTOR, 0.1]], [255, 0, 0], -1.0, True],
    [[2, [[VECTOR, VECTOR, 0.1], 0.1]], [255, 0, 0], 0.5, True],
    [[3, [BOX, VECTOR, 0.1]], [255, 0, 0], 0.5, True],
    [[4, [VECTOR, "text", False]], [255, 0, 0], 0.5, True],
]
# What a method is called with where `[actor id]` and `[actor id, vector]` would not do; ids are filled in later.
ID = "an id"
ARGUMENTS: dict[str, list[list[Any]]] = {
    "apply_batch": [
        [[[[index, [ID, payload]]] for index, payload in commands], False]
        for commands in (
            [(2, CONTROL), (8, VECTOR), (18, 5)],
            [(6, POSE), (14, True), (10, VECTOR), (19, VECTOR)],
            [(4, [VECTOR, 1.0, False]), (21, 2), (9, VECTOR)],
        )
    ]
    + [[[[[0, [CAR, POSE, [False], 0, "", [[[2, [0, CONTROL]]]]]]], [[1, [ID]]]], False]],
    "spawn_actor": [[CAR, POSE], [CAMERA, POSE]],
    "spawn_actor_with_parent": [[CAMERA, POSE, ID, 0, ""]],
    "get_actors_by_id": [[[ID, ID]]],
    "apply_control_to_vehicle": [[ID, CONTROL]],
    "apply_control_to_walker": [[ID, [VECTOR, 1.0, False]]],
    "set_actor_transform": [[ID, POSE]],
    "draw_debug_shape": [[shape] for shape in SHAPES],
    "set_weather_parameters": [[[10.0] * 14]],
    "cast_ray": [[VECTOR, VECTOR]],
    "project_point": [[VECTOR, VECTOR, 10.0]],
    "add_traffic_manager_running": [[["127.0.0.1", 9000]]],
    "update_lights_state": [["here", [[1, VECTOR, 1.0, 2, [1, 2, 3], True]], False]],
    "show_recorder_collisions": [["none.log", 97, 97]],
    "show_recorder_actors_blocked": [["none.log", 1.0, 1.0]],
    "show_recorder_file_info": [["none.log", True]],
    "request_file": [["../../etc/passwd"], ["/etc/passwd"]],
    "get_required_files": [["Nav"]],
    "enable_environment_objects": [[[1, 2], False]],
}
USUAL = [[], [ID], [ID, True], [ID, 1.0], [ID, 1], [ID, VECTOR], [ID, VECTOR, VECTOR], ["text"], [True]]
ODD: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**32 - 1, 2**63, -(2**63), 1e308, -1e38, 5e-324,
    float("nan"), float("inf"), -float("inf"), "", "x" * 3000, "\x00", "1,2", "-1", "../..",
    b"", b"\xff" * 40, [], {}, [[]], [None] * 20, {"a": 1}, {1: []},
]  # fmt: skip


class Fuzzer:
    def __init__(self, seed: int, actor_ids: list[int]) -> None:
        self._random = random.Random(seed)
        self._ids = actor_ids
        self._methods = sorted(set(METHODS.methods) - LEFT_OUT)

    def request(self) -> bytes:
        """One request, valid or not."""
        r = self._random
        name = r.choice(self._methods)
        arguments = self._filled(r.choice(ARGUMENTS.get(name, USUAL)))
        message: Any = [0, r.randrange(2**32), name, [[r.random() < 0.3], *arguments]]
        for _ in range(r.choice((0, 1, 1, 1, 2, 4))):
            message[3] = self._bent(message[3])
        if r.random() < 0.02:
            message = self._bent(message)
        if r.random() < 0.01:
            for _ in range(r.choice((50, 600, 3000))):
                message = [message]
        try:
            packed = bytearray(msgpack.packb(message))
        except (ValueError, OverflowError):  # nested too deep for the packer
            packed = bytearray(b"\x91" * r.choice((50, 600, 3000)))
        if r.random() < 0.05:
            self._break(packed)
        return bytes(packed)

    def subscription(self) -> bytes:
        """What a streaming client says first."""
        r = self._random
        number = r.choice((r.randrange(40), r.randrange(2**32), 0, 1, 2**32 - 1))
        return struct.pack("<I", number)[: r.choice((4, 4, 4, 1, 2, 3, 0))] + r.choice((b"", b"", b"more", bytes(100)))

    def _filled(self, value: Any) -> Any:
        if value == ID:
            return self._random.choice(self._ids)
        return [self._filled(part) for part in value] if isinstance(value, list) else value

    def _bent(self, value: Any) -> Any:
        """The value with one part of it, somewhere inside, replaced, left out, doubled or nudged."""
        r = self._random
        if isinstance(value, list) and value and r.random() < 0.85:
            at = r.randrange(len(value))
            how = r.random()
            if how < 0.08:
                return value[:at] + value[at + 1 :]
            if how < 0.16:
                return value[: at + 1] + value[at:]
            return [*value[:at], self._bent(value[at]), *value[at + 1 :]]
        if isinstance(value, float) and r.random() < 0.5:
            return value * r.choice((-1.0, 1e3, 1e9, 1e30, -1e300, 1e-30))
        return r.choice(ODD)

    def _break(self, packed: bytearray) -> None:
        r = self._random
        for _ in range(r.choice((1, 1, 4))):
            at = r.randrange(len(packed))
            how = r.random()
            if how < 0.6:
                packed[at] = r.randrange(256)
            elif how < 0.8:
                del packed[at:]
                packed += b"\xdd\x7f\xff\xff\xff"  # an array of two thousand million
            else:
                packed[at:at] = r.choice(
                    (b"\xc6\xff\xff\xff\xff", b"\xdb\x7f\xff\xff\xff", b"\xc1", b"\xdf\xff\xff\xff\xff")
                )


class Hostile:
    """Sends to the RPC port what a fuzzer makes; connects anew whenever the server hangs up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.hung_up = 0

    def send(self, data: bytes, patience_s: float = 0.02) -> None:
        """Send, and read away what there is of answers: a client that never reads is another test."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=20.0)
            self._socket.settimeout(20.0)
            self._socket.sendall(data)
            self._socket.settimeout(patience_s)
            if not self._socket.recv(1 << 20):
                raise ConnectionError
        except TimeoutError:  # an incomplete message: the server waits for the rest, others need a fresh connection
            self.close()
        except OSError:
            self.hung_up += 1
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def subscribe(port: int, data: bytes) -> None:
    """A streaming client that says something and goes away."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20.0) as sock:
        sock.sendall(data)
        sock.settimeout(0.001)
        sock.recv(64)
