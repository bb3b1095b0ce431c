"""The picture of a pipeline: boxes apart, and wires that nobody takes for others."""

from itertools import combinations, pairwise
from pathlib import Path
from random import Random

import pytest
from random_graphs import random_manifest

from ssm_hdl import Manifest
from ssm_hdl.sw.layout import OUTPUT, Layout
from ssm_hdl.sw.wires import BOX, Wires

MANIFESTS = Path(__file__).parents[2] / "manifests"
DEEP = (
    "s4d-deep-16h-w8a8x8",
    "har-w8a8",
    "mamba-text-w8a8",
    "mamba-induction-w8a8x8-qat",
    "s5-mnist-w4a8",
)
CLOSE = 0.05
"""Inches; wires nearer than that would be one to the eye."""


def check(manifest):
    layout = Layout(manifest)
    wires = Wires(layout)
    corners = {name: wires.corner(name) for name in (manifest.input.name, *manifest.nodes, OUTPUT)}
    for (x, y), (u, v) in combinations(corners.values(), 2):
        assert abs(x - u) >= BOX[0] + CLOSE or abs(y - v) >= BOX[1] + CLOSE
    segments = []
    for source in layout.places:
        for reader in layout.readers(source):
            points = wires.wire(source, reader).points
            assert points[0] == (corners[source][0] + BOX[0], corners[source][1] + BOX[1] / 2)
            assert (
                points[-1][0] == corners[reader][0]
                and 0 < points[-1][1] - corners[reader][1] < BOX[1]
            )
            segments += [(source, *sorted(ends)) for ends in pairwise(points)]
    for source, (a, b), (c, d) in segments:
        assert (
            (a == c or b == d)
            and a >= 0
            and c <= wires.size[0]
            and min(b, d) >= 0
            and max(b, d) <= wires.size[1]
        )
        for x, y in corners.values():
            assert c <= x or a >= x + BOX[0] or max(b, d) <= y or min(b, d) >= y + BOX[1], (
                f"{source} runs through a box"
            )
    for (one, *first), (other, *second) in combinations(segments, 2):
        assert one == other or not beside(first, second), f"{one} and {other} look like one wire"
    return layout


def beside(first, second):
    """Whether two segments run side by side for a while, and too close."""
    for across in (0, 1):
        flat = [[point[across] for point in segment] for segment in (first, second)]
        if all(a == b for a, b in flat) and abs(flat[0][0] - flat[1][0]) < CLOSE:
            (a, b), (c, d) = (
                sorted(point[1 - across] for point in segment) for segment in (first, second)
            )
            return min(b, d) - max(a, c) > CLOSE
    return False


@pytest.mark.parametrize("name", ["digits", *DEEP])
def test_committed_manifests(name):
    layout = check(Manifest.load(MANIFESTS / name))
    layers = {n.removesuffix("_1"): place for n, place in layout.places.items() if n.endswith("_1")}
    assert bool(layers) == (name != "digits")
    for n, place in layers.items():  # all layers look alike, the first begins a line
        first = layout.places[f"{n}_0"]
        assert (first.column, first.lane) == (place.column, place.lane)
    assert name == "digits" or min(layout.places[f"{n}_0"].line for n in layers) == 1


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed):
    check(random_manifest(Random(seed), most=12))
