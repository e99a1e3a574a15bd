"""Bad input is one line on stderr and exit code 2, and leaves nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from e2e_drive.cli import COMMANDS, main


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["e2e-drive"])
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fly"], "unknown command 'fly'"),
        (["evaluate", "experiment=second_drive"], "second_drive"),
        (["evaluate", "sead=1"], "sead"),
        (["evaluate", "seed=one"], "seed must be a whole number of at least 0, received 'one'"),
        (["evaluate", "driver=me"], "driver must be 'model' or 'expert'"),
        (["evaluate", "rules=3.0"], "rules must be one of 1.0, 2.0"),
        (["evaluate", "weights=no/such/folder"], "weights=no/such/folder"),
        (["evaluate", "link=radio", "link.bandwith=3"], "bandwith"),
        (["evaluate", "costs.model=huge"], "costs.model must be one of base, big, little, received 'huge'"),
        (["collect", "frames=0"], "frames must be a whole number of at least 1, received 0"),
        (["collect", "plan.cars=[5,2]"], "cars must be a range"),
        (["collect", "plan.towns=[Gridley,Thornby]"], "town Thornby is held out"),
        (["bench", "everything"], "known benchmarks are scheduler, budget"),
    ],
)
def test_bad_input(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*"))
