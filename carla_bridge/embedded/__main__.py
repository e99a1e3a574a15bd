"""`python -m carla_bridge.embedded`: the embedded world as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from carla_bridge.embedded.precise import run
from carla_bridge.embedded.rpc import CarlaError

if TYPE_CHECKING:
    from carla_bridge.embedded.server import Server

EXIT_REFUSED, EXIT_PORT_TAKEN = 2, 3  # the second may go better with another port
PARENT_POLL_S = 0.5  # where the kernel offers no handle to wait on


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m carla_bridge.embedded",
        description=(
            "A small world that speaks the network protocol of CARLA 0.9.16, rendered on the CPU. It is not CARLA."
        ),
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind; the protocol has no authentication")
    parser.add_argument("--port", type=int, default=2000, help="RPC port, 0 = any free one (streams: the next one)")
    parser.add_argument("--town", default="Gridley", help="one of ours, or CARLA's name of one that is like it")
    parser.add_argument("--opendrive", type=Path, metavar="FILE", help="a town built on this road network, instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fixed-delta",
        type=float,
        default=None,
        metavar="SECONDS",
        help="start in synchronous mode with this step, so that nothing moves before the first tick",
    )
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="where clients' recordings are kept")
    parser.add_argument("--parent", type=int, default=None, metavar="PID", help="exit when this process ends")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser


async def _run(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loading = True

    def end() -> None:
        if loading:
            os._exit(0)  # a thread that compiles cannot be stopped; no client has been let in yet
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    watching = None if options.parent is None else asyncio.ensure_future(_watch_parent(options.parent, end))
    server = await loop.run_in_executor(None, _load, options)
    loading = False
    try:
        await server.serve(options.host, options.port, stop)
    finally:
        if watching is not None:
            watching.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # we are on our way out already


def _load(options: argparse.Namespace) -> Server:
    from carla_bridge.embedded.server import Server  # brings numba: seconds, in which signals must work already

    opendrive = None if options.opendrive is None else options.opendrive.read_text(encoding="utf-8", errors="replace")
    return Server(options.town, options.seed, options.fixed_delta, opendrive=opendrive, recordings=options.recordings)


async def _watch_parent(pid: int, end: Callable[[], None]) -> None:
    """Calls `end` when the process has ended."""
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        end()
        return
    except OSError:  # an old kernel, or a sandbox that forbids the call
        handle = None
    if handle is not None:
        await _readable(handle)
    else:
        child = os.getppid() == pid
        while os.getppid() == pid if child else _alive(pid):
            await asyncio.sleep(PARENT_POLL_S)
    end()


async def _readable(handle: int) -> None:
    """Waits until a file descriptor can be read (a process's handle: until the process has ended), and closes it."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, stream=sys.stderr, format="embedded world: %(levelname)s %(message)s")
    try:
        run(_run(options))
    except (OSError, ValueError, KeyError, CarlaError) as error:
        logging.getLogger(__name__).error("%s", " ".join(str(error).split()))
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        return EXIT_PORT_TAKEN if is_taken else EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
