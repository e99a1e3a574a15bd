"""The report: one HTML file that needs nothing beside it. First what was found, a line each; then a picture of each."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from e2e_drive.inspect.findings import Finding, Severity

_COLOURS = {Severity.HIGH: "#b3261e", Severity.MEDIUM: "#b26a00", Severity.LOW: "#5f6368"}
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1100px;padding:0 16px;color:#202124}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:28px 0 6px}p{margin:4px 0}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:4px 8px;border-bottom:1px solid #e3e5e8;
vertical-align:top}th{font-weight:600;color:#5f6368}td.n{white-space:nowrap}a{color:inherit}
.s{font-weight:700;font-size:12px;white-space:nowrap}figure{margin:18px 0;break-inside:avoid}
figure img{max-width:100%;border:1px solid #e3e5e8;border-radius:4px}figcaption{margin-bottom:4px}
.quiet{color:#5f6368}@media print{body{margin:0;max-width:none;font-size:12px}}
"""


@dataclass(frozen=True)
class LogReport:
    """name: as short as it can be told from the others. findings: the worst first. pictures: PNG of those that have
    one, by index."""

    name: str
    path: Path
    duration_s: float
    findings: tuple[Finding, ...]
    pictures: Mapping[int, bytes]


def render(question: str, words: str, logs: Sequence[LogReport]) -> str:
    rows = sorted(
        ((log, i, finding) for log in logs for i, finding in enumerate(log.findings)), key=lambda row: -row[2].severity
    )
    parts = [_head(question, words, logs)]
    kinds = list(dict.fromkeys(finding.kind for _, _, finding in rows))
    for kind in kinds:
        some = [row for row in rows if row[2].kind == kind]
        parts.append(f"<h2>{escape(kind.value)} ({len(some)})</h2><table>")
        parts += [_row(log, i, finding, logs) for log, i, finding in some]
        parts.append("</table>")
    pictured = [row for row in rows if row[1] in row[0].pictures]
    if pictured:
        parts.append("<h2>Pictures</h2>")
        parts += [_figure(log, i, finding, logs) for log, i, finding in pictured]
    return "".join([*parts, "</body></html>\n"])


def as_json(question: str, words: str, logs: Sequence[LogReport]) -> dict[str, Any]:
    return {
        "words": words,
        "question": question,
        "logs": [
            {
                "log": str(log.path), "duration_s": log.duration_s,
                "findings": [_plain(log, i, finding) for i, finding in enumerate(log.findings)],
            }
            for log in logs
        ],
    }  # fmt: skip


def _plain(log: LogReport, index: int, finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value, "severity": finding.severity.name.lower(), "subject": finding.subject,
        "from_s": round(float(finding.from_s), 3), "to_s": round(float(finding.to_s), 3),
        "peak_s": round(float(finding.peak_s), 3), "evidence": finding.evidence,
        "picture": picture_name(log, index) if index in log.pictures else None,
    }  # fmt: skip


def picture_name(log: LogReport, index: int) -> str:
    return f"pictures/{anchor(log, index)}.png"


def anchor(log: LogReport, index: int) -> str:
    return f"{re.sub(r'[^A-Za-z0-9-]+', '_', log.name)}_{index:03d}"


def _head(question: str, words: str, logs: Sequence[LogReport]) -> str:
    found = [finding.severity for log in logs for finding in log.findings]
    count, by = len(found), {severity: found.count(severity) for severity in reversed(Severity)}
    sums = ", ".join(f"{number} {severity.name.lower()}" for severity, number in by.items() if number)
    minutes = sum(log.duration_s for log in logs) / 60.0
    clean = [log for log in logs if not log.findings]
    lines = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Inspection</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style><body>",
        f"<h1>{count} finding{'' if count == 1 else 's'} in {len(logs)} log{'' if len(logs) == 1 else 's'}</h1>",
        f"<p>{escape(sums) or 'Nothing was found.'} &middot; {minutes:.1f} minutes of driving</p>",
        f"<p class=quiet>Looked for: {escape(question)}{f' (asked: {escape(words)})' if words else ''}</p>",
    ]
    if clean and count:
        lines.append(f"<p class=quiet>Nothing found in: {escape(', '.join(log.name for log in clean))}</p>")
    return "".join(lines)


def _row(log: LogReport, index: int, finding: Finding, logs: Sequence[LogReport]) -> str:
    where = f"<td class=n>{escape(log.name)}</td>" if len(logs) > 1 else ""
    link = f" <a href='#{escape(anchor(log, index))}'>picture</a>" if index in log.pictures else ""
    return (
        f"<tr><td>{_badge(finding)}</td>{where}<td class=n>{span(finding)}</td>"
        f"<td>{escape(finding.evidence)}{link}</td></tr>"
    )


def _figure(log: LogReport, index: int, finding: Finding, logs: Sequence[LogReport]) -> str:
    data = base64.b64encode(log.pictures[index]).decode()
    where = f"{escape(log.name)}, " if len(logs) > 1 else ""
    return (
        f"<figure id='{escape(anchor(log, index))}'><figcaption>{_badge(finding)} <b>{escape(finding.kind.value)}</b>, "
        f"{where}{span(finding)}: {escape(finding.evidence)}</figcaption>"
        f"<img alt='{escape(finding.kind.value)}' src='data:image/png;base64,{data}'></figure>"
    )


def _badge(finding: Finding) -> str:
    return f"<span class=s style='color:{_COLOURS[finding.severity]}'>{finding.severity.name}</span>"


def span(finding: Finding) -> str:
    if finding.to_s - finding.from_s < 0.05:
        return f"{finding.from_s:.2f} s"
    return f"{finding.from_s:.2f} to {finding.to_s:.2f} s"
