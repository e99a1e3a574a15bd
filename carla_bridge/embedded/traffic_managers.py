"""Traffic managers live in client processes; the server introduces them to clients, and guards them against a race.

In synchronous mode the manager's thread asks for the episode's settings and then waits for the client's `world.tick()`,
which wakes it when the snapshot is there - without holding the lock that would make this safe
(LibCarla/source/carla/trafficmanager/TrafficManagerLocal.cpp of the public carla repository). A wake-up that comes
just as the thread goes to sleep is lost, and the client hangs for ever. Two things help:

The gap: a snapshot comes no sooner than GAP_S behind the answer to that question, when the thread is usually asleep.
Measured without any gap on two busy cores: a hang in some hundred ticks; with gaps of 0.2 to 1 ms alike: one in some
ten thousand, whenever the thread is preempted at the wrong place.

The watch: a client that has been told of its tick and whose manager, other than in the ticks before, does not go on to
its next request is asked over the manager's own port whether it is alive. If it is and still silent, the manager is
switched to asynchronous mode and back, which wakes the thread (the only thing in the manager that does so without
waiting itself); it then takes the very step that it had missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field

import msgpack

from carla_bridge.embedded.once import Once
from carla_bridge.embedded.rpc import REQUEST, Connection

log = logging.getLogger(__name__)
once = Once(log)

GAP_S = 0.0005  # [wall s]
SETTINGS_WAIT_S = 0.0003  # [wall s] the question comes about when the tick does: the step waits this long for it
WATCH_EVERY_S = 0.1  # [wall s]
PATIENCE_S = 0.5  # [wall s] from the snapshot to the manager's next request; hundreds of cars take less
ANSWER_LIMIT_S = 1.0  # [wall s]
QUESTION = "get_episode_settings"
FIRST_REQUEST, LAST_REQUEST = "get_vehicle_light_states", "apply_batch"  # of a manager's step


@dataclass
class _Client:
    """A client that runs a traffic manager and ticks the world."""

    managers_step: bool = False  # its manager took a step after the tick before this one
    told_at: float | None = None  # of its last tick [wall s], monotonic
    heard: set[str] = field(default_factory=set)  # what it has asked for since


class TrafficManagers:
    """The registered managers, by port."""

    def __init__(self) -> None:
        self._owners: dict[int, tuple[str, Connection]] = {}  # port -> (host, who registered it)
        self._clients: dict[Connection, _Client] = {}
        self._settings_asked = False  # since the last snapshot
        self._settings_answered_at = 0.0  # [wall s] monotonic

    def __bool__(self) -> bool:
        return bool(self._owners)

    def host(self, port: int) -> str | None:
        entry = self._owners.get(port)
        return None if entry is None else entry[0]

    def add(self, port: int, host: str, owner: Connection) -> bool:
        """False when that port is taken."""
        if port in self._owners:
            return False
        self._owners[port] = host, owner
        self._clients.setdefault(owner, _Client())
        owner.heard = self._clients[owner].heard
        return True

    def remove(self, port: int) -> None:
        self._owners.pop(port, None)
        self._clean()

    def forget(self, owner: Connection) -> None:
        """A client is gone, and its managers with it."""
        self._owners = {port: entry for port, entry in self._owners.items() if entry[1] is not owner}
        self._clean()

    def _clean(self) -> None:
        owners = {owner for _, owner in self._owners.values()}
        for gone in self._clients.keys() - owners:
            gone.heard = None
            del self._clients[gone]

    # ------------------------------------------------------------------------------------------------ the gap

    @property
    def settings_expected(self) -> bool:
        """A manager has not asked for the settings yet, which it does once a tick."""
        return bool(self._owners) and not self._settings_asked

    def settings_asked(self) -> None:
        self._settings_asked, self._settings_answered_at = True, time.monotonic()

    def snapshot_sent(self) -> None:
        self._settings_asked = False

    def wait_s(self, asked_at: float) -> float:
        """How long the snapshot of a tick that was asked for then has to be held back [wall s]."""
        if not self._owners:
            return 0.0
        since = self._settings_answered_at if self._settings_asked else asked_at
        return since + GAP_S - time.monotonic()

    # ---------------------------------------------------------------------------------------------- the watch

    def tick_asked(self, connection: Connection) -> None:
        client = self._clients.get(connection)
        if client is not None:
            client.managers_step = FIRST_REQUEST in client.heard and LAST_REQUEST in client.heard
            client.told_at = None

    def tick_told(self, connection: Connection) -> None:
        """The client has been sent everything of its tick."""
        client = self._clients.get(connection)
        if client is not None:
            client.heard.clear()
            client.told_at = time.monotonic()

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            for port, (_, owner) in sorted(self._owners.items()):
                client = self._clients[owner]
                if _silent(client):
                    client.told_at = time.monotonic()  # patience begins anew
                    await self._wake(owner, client, port)
                    break  # the managers may be others now

    async def _wake(self, owner: Connection, client: _Client, port: int) -> None:
        """Asks and wakes the manager. Only the client's own address is called, whatever host it has registered."""
        if owner.peer_host is None:
            return
        with contextlib.suppress(OSError, asyncio.TimeoutError, ValueError):
            reader, writer = await asyncio.wait_for(asyncio.open_connection(owner.peer_host, port), ANSWER_LIMIT_S)
            try:
                writer.write(_request(0, "health_check_remote_TM"))
                await asyncio.wait_for(reader.read(4096), ANSWER_LIMIT_S)
                if not _quiet(client):  # it was only slow
                    return
                writer.write(_request(1, "set_synchronous_mode", False) + _request(2, "set_synchronous_mode", True))
                await asyncio.wait_for(reader.read(4096), ANSWER_LIMIT_S)
                once.warn("wake", "a traffic manager had missed its wake-up and was woken")
            finally:
                writer.close()


def _silent(client: _Client) -> bool:
    told_at = client.told_at
    overdue = told_at is not None and time.monotonic() - told_at > PATIENCE_S
    return client.managers_step and overdue and _quiet(client)


def _quiet(client: _Client) -> bool:
    return client.heard <= {QUESTION}


def _request(number: int, name: str, *arguments: object) -> bytes:
    packed = msgpack.packb([REQUEST, number, name, list(arguments)])
    assert isinstance(packed, bytes)
    return packed
