"""The `e2e-drive` command: `e2e-drive COMMAND key=value ...`; every command is a Hydra app."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from e2e_drive import config_dir
from e2e_drive.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, UserError
from e2e_drive.orphans import die_with_parent

# command -> (module with `run(cfg) -> exit code`, what it does)
COMMANDS = {
    "evaluate": ("e2e_drive.apps.evaluate", "drive a route in closed loop; table, results, video and logs"),
    "world": (
        "e2e_drive.apps.world",
        "the embedded world alone, on a port, for any CARLA client; `world gallery`: its pictures",
    ),
    "collect": ("e2e_drive.apps.collect", "the privileged expert drives and records logs to learn from"),
    "replay": (
        "e2e_drive.apps.replay",
        "a recorded drive once more, offline: exact, with other weights, schedules alone, against a reference",
    ),
    "import": ("e2e_drive.apps.import_drive", "a drive of Bench2Drive or nuScenes as a log of ours"),
    "export-log": ("e2e_drive.apps.export_log", "logs as Parquet, as a LeRobot data set or as a Rerun recording"),
    "inspect": (
        "e2e_drive.apps.inspect",
        'what went wrong in recorded drives, asked in plain words: `inspect log=FILE "latency spikes after 10 s"`',
    ),
    "train": ("e2e_drive.apps.train", "train the network from logs"),
    "export": ("e2e_drive.apps.export", "every stage of a network as .pt2 and ONNX, checked in onnxruntime"),
    "report": ("e2e_drive.apps.report", "one self-contained page on a folder of drives"),
    "policy": ("e2e_drive.apps.policy", "the stack as a policy service for AlpaSim"),
    "bench": (
        "e2e_drive.apps.bench",
        "a benchmark: `bench scheduler`, `budget`, `link`, `policies`, `fleet`, ...; writes outputs/bench/NAME.json",
    ),
}
_OVERRIDE = re.compile(r"[+~]{0,2}[\w./@]+=")
_FIRST_WORD = {"bench": "bench", "world": "action"}  # `e2e-drive bench NAME` is `e2e-drive bench bench=NAME`
# Hydra makes no folders of its own and writes no log files: what a command leaves behind is in its `out` folder.
_QUIET_HYDRA = (
    "hydra.run.dir=.",
    "hydra.sweep.dir=${oc.select:out,.}",
    "hydra.sweep.subdir=.",
    "hydra.output_subdir=null",
    "hydra/hydra_logging=disabled",
    "hydra/job_logging=disabled",
)
_THE_USERS = (UserError, HydraException, OmegaConfBaseException)  # errors of whoever typed the command
USAGE = "usage: e2e-drive COMMAND [key=value ...] [--cfg job] [--multirun]"


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; always ends by SystemExit."""
    die_with_parent()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, "", "commands:", *(f"  {name:<12}{what}" for name, (_, what) in COMMANDS.items()), "", sep="\n")
        print("`e2e-drive COMMAND --help` lists a command's configuration groups and every value that can be set.")
        raise SystemExit(0)
    command, *overrides = arguments
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise SystemExit(_complain(f"unknown command {command!r}; known are {known}"))
    if command in _FIRST_WORD and overrides and overrides[0].isidentifier():
        overrides[0] = f"{_FIRST_WORD[command]}={overrides[0]}"
    if command == "inspect":
        overrides = _with_words(overrides)
    raise SystemExit(_run_app(command, overrides))


def _with_words(arguments: Sequence[str]) -> list[str]:
    """Plain words, which stand among the overrides without a key, as the override words=..."""
    bare = [
        word
        for before, word in zip(["", *arguments], arguments, strict=False)
        if not word.startswith("-") and not _OVERRIDE.match(word) and before not in ("--cfg", "-c")
    ]
    kept = [word for word in arguments if word not in bare]
    if not bare:
        return kept
    text = " ".join(bare).replace("\\", " ").replace("'", "\\'").replace("${", "$ {")
    return [f"words='{text}'", *kept]


def _run_app(command: str, overrides: list[str]) -> int:
    """Runs one Hydra app; what the user got wrong is one line on stderr and exit code 2."""
    module = importlib.import_module(COMMANDS[command][0])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors reach us instead of Hydra's own report and exit code 1
    # beside the user's first override: Hydra's parser wants overrides in one piece, wherever flags stand
    first = next((i for i, word in enumerate(overrides) if "=" in word and not word.startswith("-")), 0)
    sys.argv = [f"e2e-drive {command}", *overrides[:first], *_QUIET_HYDRA, *overrides[first:]]
    codes: list[int] = []

    def job(cfg: DictConfig) -> None:
        try:
            codes.append(module.run(cfg))
            if codes[-1] == EXIT_INTERRUPTED:
                raise KeyboardInterrupt  # and with it the jobs of a --multirun that have not begun
        except _THE_USERS as error:  # caught in here, because Hydra would print a line of its own about it
            codes.append(_complain(f"{command}: {_one_line(error)}"))

    try:
        _hydra_app(command, job)()
    except _THE_USERS as error:
        return _complain(f"{command}: {_one_line(error)}")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return max(codes, default=0)


def _hydra_app(name: str, job: Callable[[DictConfig], None]) -> Callable[[], None]:
    """`job` as a Hydra app with the configuration `name`."""
    import hydra  # half a second that `e2e-drive --help` need not wait for

    decorated: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(job)
    return decorated


def _one_line(error: BaseException) -> str:
    """The message and, where Hydra wraps one error in another, the innermost reason; no line breaks."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    parts = dict.fromkeys(" ".join(str(e).split()) for e in (error, inner))
    return ": ".join(part for part in parts if part)


def _complain(message: str) -> int:
    print(f"e2e-drive: {message}", file=sys.stderr)
    return EXIT_BAD_INPUT


if __name__ == "__main__":
    main()
