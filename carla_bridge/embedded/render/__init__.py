"""Pictures of the embedded world: a rasteriser on the CPU (numba), no graphics library needed."""

from .lens import DISPLAY_GAMMA, Lens
from .renderer import Frame, Renderer

__all__ = ["DISPLAY_GAMMA", "Frame", "Lens", "Renderer"]
