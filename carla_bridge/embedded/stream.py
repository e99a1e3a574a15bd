"""The streaming port: tokens, subscriptions, and length-prefixed messages.

A client first asks for a token over RPC (`announce` here), then opens a socket and sends the stream's number; from then
on the server writes `size u32, payload`. Between the two, messages are kept back for it: a client that says
`sensor.listen(); world.tick()` must not miss the frame of that tick.

Slow readers. Asynchronous mode: a reader that has not taken the last message yet does not get the next one.
Synchronous mode: a frame waits for its readers, as in CARLA, but a reader that does not take a mebibyte in PATIENCE_S
(a stopped process, a dead line) is hung up, so that it holds up the others once and not for ever; when it comes back to
life its client library connects again by itself. Snapshots of the world wait for nobody: a reader that is
MAX_SNAPSHOTS_BEHIND loses the oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field

from carla_bridge.embedded.once import Once

log = logging.getLogger(__name__)
once = Once(log)

ANNOUNCEMENT_LIFETIME_S = 10.0  # wall clock: a token asked for and never used stops costing renderings
ANNOUNCEMENT_BYTES = 256 * 1024 * 1024
MAX_ANNOUNCEMENTS = 64  # of one stream; a client that asks for more tokens than it opens sockets loses the oldest
PATIENCE_S = 3.0  # wall clock
CHUNK_BYTES = 1024 * 1024
MAX_SNAPSHOTS_BEHIND = 256
MAX_SOCKETS = 2048
GREETING_LIMIT_S = 10.0  # wall clock: who opens a socket says which stream it wants
SEND_BUFFER_BYTES = 4 * 1024 * 1024
TOKEN = struct.Struct("<IHBB16s")
TCP, ADDRESS_OF_THE_RPC_HOST = 1, 0
SIZE = struct.Struct("<I")

Message = tuple[bytes | memoryview, ...]  # parts of one payload, sent one after the other without joining them


def token(stream_id: int, port: int) -> bytes:
    """The 24 bytes that tell a client where a stream is; it uses the host it already talks to."""
    return TOKEN.pack(stream_id, port, TCP, ADDRESS_OF_THE_RPC_HOST, b"")


@dataclass
class _Announcement:
    """Messages kept back for a client that has its token but no socket yet."""

    deadline: float
    owner: object  # the connection that asked for the token
    messages: deque[Message] = field(default_factory=deque)
    size: int = 0

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self.size += _length(message)
        while self.size > ANNOUNCEMENT_BYTES:
            self.size -= _length(self.messages.popleft())


class _Subscriber:
    """One streaming socket, with the messages it has not been sent yet."""

    def __init__(self, sock: socket.socket, backlog: deque[Message], most: int | None = None) -> None:
        """most: how many messages it may be behind."""
        self._sock = sock
        self._queue = backlog
        self._most = most
        self._progress_at = time.monotonic()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._end = asyncio.Event()
        if self._queue:
            self._wake.set()
        else:
            self._idle.set()

    @property
    def busy(self) -> bool:
        return not self._idle.is_set()

    def send(self, message: Message) -> None:
        if self._end.is_set():
            return
        if not self.busy:
            self._progress_at = time.monotonic()
            if self._sent_at_once(message):
                return
        self._queue.append(message)
        if self._most is not None and len(self._queue) > self._most:
            del self._queue[1]  # the first may be half sent
        self._idle.clear()
        self._wake.set()

    async def flushed(self) -> None:
        """Wait until all is sent, or hang up on a reader that takes nothing."""
        while self.busy:
            patience_s = self._progress_at + PATIENCE_S - time.monotonic()
            if patience_s <= 0.0:
                once.warn("patience", "hung up on a client that did not read its sensors for %.0f s", PATIENCE_S)
                self.close()
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), patience_s)

    def close(self) -> None:
        """End `run`, which closes the socket once nothing waits on it any more."""
        self._queue.clear()
        self._idle.set()
        self._end.set()

    async def run(self) -> None:
        """Send what is queued until the client goes away (it never writes again: any event on reading is the end)."""
        loop = asyncio.get_running_loop()
        gone = asyncio.ensure_future(loop.sock_recv(self._sock, 1))
        sending = asyncio.ensure_future(self._send_queued(loop))
        ending = asyncio.ensure_future(self._end.wait())
        tasks = (gone, sending, ending)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_queued(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            await self._wake.wait()
            while self._queue:
                for part in _framed(self._queue.popleft()):
                    for start in range(0, len(part), CHUNK_BYTES):
                        await loop.sock_sendall(self._sock, memoryview(part)[start : start + CHUNK_BYTES])
                        self._progress_at = time.monotonic()
            self._wake.clear()
            self._idle.set()

    def _sent_at_once(self, message: Message) -> bool:
        """Hand the message to the kernel if it takes all of it; the rest of a part-sent one goes to the queue."""
        parts = [memoryview(part) for part in _framed(message)]
        try:
            sent = self._sock.sendmsg(parts)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return True
        rest: list[memoryview] = []
        for part in parts:
            if sent < len(part):
                rest.append(part[sent:])
            sent = max(0, sent - len(part))
        if rest:
            self._queue.appendleft(_Unframed(rest))
            self._idle.clear()
            self._wake.set()
        return True


class _Unframed(tuple):
    """The unsent end of a message whose size field has gone out already."""


def _framed(message: Message) -> Message:
    return message if isinstance(message, _Unframed) else (SIZE.pack(_length(message)), *message)


def _length(message: Message) -> int:
    return sum(len(part) for part in message)


@dataclass
class Stream:
    """One stream: whoever listens to it gets every message."""

    number: int
    greet: bool = False  # give newcomers the latest message at once
    latest: Message | None = None
    announcements: deque[_Announcement] = field(default_factory=deque)
    subscribers: list[_Subscriber] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Does anyone listen, or is about to?"""
        self._expire()
        return bool(self.subscribers) or bool(self.announcements)

    @property
    def busy(self) -> bool:
        """Has a listener not taken all that was sent?"""
        return any(subscriber.busy for subscriber in self.subscribers)

    def _expire(self) -> None:
        while self.announcements and self.announcements[0].deadline < time.monotonic():
            self.announcements.popleft()

    def send(self, message: Message, *, drop_for_slow_readers: bool) -> None:
        self._expire()
        if self.greet:  # which is all that a newcomer needs
            self.latest = message
        else:
            for announcement in self.announcements:
                announcement.add(message)
        for subscriber in self.subscribers:
            if not (drop_for_slow_readers and subscriber.busy):
                subscriber.send(message)

    def announce(self, owner: object) -> None:
        """A socket will come: keep the messages for it from now on."""
        self.announcements.append(_Announcement(time.monotonic() + ANNOUNCEMENT_LIFETIME_S, owner))
        while len(self.announcements) > MAX_ANNOUNCEMENTS:
            self.announcements.popleft()

    async def taken_up(self, limit_s: float) -> None:
        """Wait until every announced socket has come (or the time is up) and has been sent what was kept for it."""
        deadline = time.monotonic() + limit_s
        self._expire()
        while self.announcements and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        await self.flushed()

    async def flushed(self) -> None:
        """Wait until every listener has taken what was sent: back-pressure of the synchronous mode."""
        for subscriber in tuple(self.subscribers):
            if subscriber.busy:
                await subscriber.flushed()


class StreamHub:
    """All streams behind one port. Stream numbers are never used twice."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def open(self, *, greet: bool = False) -> Stream:
        stream = Stream(next(self._numbers), greet)
        self._streams[stream.number] = stream
        return stream

    def get(self, number: int) -> Stream | None:
        return self._streams.get(number)

    def close(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        for subscriber in stream.subscribers if stream else ():
            subscriber.close()

    def token(self, number: int) -> bytes:
        return token(number, self.port)

    def announce(self, number: int, owner: object = None) -> bytes | None:
        """The token of a stream; from now on its messages are kept for the socket that will come. None: no such."""
        stream = self._streams.get(number)
        if stream is None:
            return None
        stream.announce(owner)
        return self.token(number)

    def forget(self, owner: object) -> None:
        """A client is gone: no socket will come for the tokens it asked for."""
        for stream in self._streams.values():
            if stream.announcements:
                stream.announcements = deque(entry for entry in stream.announcements if entry.owner is not owner)

    async def serve(self, listener: socket.socket) -> None:
        """Accept subscribers until cancelled."""
        loop = asyncio.get_running_loop()
        listener.listen(512)
        self.port = listener.getsockname()[1]
        try:
            while True:
                try:
                    sock, _ = await loop.sock_accept(listener)
                except OSError as error:  # out of file descriptors, or the client was gone before it was accepted
                    once.warn("accept", "a streaming client could not be accepted: %s", error)
                    await asyncio.sleep(0.1)
                    continue
                if len(self._tasks) >= MAX_SOCKETS:
                    once.warn("sockets", "more than %d streaming sockets: the newest are hung up", MAX_SOCKETS)
                    sock.close()
                    continue
                task = asyncio.ensure_future(self._serve_one(sock))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            listener.close()
            for task in tuple(self._tasks):
                task.cancel()

    async def _serve_one(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            number = await asyncio.wait_for(_read_number(loop, sock), GREETING_LIMIT_S)
            stream = self._streams.get(number) if number is not None else None
            if stream is None:
                if number is not None:
                    log.debug("a client asked for stream %d, which does not exist (any more)", number)
                return
            backlog = stream.announcements.popleft().messages if stream.announcements else deque()
            if not backlog and stream.latest is not None:
                backlog.append(stream.latest)
            subscriber = _Subscriber(sock, backlog, MAX_SNAPSHOTS_BEHIND if stream.greet else None)
            stream.subscribers.append(subscriber)
            try:
                await subscriber.run()
            finally:
                stream.subscribers.remove(subscriber)
        except (OSError, asyncio.TimeoutError) as error:
            log.debug("a streaming client went away: %s", error)
        finally:
            sock.close()


async def _read_number(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> int | None:
    data = b""
    while len(data) < SIZE.size:
        chunk = await loop.sock_recv(sock, SIZE.size - len(data))
        if not chunk:
            return None
        data += chunk
    return int(SIZE.unpack(data)[0])
