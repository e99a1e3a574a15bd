"""Colours of what people build and plant."""

from __future__ import annotations

from carla_bridge.embedded.towns.meshes import Colour, colour_of


def _colours(*hexadecimal: str) -> tuple[Colour, ...]:
    return tuple(map(colour_of, hexadecimal))


def shaded(colour: Colour, factor: float) -> Colour:
    """Darker (below 1) or lighter, never beyond white."""
    return min(1.0, colour[0] * factor), min(1.0, colour[1] * factor), min(1.0, colour[2] * factor)


WALLS = _colours(
    "#c9b79c",
    "#b5654a",
    "#d8d2c4",
    "#a89f91",
    "#8f9aa3",
    "#cdae7a",
    "#9c5b45",
    "#7f8c86",
    "#e0d6c0",
    "#b88d6a",
)
OFFICE_WALLS = _colours("#8fa3b0", "#a7a9a8", "#6f7f8c", "#c2c4c0", "#8c7b6b")
HOUSE_WALLS = _colours(
    "#e6dfd0", "#d9cdb4", "#c7a98a", "#b9775a", "#d3d5d0", "#c2cbb9", "#e3cfa0", "#aebcc4", "#a8604a"
)
VILLAGE_WALLS = _colours(
    "#e2dccd", "#cfc0a2", "#a59c8c", "#d8c9a8", "#b9ac9c", "#d6cfc4", "#9b6650", "#dfe0dc", "#8f8678"
)
HALL_WALLS = _colours("#b9bec2", "#9aa5ad", "#cfcfc8", "#8f9c94", "#a9b4bf", "#c7bfae")
BRANDS = _colours("#2b5c9e", "#b23a2e", "#2f7d4f", "#d08a1e", "#41454c", "#1f7f8c")
TILES = _colours("#8d4a37", "#6d4238", "#4b4f56", "#5a3f36")
HOUSE_TILES = _colours("#76493c", "#7d5547", "#5f4640", "#4b4f56", "#3f4247", "#6b4c40", "#55504c")
SLATES = _colours("#565b60", "#6a6258", "#6e4a3e", "#7a5446", "#5c554e")
FLAT_ROOF = colour_of("#77746e")
METAL_ROOF = _colours("#8b9094", "#7a8388", "#9a9c98")
DOORS = _colours("#4a3428", "#27405a", "#5a1f22", "#2d4a38", "#e4e2dc", "#3a3c40")
TRIM = colour_of("#e8e6e0")
BRICK = colour_of("#7d4536")
BARN_BOARDS = _colours("#6b4b35", "#7c3b2e", "#5c5148", "#74624c")
STONES = _colours("#8e887c", "#98917f", "#827d73", "#a19a8b")
CONCRETE = colour_of("#a3a19b")
FENCE_WOOD = _colours("#8a6a48", "#6f5a44", "#d9d6cc", "#a08868")
TRUNK = colour_of("#5d4632")
BIRCH = colour_of("#d3d0c6")
LEAVES = _colours("#3f6b2f", "#4c7a36", "#5a8440", "#376033", "#6f8a3d")
PALE_LEAVES = _colours("#7d9a4a", "#8aa050", "#6f9146")
POPLAR_LEAVES = _colours("#4d7338", "#587d3c")
BLOSSOM = _colours("#d9b3bd", "#e0d5d0")
HEDGES = _colours("#3c5f2e", "#476b33", "#35562f", "#527539")
NEEDLES = colour_of("#2f5434")
FOREST = _colours("#3b5a36", "#44663a")
HILLS = _colours("#57724d", "#6b8259", "#7f9163")
CROPS = _colours("#a8965a", "#8a9650", "#6f8a42", "#b3a266", "#766650", "#62833f", "#94a058", "#7b8f48")
PATH = colour_of("#a8a193")
DRIVE = colour_of("#8e8b86")
YARD = colour_of("#5b5b5d")
GRAVEL = colour_of("#a79d88")
LAMP_METAL = colour_of("#55585c")
LAMP_GLASS = colour_of("#d9d6c8")
STEEL = colour_of("#a9adb0")
DARK_STEEL = colour_of("#3c3f42")
PANE = colour_of("#31424c")
BENCH_WOOD = colour_of("#8b6440")
BIN_GREEN = colour_of("#31513a")
CAR_PAINTS = _colours("#b8bcc0", "#2b2d31", "#e6e6e2", "#6f7479", "#7c1f22", "#22406b", "#3d5a45", "#b59a6a", "#4f5b66")
