"""Launchers without worlds: who dies with whom, what is tried again, and what a missing library says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from carla_bridge.process import our_environment
from e2e_drive.errors import EXIT_BAD_INPUT, UserError
from e2e_drive.launch import Job
from e2e_drive.launch.cluster import _library
from e2e_drive.launch.local import LocalPool

_DRIVE = "import time\nfrom e2e_drive.orphans import die_with_parent\ndie_with_parent()\nprint('on', flush=True)\n"
_WHOEVER_WAITS = f"""
import os, subprocess, sys
environment = {{**os.environ, "E2E_DRIVE_PARENT": str(os.getpid())}}
drive = subprocess.Popen(
    [sys.executable, "-c", {_DRIVE + "time.sleep(100)"!r}], env=environment, stdout=subprocess.PIPE,
    start_new_session=True,
)
drive.stdout.readline()
print(drive.pid, flush=True)
drive.wait()
"""


def test_a_drive_dies_with_whoever_waits_for_it() -> None:
    waiting = subprocess.Popen([sys.executable, "-c", _WHOEVER_WAITS], env=our_environment(), stdout=subprocess.PIPE)
    assert waiting.stdout is not None
    drive = psutil.Process(int(waiting.stdout.readline()))
    assert drive.is_running()
    os.kill(waiting.pid, signal.SIGKILL)
    waiting.communicate()
    gone, _ = psutil.wait_procs([drive], timeout=10.0)
    assert gone


def test_what_is_asked_wrongly_is_told_and_not_tried_again(tmp_path: Path) -> None:
    job = Job("bad", tmp_path / "bad", ("rules=3.0",), tmp_path)
    (ending,) = LocalPool().run([job], workers=2)
    assert ending.exit_code == EXIT_BAD_INPUT
    assert "bad: e2e-drive: evaluate: rules must be one of" in ending.said
    assert job.retries() == []
    assert not job.is_done()


def test_a_missing_library_is_told_with_its_remedy() -> None:
    with pytest.raises(UserError, match=r"launcher=ray needs no_such_library: pip install 'e2e-drive\[ray\]'"):
        _library("no_such_library", "ray", "launcher=ray")
