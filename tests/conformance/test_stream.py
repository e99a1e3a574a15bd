"""The streaming port on its own: nothing is lost before the socket comes, slow readers are waited for or skipped."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest

from carla_bridge.embedded.rpc import bound_socket
from carla_bridge.embedded.stream import StreamHub


def with_hub(body: Callable[[StreamHub], Awaitable[None]]) -> None:
    async def run() -> None:
        hub = StreamHub()
        serving = asyncio.ensure_future(hub.serve(bound_socket("127.0.0.1", 0)))
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(body(hub), 20.0)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())


async def subscribe(hub: StreamHub, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    writer.write(struct.pack("<I", number))
    return reader, writer


async def message(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack("<I", await reader.readexactly(4))
    return await reader.readexactly(size)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_messages_wait_for_an_announced_socket() -> None:
    async def body(hub: StreamHub) -> None:
        stream = hub.open()
        assert not stream.wanted
        stream.send((b"nobody",), drop_for_slow_readers=False)
        assert hub.announce(stream.number) is not None
        assert hub.announce(99) is None
        assert stream.wanted
        stream.send((b"first ", b"frame"), drop_for_slow_readers=False)
        stream.send((b"second",), drop_for_slow_readers=False)
        reader, writer = await subscribe(hub, stream.number)
        assert [await message(reader), await message(reader)] == [b"first frame", b"second"]
        stream.send((b"third",), drop_for_slow_readers=True)
        assert await message(reader) == b"third"
        writer.close()
        await until(lambda: not stream.wanted)

    with_hub(body)


def test_newcomers_are_greeted_with_the_latest_message() -> None:
    async def body(hub: StreamHub) -> None:
        stream = hub.open(greet=True)
        for payload in (b"1", b"2"):
            stream.send((payload,), drop_for_slow_readers=False)
        reader, writer = await subscribe(hub, stream.number)
        assert await message(reader) == b"2"
        writer.close()

    with_hub(body)


@pytest.mark.parametrize("dropping", [False, True])
def test_slow_reader(dropping: bool) -> None:
    """Synchronous: `flushed` waits until all is taken. Asynchronous: whole messages are dropped, never parts."""
    frame = bytes(range(256)) * 40_000  # 10 MB, more than the kernel keeps

    async def body(hub: StreamHub) -> None:
        stream = hub.open()
        hub.announce(stream.number)
        reader, writer = await subscribe(hub, stream.number)
        await until(lambda: bool(stream.subscribers))
        for _ in range(4):
            stream.send((b"head", memoryview(frame)), drop_for_slow_readers=dropping)
        flushed = asyncio.ensure_future(stream.flushed())
        await asyncio.sleep(0.2)
        assert not flushed.done()
        count = 1 if dropping else 4
        for _ in range(count):
            assert await message(reader) == b"head" + frame
        await flushed
        stream.send((b"last",), drop_for_slow_readers=dropping)
        assert await message(reader) == b"last"
        writer.close()

    with_hub(body)


def test_closing_a_stream_hangs_up() -> None:
    async def body(hub: StreamHub) -> None:
        stream = hub.open()
        reader, writer = await subscribe(hub, stream.number)
        await until(lambda: bool(stream.subscribers))
        hub.close(stream.number)
        assert await reader.read(1) == b""
        writer.close()

    with_hub(body)
