"""A mixed-integer linear program in neutral form: variables, rows that hold when binaries say so, an objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Literal = int | bool  # a binary variable, or a value that is known beforehand (bool is checked first)


class Linear:
    """constant + sum of coefficient x variable."""

    def __init__(self, terms: Mapping[int, float] | None = None, constant: float = 0.0) -> None:
        self.terms, self.constant = dict(terms or {}), constant

    def __add__(self, other: Linear | float) -> Linear:
        if not isinstance(other, Linear):
            return Linear(self.terms, self.constant + other)
        terms = dict(self.terms)
        for variable, coefficient in other.terms.items():
            terms[variable] = terms.get(variable, 0.0) + coefficient
        return Linear(terms, self.constant + other.constant)

    def __mul__(self, factor: float) -> Linear:
        return Linear({variable: factor * c for variable, c in self.terms.items()}, factor * self.constant)

    def __sub__(self, other: Linear | float) -> Linear:
        return self + (other * -1.0 if isinstance(other, Linear) else -other)

    def value(self, values: Sequence[float]) -> float:
        return self.constant + sum(c * values[v] for v, c in self.terms.items())

    def __rsub__(self, other: float) -> Linear:
        return self * -1.0 + other

    __radd__ = __add__
    __rmul__ = __mul__


def var(literal: Literal) -> Linear:
    return Linear(constant=float(literal)) if isinstance(literal, bool) else Linear({literal: 1.0})


@dataclass
class Program:
    """minimise objective subject to rows: whenever all of `given` hold, expression >= 0.

    upper: bound of each variable, the lower one being 0. binary: which of them are 0 or 1; the others are numbers.
    given: (variable, value that it must have for the row to apply).
    """

    upper: list[float] = field(default_factory=list)
    binary: list[bool] = field(default_factory=list)
    rows: list[tuple[Linear, tuple[tuple[int, int], ...]]] = field(default_factory=list)
    objective: Linear = field(default_factory=Linear)
    group: dict[int, int] = field(default_factory=dict)  # of binaries that exclude each other

    def switch(self) -> int:
        self.upper.append(1.0)
        self.binary.append(True)
        return len(self.upper) - 1

    def one_of(self, count: int) -> list[int]:
        """Binaries of which at most one is ever 1."""
        found = [self.switch() for _ in range(count)]
        self.group.update(dict.fromkeys(found, found[0]))
        return found

    def number(self, upper: float) -> Linear:
        self.upper.append(upper)
        self.binary.append(False)
        return Linear({len(self.upper) - 1: 1.0})

    def at_least(
        self, left: Linear | float, right: Linear | float, when: Sequence[Literal] = (), unless: Sequence[Literal] = ()
    ) -> None:
        """left >= right, when all of `when` hold and none of `unless` does."""
        if any(x is False for x in when) or any(x is True for x in unless):
            return
        given = [(x, 1) for x in when if not isinstance(x, bool)] + [(x, 0) for x in unless if not isinstance(x, bool)]
        self.rows.append((Linear() + left - right, tuple(given)))

    def equal(self, left: Linear | float, right: Linear | float) -> None:
        self.at_least(left, right)
        self.at_least(right, left)

    def least(self, expression: Linear) -> float:
        """A lower bound of an expression: what the bounds of its variables allow, one binary of a group at most."""
        lowest: dict[int, float] = {}
        for variable, coefficient in expression.terms.items():
            key = self.group.get(variable, variable)
            lowest[key] = min(lowest.get(key, 0.0), coefficient * self.upper[variable])
        return expression.constant + sum(lowest.values())
