"""Wire structures byte by byte: the client crashes on a wrong stream payload instead of raising."""

from __future__ import annotations

import struct

import msgpack
import numpy as np
import pytest

from carla_bridge.embedded import messages
from carla_bridge.embedded.messages import EpisodeSettings, SensorType, pack_weather, unpack_weather
from carla_bridge.embedded.sensors.encodings import decode_depth, encode_depth, encode_instances, encode_labels
from carla_bridge.embedded.stream import token
from carla_bridge.embedded.types import Pose, Weather


def test_token() -> None:
    assert token(7, 2001) == struct.pack("<IHBB", 7, 2001, 1, 0) + bytes(16)


def test_sensor_and_image_headers() -> None:
    header = messages.sensor_header(SensorType.RGB, 42, 2.5, Pose(1, 2, 3, 4, 5, 6))
    assert header == struct.pack("<QQd6f", 13, 42, 2.5, 1, 2, 3, 4, 5, 6)
    assert len(header) == 48
    assert messages.image_header(256, 128, 96.0) == struct.pack("<IIf", 256, 128, 96.0)


def test_snapshot_header() -> None:
    header = messages.snapshot_header(42, 2.5, 9, 1e9, 0.05, messages.MAP_CHANGE)
    assert header[:48] == struct.pack("<QQd6f", 17, 42, 2.5, *[0.0] * 6)
    assert header[48:] == struct.pack("<Qdf3iI", 9, 1e9, 0.05, 0, 0, 0, 1)
    assert len(header) == 84


def test_actor_states_are_119_bytes() -> None:
    pose, v, w, a = Pose(1, 2, 3, 4, 5, 6), (7.0, 8.0, 9.0), (10.0, 11.0, 12.0), (13.0, 14.0, 15.0)
    vehicle = messages.VEHICLE_STATE.pack(0.5, -0.25, 1.0, True, False, True, -1, 50.0, 3, True, 77, 0)
    light = messages.light_union("signal", 7.0, 2.5, 1.0, 0.25, 3, True, 2)
    walker = messages.WALKER_STATE.pack(1.0, 0.0, 0.0, 1.4, False)
    head = struct.pack("<IB", 5, 1) + struct.pack("<15f", *range(1, 16))
    unions = {
        vehicle: struct.pack("<3f3BifBBIB", 0.5, -0.25, 1.0, 1, 0, 1, -1, 50.0, 3, 1, 77, 0).ljust(54, b"\0"),
        light: b"signal".ljust(32, b"\0") + struct.pack("<4fIBB", 7.0, 2.5, 1.0, 0.25, 3, 1, 2),
        walker: struct.pack("<4fB", 1.0, 0.0, 0.0, 1.4, 0).ljust(54, b"\0"),
    }
    for union, expected in unions.items():
        record = messages.actor_state(5, pose, v, w, a, union)
        assert record == head + expected
        assert len(record) == 119


def test_long_signal_ids_stay_c_strings() -> None:
    assert messages.light_union("s" * 40, 1, 1, 1, 0, 0, False, 0)[:32] == b"s" * 31 + b"\0"


def test_actor_record_uses_bin_for_bytes() -> None:
    record = messages.pack_actor(3, 0, 1, "a.b", {"k": (4, "v")}, (0, 0, 1), (2, 1, 1), (0, 0, 0), (14,), b"\1" * 24)
    assert msgpack.unpackb(msgpack.packb(record)) == [
        3,
        0,
        [1, "a.b", [["k", 4, "v"]]],
        [[0, 0, 1], [2, 1, 1], [0, 0, 0], 3],
        b"\x0e",
        b"\1" * 24,
    ]


@pytest.mark.parametrize("delta", [None, 0.05])
def test_settings_round_trip(delta: float | None) -> None:
    settings = EpisodeSettings(True, False, delta)
    wire = msgpack.unpackb(msgpack.packb(settings.pack()))
    assert wire[2] == ([False] if delta is None else [True, delta])
    assert len(wire) == 11
    assert EpisodeSettings.unpack(wire) == settings
    assert EpisodeSettings.unpack([True, False, [True, 0.0], *wire[3:]]).fixed_delta_seconds is None


def test_weather_has_14_fields() -> None:
    assert len(pack_weather(Weather())) == 14
    assert unpack_weather(pack_weather(Weather())) == Weather()


def test_depth_encoding() -> None:
    depth = np.array([[0.0, 1000.0, 2000.0, 500.0, 3.0]], np.float32)
    bgra = encode_depth(depth)
    assert bgra.shape == (1, 5, 4)
    assert bgra[0, 0].tolist() == [0, 0, 0, 255]
    assert bgra[0, 1].tolist() == bgra[0, 2].tolist() == [255, 255, 255, 255]
    steps = round(3.0 / 1000.0 * (2**24 - 1))
    assert bgra[0, 4].tolist() == [steps >> 16, (steps >> 8) & 255, steps & 255, 255]
    assert np.abs(decode_depth(bgra) - np.minimum(depth, 1000.0)).max() < 3.1e-5


def test_label_encodings() -> None:
    labels, ids = np.array([[14, 24]], np.uint8), np.array([[0x0102, 0]], np.uint32)
    assert encode_labels(labels).tolist() == [[[0, 0, 14, 255], [0, 0, 24, 255]]]
    assert encode_instances(labels, ids).tolist() == [[[1, 2, 14, 255], [0, 0, 24, 255]]]
