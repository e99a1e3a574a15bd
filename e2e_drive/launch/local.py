"""The default: so many drives at the same time on this machine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from e2e_drive.launch.job import Ending, Job, run_job, stop_drives


@dataclass(frozen=True)
class LocalPool:
    """A thread for each drive under way, which waits for its process."""

    def run(self, jobs: Sequence[Job], workers: int) -> Generator[Ending, None, None]:
        waiting, running = list(jobs), set[Future[Ending]]()
        with ThreadPoolExecutor(workers) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < workers:
                        running.add(pool.submit(run_job, waiting.pop(0)))
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                stop_drives()
