"""MessagePack-RPC over TCP, as CARLA's client speaks it.

A request is `[0, msgid, method, [metadata, *args]]`, its answer `[1, msgid, error, result]`; messages follow each other
without a length prefix. Requests of one connection take effect in the order they arrive: handlers run as soon as a
request is unpacked. A handler may answer later by returning an awaitable; the requests behind it are served meanwhile,
unless the method is declared exclusive (it then holds the queue of its connection).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import msgpack

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64 * 1024 * 1024
REQUEST, RESPONSE = 0, 1

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
S = TypeVar("S")  # the server that the handlers work on


class CarlaError(RuntimeError):
    """A failure whose text reaches the user of the client as RuntimeError(text)."""


class ProtocolError(ValueError):
    """Bytes that are no MessagePack-RPC request."""


class Envelope(Enum):
    """How CARLA wraps a result: `[[1, value]]` / `[[false]]`, failures `[[0, [text]]]` / `[[true, [text]]]`."""

    VALUE = "value"
    VOID = "void"
    BARE = "bare"  # apply_batch only: no outer wrapping

    def success(self, value: object) -> object:
        if self is Envelope.VALUE:
            return [[1, value]]
        return [[False]] if self is Envelope.VOID else value

    def failure(self, text: str) -> object:
        return [[True, [text]]] if self is Envelope.VOID else [[0, [text]]]


@dataclass(frozen=True)
class Method:
    """One remote procedure: `handler(call, *args)`."""

    name: str
    handler: Handler
    envelope: Envelope
    exclusive: bool = False  # later requests of the same connection wait for its answer


@dataclass
class MethodTable:
    """The methods of one module, filled by decorators; the name of the function is the name on the wire."""

    methods: dict[str, Method] = field(default_factory=dict)

    def add(self, method: Method) -> None:
        if method.name in self.methods:
            raise ValueError(f"method {method.name!r} is declared twice")
        self.methods[method.name] = method

    def value(self, handler: H) -> H:
        self.add(Method(handler.__name__, handler, Envelope.VALUE))
        return handler

    def void(self, handler: H) -> H:
        self.add(Method(handler.__name__, handler, Envelope.VOID))
        return handler

    def exclusive(self, envelope: Envelope) -> Callable[[H], H]:
        def register(handler: H) -> H:
            self.add(Method(handler.__name__, handler, envelope, exclusive=True))
            return handler

        return register

    def merge(self, other: MethodTable) -> None:
        for method in other.methods.values():
            self.add(method)


@dataclass(frozen=True)
class Call(Generic[S]):
    """What a handler is given besides its arguments."""

    server: S
    connection: Connection


class Connection(asyncio.Protocol):
    """One client socket."""

    def __init__(self, server: object, methods: MethodTable, on_close: Callable[[Connection], None]) -> None:
        self._server = server
        self._methods = methods.methods
        self._on_close = on_close
        self._unpacker = msgpack.Unpacker(
            raw=False, unicode_errors="replace", strict_map_key=False, max_buffer_size=MAX_REQUEST_BYTES
        )
        self._waiting: deque[list[Any]] = deque()
        self._held = False  # an exclusive method is under way
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self._peer: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = transport.get_extra_info("peername")
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._on_close(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                self._waiting.append(_checked(message))
        # msgpack raises several unrelated kinds (ValueError, OverflowError, RecursionError, its own) on hostile bytes.
        except Exception as error:
            log.warning("closing %s: not a MessagePack-RPC request (%s: %s)", self._peer, type(error).__name__, error)
            self.close()
            return
        self._serve()

    def _serve(self) -> None:
        while self._waiting and not self._held and self._transport is not None:
            _, msgid, name, arguments = self._waiting.popleft()
            method = self._methods.get(name)
            if method is None:
                log.warning("unknown method %r", name)
                self._send(msgid, f"unknown method {name!r}", None)
                continue
            try:
                result = method.handler(Call(self._server, self), *arguments[1:])
            except Exception as error:  # boundary: one failed call must not take the server down
                self._send(msgid, None, method.envelope.failure(_describe(method, error)))
                continue
            if inspect.isawaitable(result):
                self._held = method.exclusive
                task = asyncio.ensure_future(self._answer_later(msgid, method, result))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._send(msgid, None, method.envelope.success(result))

    async def _answer_later(self, msgid: int, method: Method, result: Awaitable[object]) -> None:
        try:
            answer = method.envelope.success(await result)
        except Exception as error:  # boundary, as above
            answer = method.envelope.failure(_describe(method, error))
        self._send(msgid, None, answer)
        if method.exclusive:
            self._held = False
            self._serve()

    def _send(self, msgid: int, error: str | None, result: object) -> None:
        if self._transport is not None:
            self._transport.write(msgpack.packb([RESPONSE, msgid, error, result]))


def _checked(message: object) -> list[Any]:
    if not isinstance(message, list) or len(message) != 4 or message[0] != REQUEST:
        raise ProtocolError(f"expected [0, msgid, method, params], received {str(message)[:80]!r}")
    if not isinstance(message[1], int) or not isinstance(message[2], str) or not isinstance(message[3], list):
        raise ProtocolError(f"expected [0, int, str, list], received {str(message)[:80]!r}")
    return message


def _describe(method: Method, error: Exception) -> str:
    if isinstance(error, CarlaError):
        return str(error)
    log.error("%s failed", method.name, exc_info=error)
    return f"{method.name} failed in the embedded world: {type(error).__name__}: {error}"


async def listen(
    server: object, methods: MethodTable, sock: socket.socket, on_close: Callable[[Connection], None]
) -> tuple[asyncio.Server, set[Connection]]:
    """Serve `methods` on a bound socket; the returned set holds the open connections."""
    connections: set[Connection] = set()

    def closed(connection: Connection) -> None:
        connections.discard(connection)
        on_close(connection)

    def make() -> Connection:
        connection = Connection(server, methods, closed)
        connections.add(connection)
        return connection

    return await asyncio.get_running_loop().create_server(make, sock=sock), connections


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening-ready TCP socket; port 0 takes any free one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
        stack.pop_all()
    return sock
