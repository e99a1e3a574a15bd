"""The report's table of policies by links."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from e2e_drive.report.cells import mean, table, word
from e2e_drive.report.groups import Group
from e2e_drive.report.matrix import ORACLE, OURS, Matrix, in_words


def matrix_section(matrix: Matrix) -> str:
    """Policies down, links across, the best last; below them how far ours is from the oracle and the best other."""
    rows = []
    for policy in matrix.policies:
        cells = (matrix.cells.get((policy, link)) for link in matrix.links)
        rows.append(
            word(f"{policy} (ours)" if policy == OURS else policy)
            + "".join("<td>–</td>" if cell is None else _cell(cell, matrix) for cell in cells)
        )
    verdicts = {verdict.link: verdict for verdict in matrix.verdicts}
    differences = {
        "ours less oracle": [verdicts[link].to_oracle if link in verdicts else None for link in matrix.links],
        "ours less best other": [verdicts[link].to_best if link in verdicts else None for link in matrix.links],
    }
    rows += [
        word(name) + "".join("<td>–</td>" if gap is None else mean(gap, 1, signed=True) for gap in gaps)
        for name, gaps in differences.items()
        if any(gap is not None for gap in gaps)
    ]
    over = sorted({group.scores["score_composed"].over for group in matrix.cells.values()} - {""})
    note = (
        f"Driving score with 95 % intervals (t(0.975, n - 1) s / sqrt(n), over {', '.join(over) or 'nothing'}); links "
        "worst first, the best of each in bold, the oracle aside. The last two rows are means of differences of drives "
        "with the same route and seed, with the same interval over those pairs."
    )
    return (
        f'<section class="matrix"><h2>Policy by link: {escape(matrix.title)}</h2>'
        + _verdict(in_words(matrix))
        + table(["policy!", *(f"link {link}" for link in matrix.links)], rows)
        + f'<p class="note">{escape(note)}</p></section>'
    )


def _verdict(words: Sequence[str]) -> str:
    if not words:
        return ""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in words[1:])
    return f'<p class="verdict">{escape(words[0])}</p>' + (f'<ul class="verdict">{reasons}</ul>' if reasons else "")


def _cell(group: Group, matrix: Matrix) -> str:
    score = group.scores["score_composed"]
    is_best = group.setting.policy != ORACLE and score.mean >= matrix.best_on(group.setting.link)
    return mean(score, 1, strong=is_best)
