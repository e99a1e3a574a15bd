"""Many drives at once: a launcher hands jobs to this machine, to Ray or to Slurm, and says how each ended.

Whoever launches it, a job is one process with a world and ports of its own, leaves everything in its folder, and dies
with whoever waits for it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from e2e_drive.launch.job import Ending, Job, run_job

__all__ = ["Ending", "Job", "Launcher", "run_job"]


class Launcher(Protocol):
    def run(self, jobs: Sequence[Job], workers: int) -> Generator[Ending, None, None]:
        """Endings as they come; closing the iterator stops what is under way. workers: so many at the same time."""
