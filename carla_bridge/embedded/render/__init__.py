"""Pictures of the embedded world: a rasteriser on the CPU (numba), no graphics library needed."""

from .renderer import Frame, Renderer

__all__ = ["Frame", "Renderer"]
