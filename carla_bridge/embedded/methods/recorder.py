"""Recording, what recordings tell, and replaying them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from carla_bridge.embedded import recording_reports as reports
from carla_bridge.embedded.atlas import in_a_thread
from carla_bridge.embedded.messages import Wire, number, unpack_pose
from carla_bridge.embedded.recordings import Recording, RecordingError, path_of, read
from carla_bridge.embedded.rpc import Call, CarlaError, MethodTable
from carla_bridge.embedded.types import Pose

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

methods = MethodTable()


@methods.value
def start_recorder(call: Call[Server], name: str, additional_data: bool = False) -> str:
    """Answers with the file's path. There is no additional data: the usual data are all that there is."""
    try:
        return str(call.server.tapes.start_recorder(name, call.server.world))
    except RecordingError as error:
        raise CarlaError(str(error)) from error


@methods.void
def stop_recorder(call: Call[Server]) -> None:
    call.server.tapes.stop_recorder()


@methods.value
def show_recorder_file_info(call: Call[Server], name: str, everything: bool = False) -> Awaitable[str]:
    call.server.tapes.flush()
    return in_a_thread(lambda: reports.file_info(_read(call.server, name), everything=bool(everything)))


@methods.value
def show_recorder_collisions(call: Call[Server], name: str, first: int, second: int) -> Awaitable[str]:
    """The kinds of actors travel as character codes."""
    call.server.tapes.flush()
    return in_a_thread(lambda: reports.collisions(_read(call.server, name), chr(first), chr(second)))


@methods.value
def show_recorder_actors_blocked(
    call: Call[Server], name: str, least_time_s: float = 60.0, least_distance_cm: float = 100.0
) -> Awaitable[str]:
    call.server.tapes.flush()
    time_s, distance_cm = number(least_time_s), number(least_distance_cm)
    return in_a_thread(lambda: reports.blocked(_read(call.server, name), time_s, distance_cm))


@methods.value
async def replay_file(
    call: Call[Server],
    name: str,
    start_s: float = 0.0,
    duration_s: float = 0.0,
    follow_id: int = 0,
    replay_sensors: bool = False,
    offset: Wire = None,
) -> str:
    """Sensors are not part of a recording."""
    start, duration = number(start_s), number(duration_s)
    call.server.tapes.flush()
    behind = Pose(-10.0, 0.0, 5.0, -25.0) if offset is None else unpack_pose(offset)
    recording = await in_a_thread(lambda: _read(call.server, name))
    server = call.server
    replay = server.tapes.start_replay(recording, server.world, start, duration, follow_id, behind)
    left_out = f"\n{replay.left_out} actors were left out: there is no room for them" if replay.left_out else ""
    return (
        f"Replaying file: {name}\n\nTotal time recorded: {recording.duration_s:g}\n"
        f"Replaying from {replay.begin_s:g} s to {replay.end_s:g} s{left_out}\n"
    )


@methods.void
def stop_replayer(call: Call[Server], keep_actors: bool = False) -> None:
    call.server.tapes.stop_replay(keep_actors=bool(keep_actors))


@methods.void
def set_replayer_time_factor(call: Call[Server], factor: float) -> None:
    call.server.tapes.time_factor = max(0.0, number(factor))


@methods.void
def set_replayer_ignore_hero(call: Call[Server], ignore: bool) -> None:
    call.server.tapes.ignore_hero = bool(ignore)


@methods.void
def set_replayer_ignore_spectator(call: Call[Server], ignore: bool) -> None:
    """The spectator is moved only to follow an actor, never along its own recorded way."""


def _read(server: Server, name: str) -> Recording:
    try:
        recording = read(path_of(server.tapes.folder, name))
    except RecordingError as error:
        raise CarlaError(str(error)) from error
    if not recording.frames:
        raise CarlaError(f"recording {name!r} is empty")
    return recording
