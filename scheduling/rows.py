"""Arithmetic on rows of M futures: one short loop each, on few arrays, so that the compiler makes vector code of it
(it gives up on loops over many arrays, because it would have to rule out that any two of them overlap)."""

from __future__ import annotations

import numba

from scheduling.problem import Floats


@numba.njit(cache=True, nogil=True)
def copy(target: Floats, source: Floats) -> None:
    for m in range(target.size):
        target[m] = source[m]


@numba.njit(cache=True, nogil=True)
def fill(target: Floats, value: float) -> None:
    for m in range(target.size):
        target[m] = value


@numba.njit(cache=True, nogil=True)
def raise_to(target: Floats, other: Floats) -> None:
    """target = max(target, other)"""
    for m in range(target.size):
        target[m] = max(target[m], other[m])


@numba.njit(cache=True, nogil=True)
def lower_to(target: Floats, other: Floats) -> None:
    """target = min(target, other)"""
    for m in range(target.size):
        target[m] = min(target[m], other[m])


@numba.njit(cache=True, nogil=True)
def raise_to_sum(target: Floats, one: Floats, other: Floats, offset: float) -> None:
    """target = max(target, one + offset + other)"""
    for m in range(target.size):
        target[m] = max(target[m], one[m] + offset + other[m])


@numba.njit(cache=True, nogil=True)
def lower_to_sum(target: Floats, one: Floats, other: Floats) -> None:
    """target = min(target, one + other)"""
    for m in range(target.size):
        target[m] = min(target[m], one[m] + other[m])


@numba.njit(cache=True, nogil=True)
def add(target: Floats, other: Floats) -> None:
    for m in range(target.size):
        target[m] += other[m]


@numba.njit(cache=True, nogil=True)
def shift(target: Floats, source: Floats, offset: float) -> None:
    """target = source + offset"""
    for m in range(target.size):
        target[m] = source[m] + offset


@numba.njit(cache=True, nogil=True)
def combine(target: Floats, source: Floats, factor: float, rate: Floats) -> None:
    """target = source + factor * rate"""
    for m in range(target.size):
        target[m] = source[m] + factor * rate[m]


@numba.njit(cache=True, nogil=True)
def serve(free: Floats, ready: Floats, seconds: float) -> None:
    """A serial resource takes a job: free = max(ready, free) + seconds"""
    for m in range(free.size):
        free[m] = max(ready[m], free[m]) + seconds


@numba.njit(cache=True, nogil=True)
def send(free: Floats, made: Floats, encode_s: float, size: float, rate: Floats) -> None:
    """A serial link takes a message: free = max(made + encode_s, free) + size * rate"""
    for m in range(free.size):
        free[m] = max(made[m] + encode_s, free[m]) + size * rate[m]


@numba.njit(cache=True, nogil=True)
def scaled(target: Floats, rate: Floats, factor: float, offset: float) -> None:
    """target = offset + factor * rate"""
    for m in range(target.size):
        target[m] = offset + factor * rate[m]


@numba.njit(cache=True, nogil=True)
def total(target: Floats, one: Floats, other: Floats) -> None:
    """target = one + other"""
    for m in range(target.size):
        target[m] = one[m] + other[m]


@numba.njit(cache=True, nogil=True)
def raise_to_shifted(target: Floats, other: Floats, offset: float) -> None:
    """target = max(target, other + offset)"""
    for m in range(target.size):
        target[m] = max(target[m], other[m] + offset)


@numba.njit(cache=True, nogil=True)
def headroom(target: Floats, row: Floats, end: float, share: float) -> None:
    """target = share * max(0, end - row)"""
    for m in range(target.size):
        target[m] = max(0.0, end - row[m]) * share


@numba.njit(cache=True, nogil=True)
def fold(row: Floats) -> float:
    """Sum of a row, which is spent on it: halves are added to halves, since a plain sum waits for itself."""
    n = row.size
    while n > 8:
        half = (n + 1) // 2
        for m in range(n - half):
            row[m] += row[m + half]
        n = half
    total = 0.0
    for m in range(n):
        total += row[m]
    return total


@numba.njit(cache=True, nogil=True)
def mean_limited(weight: Floats, rate: Floats, factor: float, offset: float, limit: Floats, scratch: Floats) -> float:
    """Mean of weight * min(factor * rate + offset, limit)."""
    for m in range(rate.size):
        scratch[m] = weight[m] * min(factor * rate[m] + offset, limit[m])
    return fold(scratch) / rate.size


@numba.njit(cache=True, nogil=True)
def raise_where_above(target: Floats, other: Floats, limit: float, value: float) -> None:
    """target = max(target, value) where other > limit"""
    for m in range(target.size):
        if other[m] > limit:
            target[m] = max(target[m], value)
