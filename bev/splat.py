"""Sum-pooling of lift-splat on the CPU, as one differentiable operator `e2e_drive::lift_splat`.

    out[b, cell] = sum over the (pixel, bin) in the cell of  weights[b, pixel, bin] * context[b, pixel]

The outer product of weights and context, which makes the plain form slow, is never written: each cell gathers its own
sum over a list made once for a rig, as BEVPoolv2 does on a GPU (Huang, Huang, arXiv 2211.17111). One thread owns a cell
(backward: a pixel) and adds in the order of the list, so the result does not depend on the number of threads.

Shapes:  B batch   N pixels of all cameras   K depth classes   C channels   P cells   E (pixel, bin) pairs inside
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

_LANES = 16  # partial sums of a dot product: fills the vector registers without reordering additions freely
# One at a time: numba's simplest threading layer aborts the process when two Python threads enter it together; and
# never in a forked child, where its OpenMP layer aborts.
_threads = threading.Lock()
os.register_at_fork(after_in_child=lambda: _threads.acquire(blocking=False))


@numba.njit(cache=True, nogil=True)
def _gather(weights, context, entries, pixels, starts, out, first, step):
    """Sums of the cells first, first + step, ... of the whole batch. weights (B, N*K), context (B, N, C), entries (E,)
    into N*K and pixels (E,) into N by cell, starts (P+1,) into these, out (B, P, C)."""
    cells, channels = out.shape[1], out.shape[2]
    for job in range(first, out.shape[0] * cells, step):
        sample, cell = job // cells, job % cells
        total = out[sample, cell]
        total[:] = 0.0
        for entry in range(starts[cell], starts[cell + 1]):
            weight = weights[sample, entries[entry]]
            value = context[sample, pixels[entry]]
            for channel in range(channels):
                total[channel] += weight * value[channel]


@numba.njit(cache=True, nogil=True)
def _scatter(gradient, weights, context, cell_of, to_weights, to_context, first, step):
    """Gradients of the pixels first, first + step, ...: gradient (B, P, C), weights (B, N, K), context (B, N, C),
    cell_of (N, K) or -1, to_weights (B, N, K) and to_context (B, N, C), which are filled."""
    pixels, bins, channels = context.shape[1], weights.shape[2], context.shape[2]
    whole = channels - channels % _LANES
    lanes = np.zeros(_LANES, dtype=np.float32)
    for job in range(first, context.shape[0] * pixels, step):
        sample, pixel = job // pixels, job % pixels
        value, total = context[sample, pixel], to_context[sample, pixel]
        total[:] = 0.0
        for k in range(bins):
            cell = cell_of[pixel, k]
            if cell < 0:
                to_weights[sample, pixel, k] = 0.0
                continue
            above, weight = gradient[sample, cell], weights[sample, pixel, k]
            lanes[:] = 0.0
            for block in range(0, whole, _LANES):
                for lane in range(_LANES):
                    lanes[lane] += above[block + lane] * value[block + lane]
            dot = lanes.sum()
            for channel in range(whole, channels):
                dot += above[channel] * value[channel]
            to_weights[sample, pixel, k] = dot
            for channel in range(channels):
                total[channel] += weight * above[channel]


@numba.njit(cache=True, parallel=True)
def _gather_parallel(weights, context, entries, pixels, starts, out, threads):
    for thread in numba.prange(threads):
        _gather(weights, context, entries, pixels, starts, out, thread, threads)


@numba.njit(cache=True, parallel=True)
def _scatter_parallel(gradient, weights, context, cell_of, to_weights, to_context, threads):
    for thread in numba.prange(threads):
        _scatter(gradient, weights, context, cell_of, to_weights, to_context, thread, threads)


def _run(serial: Callable[..., None], parallel: Callable[..., None], *arrays: Any) -> None:
    """On as many threads as torch may use; alone where that is one (data workers), which starts no thread pool."""
    threads = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if threads > 1 and _threads.acquire(blocking=False):
        try:
            numba.set_num_threads(threads)
            parallel(*arrays, threads)
        finally:
            _threads.release()
    else:
        serial(*arrays, 0, 1)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@torch.library.custom_op("e2e_drive::lift_splat", mutates_args=(), device_types="cpu")
def lift_splat(
    weights: Tensor, context: Tensor, entries: Tensor, pixels: Tensor, starts: Tensor, cell_of: Tensor
) -> Tensor:
    """weights (B, N, K) and context (B, N, C), both float32; entries (E,) into N*K, pixels (E,) into N, sorted by cell,
    starts (P+1,) and cell_of (N, K), which is -1 where a pair falls into no cell: int32 -> (B, P, C)."""
    for name, tensor in {"weights": weights, "context": context}.items():
        if tensor.dtype != torch.float32:
            raise ValueError(f"lift_splat: {name} must be float32, received {tensor.dtype}")
    out = torch.empty(len(context), len(starts) - 1, context.shape[2])
    arrays = (*map(_numpy, (weights.flatten(1), context, entries, pixels, starts)), out.numpy())
    _run(_gather, _gather_parallel, *arrays)
    return out


@torch.library.custom_op("e2e_drive::lift_splat_backward", mutates_args=(), device_types="cpu")
def _lift_splat_backward(gradient: Tensor, weights: Tensor, context: Tensor, cell_of: Tensor) -> tuple[Tensor, Tensor]:
    to_weights, to_context = torch.empty(weights.shape), torch.empty(context.shape)
    arrays = (*map(_numpy, (gradient, weights, context, cell_of)), to_weights.numpy(), to_context.numpy())
    _run(_scatter, _scatter_parallel, *arrays)
    return to_weights, to_context


@lift_splat.register_fake
def _(weights: Tensor, context: Tensor, entries: Tensor, pixels: Tensor, starts: Tensor, cell_of: Tensor) -> Tensor:
    return context.new_empty(context.shape[0], starts.shape[0] - 1, context.shape[2])


@_lift_splat_backward.register_fake
def _(gradient: Tensor, weights: Tensor, context: Tensor, cell_of: Tensor) -> tuple[Tensor, Tensor]:
    return weights.new_empty(weights.shape), context.new_empty(context.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    weights, context, _, _, _, cell_of = inputs
    ctx.save_for_backward(weights, context, cell_of)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    to_weights, to_context = _lift_splat_backward(gradient, *ctx.saved_tensors)
    return to_weights, to_context, None, None, None, None


lift_splat.register_autograd(_backward, setup_context=_keep)


@register_flop_formula(torch.ops.e2e_drive.lift_splat)
def _flops(weights: Any, context: Any, entries: Any, *args: Any, **kwargs: Any) -> int:
    """Shapes -> a multiplication and an addition for every pair and channel."""
    return 2 * context[0] * entries[0] * context[2]
