from __future__ import annotations

import numpy as np
import pytest

from e2e_drive.report.contact_sheet import CAPTION, MARGIN, TITLE, Row, contact_sheet


def test_every_picture_is_on_the_sheet_once() -> None:
    pictures = {f"number {k}": np.full((20, 30, 3), 100 + 20 * k, np.uint8) for k in range(5)}
    rows = [
        Row({k: pictures[k] for k in list(pictures)[:3]}, "first"),
        Row({k: pictures[k] for k in list(pictures)[3:]}),
    ]
    sheet = contact_sheet("title", "subtitle", rows)
    for picture in pictures.values():
        assert (sheet == picture[0, 0]).all(axis=2).sum() >= 20 * 30
    assert sheet.shape[1] >= 2 * MARGIN + 3 * 30
    assert sheet.shape[0] >= TITLE + 2 * (20 + CAPTION)


def test_no_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet("title", "subtitle", [Row({})])
