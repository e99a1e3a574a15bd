"""When a small message gets through a time-division duplex cell: scheduling request, grant, slots, HARQ.

Everything happens at slot borders, so time is counted in symbols (14 a slot) from the start of the pattern. Up: the car
waits for the next uplink slot and asks for a grant (SR); the unit answers in a downlink slot; the car sends in the next
uplink slot for which it can be ready. Down: the next downlink slot. A block that was not decoded is sent again after a
NACK, in the next slot of its direction that processing allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SYMBOLS = 14  # a slot
_CONTROL_SYMBOLS = 2  # of a downlink slot carry grants; an assumption (TS 38.211 allows 1 to 3)


@dataclass(frozen=True)
class TddPattern:
    """slots: one letter each, D, U or S (special: downlink, guard and uplink symbols, as in special_symbols).

    n1, n2: symbols that the car needs from downlink data to its acknowledgement, and from a grant to uplink data;
    unit_symbols: what the unit needs between two of its turns.
    """

    slots: str = "DDDSU"
    special_symbols: tuple[int, int, int] = (10, 2, 2)
    slot_s: float = 0.0005
    n1: int = 10
    n2: int = 12
    unit_symbols: int = 14

    def __post_init__(self) -> None:
        if not set(self.slots) <= set("DSU") or "D" not in self.slots or "U" not in self.slots:
            raise ValueError(f"tdd: slots must be D, S and U, with at least one D and U, received {self.slots!r}")
        if sum(self.special_symbols) != SYMBOLS or min(self.special_symbols) < 0:
            raise ValueError(f"tdd: special_symbols must sum to {SYMBOLS}, received {self.special_symbols}")
        if self.slot_s <= 0 or min(self.n1, self.n2, self.unit_symbols) < 0:
            raise ValueError(f"tdd: slot_s must be positive and processing times not negative, received {self}")

    @property
    def period_s(self) -> float:
        return len(self.slots) * self.slot_s

    def share(self, up: bool) -> float:
        """Of all symbols, those of one direction."""
        special = self.special_symbols[2 if up else 0]
        symbols = SYMBOLS * self.slots.count("U" if up else "D") + special * self.slots.count("S")
        return symbols / (SYMBOLS * len(self.slots))

    def delays_s(self, up: bool, retransmissions: int) -> npt.NDArray[np.float64]:
        """(slots, retransmissions + 1): from the start of a slot at which a message is ready until it is decoded at
        the other end, by that slot and by how often its block is sent again."""
        send = self._up if up else self._down
        table = [send(slot * SYMBOLS, retransmissions) for slot in range(len(self.slots))]
        return np.array(table) * (self.slot_s / SYMBOLS)

    def _next(self, symbol: int, kinds: str) -> int:
        """Start of the first slot of these kinds at or after a symbol."""
        slot = -(-symbol // SYMBOLS)
        while self.slots[slot % len(self.slots)] not in kinds:
            slot += 1
        return slot * SYMBOLS

    def _up(self, ready: int, retransmissions: int) -> list[int]:
        asked = self._next(ready, "U") + SYMBOLS
        return self._repeat(ready, asked + self.unit_symbols, retransmissions, self._granted)

    def _granted(self, symbol: int) -> int:
        """A grant or a NACK with a grant may go out from this symbol on; returns when the unit has decoded."""
        grant = self._next(symbol, "DS") + _CONTROL_SYMBOLS
        return self._next(grant + self.n2, "U") + SYMBOLS + self.unit_symbols

    def _down(self, ready: int, retransmissions: int) -> list[int]:
        return self._repeat(ready, ready, retransmissions, self._delivered)

    def _delivered(self, symbol: int) -> int:
        return self._next(symbol, "DS") + SYMBOLS + self.n1

    def _repeat(self, ready: int, symbol: int, retransmissions: int, send: Callable[[int], int]) -> list[int]:
        done = []
        for _ in range(retransmissions + 1):
            symbol = send(symbol)
            done.append(symbol - ready)
            if send == self._delivered:  # the car's NACK waits for an uplink slot
                symbol = self._next(symbol, "U") + SYMBOLS + self.unit_symbols
        return done
