"""A scenario as a Leaderboard 2.x routes file states it: a type, a place that sets it off, parameters.

<scenario name="Accident_1" type="Accident">
  <trigger_point x="1.0" y="2.0" z="0.0" yaw="90.0" />
  <distance value="45" />
</scenario>
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field

from bev import Pose2D


@dataclass(frozen=True)
class ScenarioSpec:
    """trigger: on the route, ISO 8855, world frame. parameters: name of a child element -> its attributes, as in the
    file (CARLA's axes where they are places)."""

    name: str
    kind: str
    trigger: Pose2D
    z_m: float = 0.0
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """The parameter's `value`. ValueError for one that is no number."""
        text = self.parameters.get(name, {}).get("value")
        try:
            return default if text is None else float(text)
        except ValueError:
            raise ValueError(f"scenario {self.name}: {name} must be a number, received {text!r}") from None


def read_scenario(node: ElementTree.Element) -> ScenarioSpec:
    """From a <scenario> element. ValueError where something is missing."""
    name, point = node.attrib.get("name", "?"), node.find("trigger_point")
    try:
        assert point is not None
        x, y, yaw = (float(point.attrib[key]) for key in ("x", "y", "yaw"))
        kind = node.attrib["type"]
    except (AssertionError, KeyError, ValueError):
        raise ValueError(
            f"scenario {name}: needs a type and a <trigger_point> with the numbers x, y and yaw, received "
            f"{dict(node.attrib)} and {None if point is None else dict(point.attrib)}"
        ) from None
    rest = {child.tag: dict(child.attrib) for child in node if child.tag != "trigger_point"}
    return ScenarioSpec(name, kind, Pose2D(x, -y, -math.radians(yaw)), float(point.attrib.get("z", 0.0)), rest)


def add_scenario(parent: ElementTree.Element, spec: ScenarioSpec) -> None:
    """As a child of a <scenarios> element."""
    node = ElementTree.SubElement(parent, "scenario", name=spec.name, type=spec.kind)
    ElementTree.SubElement(
        node,
        "trigger_point",
        x=f"{spec.trigger.x:.2f}",
        y=f"{-spec.trigger.y:.2f}",
        z=f"{spec.z_m:.2f}",
        yaw=f"{-math.degrees(spec.trigger.yaw):.1f}",
    )
    for name, attributes in spec.parameters.items():
        ElementTree.SubElement(node, name, dict(attributes))
