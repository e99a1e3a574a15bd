"""An event loop that wakes up on time.

epoll counts in milliseconds, and asyncio rounds its waiting up to the next one. The traffic manager's gap of 1.5 ms
(see server.py) would become more than 2 ms, which is a fifth of the ticks per second that thirty cars can have.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import selectors
from collections.abc import Coroutine
from typing import Any

SHORT_S = 0.02  # waits that are worth the additional system call


class _PreciseSelector(selectors.DefaultSelector):
    """Waits short times with select(), which counts in microseconds, on the descriptor of the epoll instance itself."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and 0.0 < timeout < SHORT_S:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0.0
        return list(super().select(timeout))


def run(main: Coroutine[Any, Any, None]) -> None:
    """As asyncio.run, precise where the system's selector has a descriptor of its own (epoll, kqueue)."""
    precise = hasattr(selectors.DefaultSelector, "fileno")
    loop = asyncio.SelectorEventLoop(_PreciseSelector() if precise else selectors.DefaultSelector())
    with contextlib.closing(loop):
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(main)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
