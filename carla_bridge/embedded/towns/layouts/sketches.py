"""Street graphs drawn at random: bent grids and irregular webs, as points with links between them.

Right-handed coordinates, metres; headings in radians. Every node is a junction of three or four arms that stand well
apart; nodes of two arms have become bends of the link that passes them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.spatial import Delaunay

from carla_bridge.embedded.towns.curves import Point

LEAST_ANGLE = math.radians(56.0)  # between two neighbouring arms
STRAIGHT_ON = math.radians(34.0)  # arms that are opposite but for this become one line
NEAREST_M = 84.0  # two junctions
LONGEST_M = 185.0  # a link of a web
FEWEST = 6  # junctions
BOW_SHARE = 0.11  # of a link's length that it may bow aside


@dataclass(frozen=True)
class Link:
    """A street from node to node, over these points."""

    a: int
    b: int
    via: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One end of a link. straight: number of the link that carries on beyond the junction."""

    link: int
    at_start: bool
    heading: float  # away from the node
    straight: int | None = None


@dataclass(frozen=True)
class Sketch:
    """arms: of each node, counter-clockwise."""

    points: dict[int, Point]
    links: tuple[Link, ...]
    arms: dict[int, tuple[Arm, ...]]

    def strokes(self) -> list[list[int]]:
        """Links that carry one another straight on, the longest line first."""
        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from(range(len(self.links)))
        graph.add_edges_from(
            (arm.link, arm.straight) for arms in self.arms.values() for arm in arms if arm.straight is not None
        )
        found = [sorted(part) for part in nx.connected_components(graph)]
        return sorted(found, key=lambda part: (-sum(self.length(link) for link in part), part))

    def length(self, number: int) -> float:
        link = self.links[number]
        stops = [self.points[link.a], *link.via, self.points[link.b]]
        return sum(math.dist(p, q) for p, q in itertools.pairwise(stops))


def draw(rng: np.random.Generator, *, grid: bool, winding: float) -> Sketch | None:
    """winding: 0 straight streets .. 1 bowed ones. None where this draw makes no town."""
    graph, points = _grid(rng) if grid else _web(rng)
    _thin_out(rng, graph)
    if graph.number_of_nodes() < FEWEST or not nx.is_connected(graph) or nx.has_bridges(graph):
        return None
    links = _links(graph, points)
    if links is None:
        return None
    links = tuple(_bowed(rng, link, points, winding) for link in links)
    kept = sorted({node for link in links for node in (link.a, link.b)})
    arms = {node: _arms(node, points, links) for node in kept}
    if any(_tightest([arm.heading for arm in found]) < LEAST_ANGLE for found in arms.values()):
        return None
    return Sketch({node: points[node] for node in kept}, links, arms)


def _grid(rng: np.random.Generator) -> tuple[nx.Graph[int], dict[int, Point]]:
    rows, columns = [(3, 4), (4, 3), (3, 5), (4, 4)][int(rng.integers(4))]
    jitter = float(rng.choice([0.0, 3.0, 9.0]))
    shear = float(rng.uniform(-0.2, 0.2)) if jitter else 0.0
    turn = float(rng.uniform(0.0, math.tau))
    far = 132.0 if rows * columns < 14 else 112.0
    x = np.concatenate([[0.0], np.cumsum(rng.uniform(NEAREST_M + jitter, far + jitter, columns - 1))])
    y = np.concatenate([[0.0], np.cumsum(rng.uniform(NEAREST_M + jitter, far + jitter, rows - 1))])
    points, graph = {}, nx.Graph()
    for r, c in itertools.product(range(rows), range(columns)):
        px = x[c] - x[-1] / 2.0 + shear * (y[r] - y[-1] / 2.0) + rng.normal(0.0, jitter)
        py = y[r] - y[-1] / 2.0 + rng.normal(0.0, jitter)
        points[r * columns + c] = (
            float(px * math.cos(turn) - py * math.sin(turn)),
            float(px * math.sin(turn) + py * math.cos(turn)),
        )
        if c:
            graph.add_edge(r * columns + c - 1, r * columns + c)
        if r:
            graph.add_edge((r - 1) * columns + c, r * columns + c)
    return graph, points


def _web(rng: np.random.Generator) -> tuple[nx.Graph[int], dict[int, Point]]:
    """Points that keep their distance, the edges of their triangles, without those that make angles too small."""
    half = np.array([rng.uniform(170.0, 235.0), rng.uniform(140.0, 190.0)])
    found: list[Point] = []
    for _ in range(400):
        x, y = rng.uniform(-half, half)
        if all(math.dist((x, y), other) > NEAREST_M + 6.0 for other in found):
            found.append((float(x), float(y)))
        if len(found) == 17:
            break
    points = dict(enumerate(found))
    graph: nx.Graph[int] = nx.Graph()
    for corners in sorted(map(sorted, Delaunay(np.array(found)).simplices.tolist())):
        for a, b in itertools.combinations(corners, 2):
            if math.dist(points[a], points[b]) < LONGEST_M:
                graph.add_edge(a, b)
    while worst := _sharpest(graph, points):
        graph.remove_edge(*worst)
    return graph, points


def _sharpest(graph: nx.Graph[int], points: dict[int, Point]) -> tuple[int, int] | None:
    """The longer side of the smallest angle between two edges, if that is too small; or one edge too many."""
    worst: tuple[float, float, tuple[int, int]] | None = None
    for node in sorted(graph):
        around = sorted(graph[node], key=lambda other: _heading(points[node], points[other]))
        for one, other in zip(around, [*around[1:], *around[:1]], strict=True):
            if one == other:
                continue
            angle = (_heading(points[node], points[other]) - _heading(points[node], points[one])) % math.tau
            far = max((one, other), key=lambda n: math.dist(points[node], points[n]))
            least = LEAST_ANGLE + math.radians(8.0)
            if angle < (least if len(around) <= 4 else math.tau) and (worst is None or angle < worst[0]):
                worst = angle, 0.0, (node, far)
    return None if worst is None else worst[2]


def _heading(start: Point, end: Point) -> float:
    return math.atan2(end[1] - start[1], end[0] - start[0])


def _thin_out(rng: np.random.Generator, graph: nx.Graph[int]) -> None:
    """Takes some edges away where both ends have others, never the last way round; drops dead ends."""
    while dead := [node for node in sorted(graph) if graph.degree(node) < 2]:
        graph.remove_nodes_from(dead)
    edges = sorted(tuple(sorted(edge)) for edge in graph.edges)
    rng.shuffle(edges)
    for a, b in edges[: int(rng.integers(0, 4))]:
        if graph.degree(a) > 2 and graph.degree(b) > 2:
            graph.remove_edge(a, b)
            if nx.has_bridges(graph) or not nx.is_connected(graph):
                graph.add_edge(a, b)


def _links(graph: nx.Graph[int], points: dict[int, Point]) -> tuple[Link, ...] | None:
    """Chains of nodes with two edges become one link; None where one would bite its tail."""
    nodes = [node for node in sorted(graph) if graph.degree(node) > 2]
    found = []
    for node in nodes:
        for following in sorted(graph[node]):
            chain = [node, following]
            while graph.degree(chain[-1]) == 2:
                chain.append(next(n for n in sorted(graph[chain[-1]]) if n != chain[-2]))
            if chain[-1] == node:
                return None
            if chain < chain[::-1]:
                found.append(Link(node, chain[-1], tuple(points[n] for n in chain[1:-1])))
    return tuple(found) if len(nodes) >= FEWEST else None


def _bowed(rng: np.random.Generator, link: Link, points: dict[int, Point], winding: float) -> Link:
    """A straight link bows to one side or to both."""
    share, sides = float(rng.uniform(0.3, 1.0)) * winding * BOW_SHARE, rng.choice([-1.0, 1.0], 2)
    a, b = points[link.a], points[link.b]
    length = math.dist(a, b)
    if link.via or share < 0.015:
        return link
    ahead = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    bends = ((0.5, sides[0]),) if length < 135.0 else ((1.0 / 3.0, sides[0]), (2.0 / 3.0, sides[1]))
    via = tuple(
        (
            float(a[0] + length * (at * ahead[0] - side * share * ahead[1])),
            float(a[1] + length * (at * ahead[1] + side * share * ahead[0])),
        )
        for at, side in bends
    )
    return Link(link.a, link.b, via)


def _arms(node: int, points: dict[int, Point], links: tuple[Link, ...]) -> tuple[Arm, ...]:
    """Arms that are nearly opposite are bent into one line."""
    arms = {}
    for number, link in enumerate(links):
        stops = [points[link.a], *link.via, points[link.b]]
        if link.a == node:
            arms[number] = Arm(number, True, _heading(stops[0], stops[1]))
        elif link.b == node:
            arms[number] = Arm(number, False, _heading(stops[-1], stops[-2]))
    pairs = sorted(
        (abs(math.remainder(arms[p].heading - arms[q].heading - math.pi, math.tau)), p, q)
        for p, q in itertools.combinations(arms, 2)
    )
    for deviation, p, q in pairs:
        if deviation < STRAIGHT_ON and arms[p].straight is None and arms[q].straight is None:
            half = math.remainder(arms[q].heading - arms[p].heading - math.pi, math.tau) / 2.0
            axis = arms[p].heading + half
            arms[p] = Arm(p, arms[p].at_start, axis, q)
            arms[q] = Arm(q, arms[q].at_start, axis + math.pi, p)
    return tuple(sorted(arms.values(), key=lambda arm: arm.heading % math.tau))


def _tightest(headings: list[float]) -> float:
    ordered = sorted(h % math.tau for h in headings)
    return min((b - a) % math.tau for a, b in zip(ordered, [*ordered[1:], *ordered[:1]], strict=True))
