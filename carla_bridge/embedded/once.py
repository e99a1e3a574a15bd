"""Log lines that hostile or merely stubborn clients cannot repeat: one for each kind, and a limited number of kinds."""

from __future__ import annotations

import logging
from collections.abc import Hashable


class Once:
    """Tells each kind of thing once; after `most` kinds it says so and falls silent."""

    def __init__(self, logger: logging.Logger, most: int = 200) -> None:
        self._logger, self._most = logger, most
        self._told: set[Hashable] = set()

    def warn(self, kind: Hashable, text: str, *values: object) -> None:
        if kind in self._told or len(self._told) > self._most:
            return
        self._told.add(kind)
        if len(self._told) > self._most:
            self._logger.warning("more of the same kind of message is not shown any more")
            return
        self._logger.warning(text, *values)
