"""Camera features -> bird's-eye view through predicted depth: lift-splat (Philion, Fidler, arXiv 2008.05711).

Every pixel spreads its context along its ray in the shares of its depth distribution; a cell sums what falls into it.
Depth is a classification (`DepthBins`), so that it can be supervised (BEVDepth, arXiv 2206.10092).

Since the cameras are fixed to the car, which (pixel, bin) falls into which cell is a list, made once for a rig.

Shapes:  B batch   C channels   h, w feature map   K = bins.count + 1 depth classes, the last "farther"
         N pixels of all cameras   P = rows * columns cells   E (pixel, bin) pairs that fall into a cell
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bev.frustum import DepthBins, feature_shapes, frustum_cells
from bev.splat import lift_splat
from bev.types import BevGrid, CameraRig


class LiftSplat(nn.Module):
    """Contexts (B, C, h, w) of all cameras, then depth logits (B, K, h, w) of all cameras, both in the rig's order
    -> (B, C, rows, columns), channels last in memory.

    Sums, not means: a cell's magnitude grows with the pixels that look into it, so a normalisation should follow.
    """

    entries: Tensor
    pixels: Tensor
    cells: Tensor
    starts: Tensor
    cell_of: Tensor

    def __init__(
        self,
        rig: CameraRig,
        grid: BevGrid,
        bins: DepthBins,
        channels: int,
        stride: int,
        z_range_m: tuple[float, float] = (-3.0, 6.0),
    ) -> None:
        super().__init__()
        self.grid, self.bins, self.channels, self.stride, self.z_range_m = grid, bins, channels, stride, z_range_m
        self.set_rig(rig)

    def set_rig(self, rig: CameraRig) -> None:
        """Build the lists for these cameras (the calibration enters the network here, and only here)."""
        inside = frustum_cells(rig, self.grid, self.bins, self.stride, self.z_range_m)
        # The class "farther" lies nowhere.
        cell_of = np.pad(inside, ((0, 0), (0, 1)), constant_values=-1)
        pairs = np.flatnonzero(cell_of >= 0)
        order = np.argsort(cell_of.ravel()[pairs], kind="stable")
        entries = pairs[order]
        cells = cell_of.ravel()[entries]
        device = next(self.buffers(), torch.empty(0)).device
        for name, array in {
            "entries": entries,
            "pixels": entries // (self.bins.count + 1),
            "cells": cells,
            "starts": np.searchsorted(cells, np.arange(self.grid.rows * self.grid.columns + 1)),
            "cell_of": cell_of,
        }.items():
            # Not persistent: the weights of a model do not depend on the rig it looks through.
            self.register_buffer(name, torch.from_numpy(array.astype(np.int32)).to(device), persistent=False)
        self.shapes = feature_shapes(rig, self.stride)

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        weights, context = self._tables(inputs)
        if context.device.type == "cpu" and not torch.compiler.is_exporting():
            splatted = lift_splat(weights, context, self.entries, self.pixels, self.starts, self.cell_of)
        else:
            splatted = self._splat_by_index(weights, context)
        return (self._picture(splatted, inputs[0].dtype),)

    def reference(self, *inputs: Tensor, running: torch.dtype = torch.float64) -> tuple[Tensor]:
        """The same by the published method, the cumulative-sum trick over sorted pairs: slow and memory-hungry.

        running: type of the running sum. The published float32 loses digits, for sums of cells are differences of a
        sum over all pairs.
        """
        weights, context = self._tables(inputs)
        outer = weights[..., None] * context[:, :, None]  # (B, N, K, C): the frustum
        cells = self.cell_of.flatten().long()
        kept = (cells >= 0).nonzero().squeeze(1)
        order = cells[kept].argsort(stable=True)
        kept, values = cells[kept][order], outer.flatten(1, 2)[:, kept[order]]  # (E,), (B, E, C)
        total = values.to(running).cumsum(dim=1)
        last = torch.ones_like(kept, dtype=torch.bool)
        last[:-1] = kept[1:] != kept[:-1]
        ends = total[:, last]
        sums = torch.cat([ends[:, :1], ends[:, 1:] - ends[:, :-1]], dim=1).to(values.dtype)
        splatted = context.new_zeros(len(context), self.grid.rows * self.grid.columns, self.channels)
        splatted[:, kept[last]] = sums
        return (self._picture(splatted, inputs[0].dtype),)

    def _tables(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """-> depth shares (B, N, K) and contexts (B, N, C), float32."""
        count = len(self.shapes)
        if len(inputs) != 2 * count:
            raise ValueError(f"{count} cameras: {count} contexts and {count} depth logits, received {len(inputs)}")
        expected = [*((self.channels, *s) for s in self.shapes), *((self.bins.count + 1, *s) for s in self.shapes)]
        received = [tuple(tensor.shape[1:]) for tensor in inputs]
        if received != expected:
            raise ValueError(f"contexts and depth logits must be of shapes {expected}, received {received}")
        context, logits = (
            torch.cat([tensor.permute(0, 2, 3, 1).flatten(1, 2) for tensor in part], dim=1).float()
            for part in (inputs[:count], inputs[count:])
        )
        return logits.softmax(dim=-1), context

    def _splat_by_index(self, weights: Tensor, context: Tensor) -> Tensor:
        """(B, P, C) from operators that every device and exporter has; ONNX gathers by int64 only."""
        values = weights.flatten(1)[:, self.entries.long(), None] * context[:, self.pixels.long()]  # (B, E, C)
        empty = context.new_zeros(context.shape[0], self.grid.rows * self.grid.columns, self.channels)
        return empty.index_add(1, self.cells.long(), values)

    def _picture(self, splatted: Tensor, dtype: torch.dtype) -> Tensor:
        return splatted.unflatten(1, (self.grid.rows, self.grid.columns)).permute(0, 3, 1, 2).to(dtype)
