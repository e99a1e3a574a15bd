"""Tables of the report, cell by cell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from e2e_drive.report.groups import Estimate


def table(heads: Iterable[str], rows: Iterable[str]) -> str:
    """A head that ends in "!" is of a column of words."""
    cells = "".join(
        f'<th class="word">{escape(head[:-1])}</th>' if head.endswith("!") else f"<th>{escape(head)}</th>"
        for head in heads
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def word(text: str) -> str:
    """Long names break where a word of theirs ends."""
    broken = re.sub(r"([_/=])", r"\1<wbr>", escape(text))
    return f'<td class="word">{broken}</td>'


def number(value: float, digits: int) -> str:
    return f'<td data-v="{value:.6g}">{value:.{digits}f}</td>'


def mean(of: Estimate, digits: int, signed: bool = False, strong: bool = False) -> str:
    """With its interval below."""
    form = f"{'+' if signed else ''}.{digits}f"
    shown = f"<b>{of.mean:{form}}</b>" if strong else f"{of.mean:{form}}"
    span = f'<span class="range">{of.low:{form}} to {of.high:{form}}</span>' if of.over else ""
    return f'<td data-v="{of.mean:.6g}">{shown}{span}</td>'
