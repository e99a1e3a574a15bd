"""A process that must not outlive the one that started it. Nothing heavy is imported here: it comes before all else."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT = "E2E_DRIVE_PARENT"  # environment: number of the process to die with
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Where PARENT says so. A drive whose launcher is killed would go on unwatched, and write into the folder of the
    one that takes its place."""
    parent = os.environ.pop(PARENT, None)  # not for the processes that we start
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it was quicker
        os.kill(os.getpid(), signal.SIGKILL)
