"""Drives on other machines: Ray, or Slurm through submitit.

Both need the folders and this package at the same place on every machine, as a shared file system gives them.
"""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_drive.errors import UserError
from e2e_drive.launch.job import Ending, Job, run_job

_OBJECT_STORE_BYTES = 100 * 2**20  # jobs and endings are a few words each
_POLL_S = 1.0


@dataclass(frozen=True)
class RayCluster:
    """address: of a running cluster ("auto": the one of this machine); None: one is started here for as long as it
    takes, with room for `workers` drives. cpus: that a drive asks for."""

    address: str | None = None
    cpus: float = 1.0

    def run(self, jobs: Sequence[Job], workers: int) -> Generator[Ending, None, None]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_worker_niceness", "0")  # its usual 15 starves drives beside any other work
        ray = _library("ray", "ray", "launcher=ray")
        here: dict[str, Any] = {"num_cpus": math.ceil(workers * self.cpus), "object_store_memory": _OBJECT_STORE_BYTES}
        ray.init(self.address, include_dashboard=False, log_to_driver=False, **({} if self.address else here))
        try:
            # its own retries are for machines that are lost: a process of Ray's that dies takes the drive with it
            remote = ray.remote(num_cpus=self.cpus, max_retries=jobs[0].attempts)(run_job)
            pending = [remote.remote(job) for job in jobs]
            while pending:
                done, pending = ray.wait(pending)
                yield ray.get(done[0])
        finally:
            ray.shutdown()  # what is under way ends with its worker


@dataclass(frozen=True)
class Slurm:
    """cluster: slurm, or submitit's stand-ins local and debug. workers: so many jobs of the array run at a time."""

    cluster: str = "slurm"
    timeout_min: int = 60
    cpus: int = 1
    mem_gb: float = 4.0
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def configured(cls, options: dict[str, Any] | None = None, **fields: Any) -> Slurm:
        """options: further ones of submitit (slurm_partition, ...)."""
        return cls(**fields, options=tuple((options or {}).items()))

    def run(self, jobs: Sequence[Job], workers: int) -> Generator[Ending, None, None]:
        submitit = _library("submitit", "slurm", "launcher=submitit")
        executor = submitit.AutoExecutor(Path(os.path.commonpath([job.folder for job in jobs])) / "slurm", self.cluster)
        array = {"slurm_array_parallelism": workers, **dict(self.options)}
        executor.update_parameters(
            timeout_min=self.timeout_min, cpus_per_task=self.cpus, mem_gb=self.mem_gb, name="e2e-drive", **array
        )
        pending = executor.map_array(run_job, jobs)
        try:
            while pending:
                done = [handle for handle in pending if handle.done()]
                pending = [handle for handle in pending if handle not in done]
                for handle in done:
                    yield handle.result()
                time.sleep(0.0 if done else _POLL_S)
        finally:
            for handle in pending:
                handle.cancel()


def _library(name: str, extra: str, asked: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{asked} needs {name}: pip install 'e2e-drive[{extra}]' ({error})") from error
