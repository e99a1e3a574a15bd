"""MessagePack-RPC over TCP, as CARLA's client speaks it.

A request is `[0, msgid, method, [metadata, *args]]`, its answer `[1, msgid, error, result]`; messages follow each other
without a length prefix. Requests of one connection take effect in the order they arrive: handlers run as soon as a
request is unpacked. A handler may answer later by returning an awaitable; the requests behind it are served meanwhile,
unless the method is declared exclusive (it then holds the queue of its connection).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import msgpack

from carla_bridge.embedded.once import Once

log = logging.getLogger(__name__)
once = Once(log)

MAX_REQUEST_BYTES = 64 * 1024 * 1024
MAX_WAITING_REQUESTS = 1000  # of one connection, behind an exclusive request
REQUEST, RESPONSE = 0, 1

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
T = TypeVar("T")
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

    def fill(self, other: MethodTable) -> None:
        """Take from another table what is not here yet."""
        for method in other.methods.values():
            self.methods.setdefault(method.name, method)


@dataclass(frozen=True)
class Call(Generic[S]):
    """What a handler is given besides its arguments."""

    server: S
    connection: Connection


class Prompt(asyncio.Future[T]):
    """A result that is sent to the client the moment it is there, without another turn of the event loop."""

    answer: Callable[[T], None] | None = None

    def tell(self, value: T) -> None:
        if self.done():
            return
        if self.answer is not None:
            self.answer(value)
        self.set_result(value)


class Connection(asyncio.Protocol):
    """One client socket.

    What a client can make the server keep is bounded: a request by MAX_REQUEST_BYTES, the requests that wait behind an
    exclusive one and the answers that a client does not read by not reading any more from its socket meanwhile.
    """

    def __init__(self, server: object, methods: MethodTable, on_close: Callable[[Connection], None]) -> None:
        self._call = Call(server, self)
        self._methods = methods.methods
        self._on_close = on_close
        self._requests = _Requests()
        self._waiting: deque[list[Any]] = deque()
        self._held = False  # an exclusive method is under way
        self._unread = False  # the client leaves its answers unread
        self._stopped = False  # we leave its requests unread
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self.peer_host: str | None = None
        self.heard: set[str] | None = None  # somebody else's list of the methods that are called here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.peer_host = peer[0] if peer else None
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()  # handlers shield what others wait for too
        self._on_close(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        self._serve()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._requests.feed(data):
                self._waiting.append(_checked(message))
        # msgpack raises several unrelated kinds (ValueError, OverflowError, RecursionError, its own) on hostile bytes.
        except Exception as error:
            text = "closing a connection: not a MessagePack-RPC request (%s: %s)"
            once.warn(("bytes", type(error)), text, type(error).__name__, str(error)[:200])
            self.close()
            return
        self._serve()

    def _serve(self) -> None:
        while self._waiting and not self._held and not self._unread and self._transport is not None:
            _, msgid, name, arguments = self._waiting.popleft()
            if self.heard is not None:
                self.heard.add(name)
            method = self._methods.get(name)
            if method is None:
                once.warn(("method", name[:40]), "unknown method %r", name[:40])
                self._send(msgid, f"unknown method {name[:40]!r}", None)
                continue
            try:
                result = method.handler(self._call, *arguments[1:])
            except Exception as error:  # boundary: one failed call must not take the server down
                self._send(msgid, None, method.envelope.failure(describe(method.name, error)))
                continue
            if isinstance(result, asyncio.Future) and not method.exclusive:
                if result.done():
                    self._answered(msgid, method, False, result)
                    continue
                prompt = isinstance(result, Prompt)
                if isinstance(result, Prompt):
                    result.answer = functools.partial(self._succeeded, msgid, method)
                result.add_done_callback(functools.partial(self._answered, msgid, method, prompt))
            elif inspect.isawaitable(result):
                self._held = method.exclusive
                task = asyncio.ensure_future(self._answer_later(msgid, method, result))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._send(msgid, None, method.envelope.success(result))
        self._throttle()

    def _throttle(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        stop = self._unread or len(self._waiting) > MAX_WAITING_REQUESTS
        if stop and not self._stopped:
            self._transport.pause_reading()
        elif self._stopped and not stop:
            self._transport.resume_reading()
        self._stopped = stop

    def _succeeded(self, msgid: int, method: Method, value: object) -> None:
        self._send(msgid, None, method.envelope.success(value))

    def _answered(self, msgid: int, method: Method, prompt: bool, result: asyncio.Future[object]) -> None:
        if result.cancelled():
            return
        error = result.exception()
        if error is None:
            if not prompt:  # else the answer is out
                self._succeeded(msgid, method, result.result())
        else:
            self._send(msgid, None, method.envelope.failure(describe(method.name, error)))

    async def _answer_later(self, msgid: int, method: Method, result: Awaitable[object]) -> None:
        try:
            answer = method.envelope.success(await result)
        except Exception as error:  # boundary, as above
            answer = method.envelope.failure(describe(method.name, error))
        self._send(msgid, None, answer)
        if method.exclusive:
            self._held = False
            self._serve()

    def _send(self, msgid: int, error: str | None, result: object) -> None:
        if self._transport is not None:
            self._transport.write(msgpack.packb([RESPONSE, msgid, error, result]))


class _Requests:
    """Cuts the bytes of one client into messages.

    A message is unpacked when all of it is there: a few hostile bytes that announce huge arrays reserve no memory.
    """

    def __init__(self) -> None:
        self._scanner = msgpack.Unpacker(max_buffer_size=MAX_REQUEST_BYTES)
        self._bytes = bytearray()
        self._start = 0  # of the bytes kept, in the scanner's count

    def feed(self, data: bytes) -> Iterator[object]:
        self._bytes += data
        self._scanner.feed(data)
        begin = self._start
        while True:
            try:
                self._scanner.skip()
            except msgpack.OutOfData:
                break
            end = self._scanner.tell()
            with memoryview(self._bytes)[begin - self._start : end - self._start] as view:
                message = msgpack.unpackb(view, raw=False, unicode_errors="replace", strict_map_key=False)
            yield message
            begin = end
        del self._bytes[: begin - self._start]
        self._start = begin


def _checked(message: object) -> list[Any]:
    if not isinstance(message, list) or len(message) != 4 or message[0] != REQUEST:
        raise ProtocolError("expected [0, msgid, method, params]")
    if not isinstance(message[1], int) or not isinstance(message[2], str) or not isinstance(message[3], list):
        raise ProtocolError("expected [0, int, str, list]")
    return message


def describe(method_name: str, error: BaseException) -> str:
    """The text that the client's user reads; whatever is not the user's own mistake is told in the log too."""
    if isinstance(error, CarlaError):
        return str(error)
    text = f"{type(error).__name__}: {str(error)[:200]}"
    once.warn((method_name, type(error)), "%s failed: %s", method_name, text)
    log.debug("%s failed", method_name, exc_info=error)
    if isinstance(error, (TypeError, ValueError, IndexError, KeyError, OverflowError)):
        return f"{method_name}: malformed arguments ({text})"
    return f"{method_name} failed in the embedded world: {text}"


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
