"""Shared fixtures: an embedded world in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

World = tuple["subprocess.Popen[str]", int]


def _start(*options: str) -> World:
    """The process and its RPC port. Compiling the kernels for the first time may take a minute."""
    command = [sys.executable, "-m", "carla_bridge.embedded", "--port", "0", "--log-level", "WARNING", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()  # ends with the process: a world that cannot start does not hang the tests
    assert line.startswith("ready port="), f"the embedded world did not start: {line!r}"
    return process, int(line.partition("=")[2])


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10.0)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def world_port() -> Iterator[int]:
    """The RPC port of an embedded world (town Gridley, seed 0) that lives as long as the test module."""
    process, port = _start("--parent", str(os.getpid()))
    yield port
    _stop(process)


@pytest.fixture
def start_world() -> Iterator[Callable[..., World]]:
    """Starts worlds with options of the test's choice; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> World:
            process, port = _start(*options)
            stack.callback(_stop, process)
            return process, port

        yield start
