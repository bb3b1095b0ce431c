"""Pathfinder after the rules of the Long Range Arena (arXiv 2011.04006, section 2.2.5; Linsley et
al., arXiv 1805.08315).

A picture of 32 x 32 pixels shows two long dashed paths that do not touch, a few short ones, and two
discs. The class is 1 if the discs sit on the two ends of one long path, and 0 if they sit on the
start of one and the end of the other. The picture is read in row order, 1,024 steps of one byte.

The sizes are from the builder of the Arena's hard set of 32 x 32:

- Dashes are 2 pixels long and half a pixel thick, with a margin of 1 pixel.
  So the gap between the dashes of a path is 2 pixels.
- Dashes that are not neighbours on a path keep a distance of 2.5 pixels, middle to middle.
- Long paths have 14 dashes. There are five short paths of 14 // 3 = 4 dashes,
  left out where there is no room.
- The long paths begin 7 pixels apart, the first of them at least 14 pixels from the border.
- Discs have a radius of 1.5 pixels.
- From dash to dash a path turns by an angle of density cos^2, 90 degrees at most (continuity 1).

Two things differ from the original program: masks are on a grid of quarter pixels,
and a stuck long path gives up the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.sw.data.dataset import InputSpec

Floats = NDArray[np.float64]

SIZE = 32
"""Pixels of a side."""

SPEC = InputSpec(
    "pathfinder", "UQ(0, 8)", mean=(0.088,), std=(0.215,), steps=SIZE * SIZE, classes=2
)
"""A code is a byte; mean and std are taken over all pixels."""

SIZES = (20_000, 2_000, 2_000)
"""Samples of the three parts; the Arena has 160,000, 20,000 and 20,000."""

LENGTH, THICKNESS, MARGIN, BORDER = 2.0, 0.5, 1.0, 1.0
"""Sizes of a dash in pixels, and the width of the border that stays free of dashes."""

DISTANCE = 2 * MARGIN + THICKNESS
"""Least distance of dashes that are not neighbours."""

DASHES, SHORT, SHORT_DASHES = 14, 5, 4
"""Dashes per long path, number of short paths, and dashes per short path."""

SEED_DISTANCE, RADIUS, CONTRAST = 7.0, 1.5, 1.5
"""Pixels between the starts of the long paths, radius of a disc in pixels,
and the gain of a dash's brightness."""

FINE = 4
"""Cells per pixel, in both directions, in the grid of the masks and of the drawing."""

TRIES = 24
"""Turns or places tried before a path counts as stuck."""

SHORT_TRIES = 5
"""Attempts at a short path before it is left out."""

BATCH = 256
"""Pictures generated side by side."""

_EDGE = int(DISTANCE * FINE)
_CELLS = SIZE * FINE + 2 * _EDGE
_ALONG = np.linspace(0, 1, 5)[:, np.newaxis]
_SQUARE = np.indices((2 * _EDGE + 1, 2 * _EDGE + 1)) - _EDGE
_NEAR = (_SQUARE[0] * _CELLS + _SQUARE[1])[np.hypot(*_SQUARE) <= _EDGE]
"""Offsets from the number of a cell to the cells near it. The fine grid of cells has an edge around
it, so that offsets fit."""


@dataclass(frozen=True)
class Scenes:
    """Dashes of n pictures, given by their two ends (y, x) in pixels from the upper left corner.

    Attributes:
        long: (n, 2, 14, 2, 2), along the paths.
        short: (n, 5, 4, 2, 2).
        placed: (n, 5), which of the short paths exist.
    """

    long: Floats
    short: Floats
    placed: NDArray[np.bool_]

    def discs(self, labels: NDArray[np.int64], first: NDArray[np.int64]) -> Floats:
        """Middles (n, 2, 2) of the discs: on the start of path ``first`` (n,),
        and on the end of the same or of the other one."""
        picture = np.arange(len(labels))
        starts, ends = (
            self.long[picture, first, 0, 0],
            self.long[picture, first ^ (labels == 0), -1, 1],
        )
        return np.stack([starts, ends], 1)


def generate(
    count: int, seed: int = 0, progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures as codes (count, 1024, 1) and classes (count,), 0 and 1 in turn.

    Args:
        count: of samples.
        seed: another one makes other samples; the first samples do not depend on the count.
        progress: called with the number of samples made since the last call.
    """
    random, done = np.random.default_rng(seed), 0
    codes, labels = np.zeros((count, SPEC.steps, 1), np.uint8), np.arange(count) % 2
    while done < count:
        scenes = make_scenes(random)
        first = random.integers(2, size=len(scenes.long))
        new = min(len(first), count - done)
        part = slice(done, done + new)
        pictures = draw(scenes, scenes.discs(np.arange(done, done + len(first)) % 2, first))
        codes[part] = pictures.reshape(len(first), SPEC.steps, 1)[:new]
        done += new
        if progress is not None:
            progress(new)
    return codes, labels


def make_scenes(random: np.random.Generator) -> Scenes:
    """A batch of scenes without the pictures in which a long path got stuck."""
    near = np.zeros((BATCH, _CELLS**2), bool)  # cells within DISTANCE of a dash
    long = np.zeros((BATCH, 2, DASHES, 2, 2))
    start = random.uniform(2 * SEED_DISTANCE, SIZE - 2 * SEED_DISTANCE, (BATCH, 2))
    between, *angles = random.uniform(-np.pi, np.pi, (3, BATCH))
    for path, angle in enumerate(angles):
        begin = start + path * SEED_DISTANCE * _unit(between)
        long[:, path, 0] = np.stack([begin, begin + LENGTH * _unit(angle)], 1)
    alive = np.arange(BATCH)
    for number in range(1, DASHES):
        for path in range(2):
            # The newest dash of the opposite path, which is not in the masks yet.
            avoid = long[alive, 1 - path, number - 1 + path]
            dash, well = _extend(random, long[alive, path, number - 1], near, alive, avoid)
            alive = alive[well]
            long[alive, path, number] = dash[well]
            # One dash late: the next dash of a path is nearer to its neighbour than DISTANCE.
            _mark(near, alive, long[alive, path, number - 1])
    for path in range(2):
        _mark(near, alive, long[alive, path, -1])
    near, long = near[alive], long[alive]
    short, placed = (
        np.zeros((len(alive), SHORT, SHORT_DASHES, 2, 2)),
        np.zeros((len(alive), SHORT), bool),
    )
    for path in range(SHORT):
        missing = np.arange(len(alive))
        for _ in range(SHORT_TRIES):
            grown, well = _short_path(random, near, missing)
            short[missing[well], path], placed[missing[well], path] = grown[well], True
            for number in range(SHORT_DASHES):
                _mark(near, missing[well], grown[well, number])
            missing = missing[~well]
    return Scenes(long, short, placed)


def draw(scenes: Scenes, discs: Floats) -> NDArray[np.uint8]:
    """Draw scenes and discs with middles (n, 2, 2): pictures (n, 32, 32), white on black,
    with soft edges."""
    count = len(scenes.long)
    lines = np.zeros((count, _CELLS**2), bool)
    for paths, there in ((scenes.long, np.ones((count, 2), bool)), (scenes.short, scenes.placed)):
        picture, path = np.nonzero(there)
        dashes = paths[picture, path]
        along = dashes[:, :, 1] - dashes[:, :, 0]
        across = along[..., ::-1] * (THICKNESS / 4 / LENGTH) * [1, -1]
        for side in (-1, 1):
            points = (
                dashes[:, :, :1] + np.linspace(0, 1, 17)[:, np.newaxis] * along[:, :, np.newaxis]
            )
            lines[
                picture[:, np.newaxis, np.newaxis], _cell(points + side * across[:, :, np.newaxis])
            ] = True
    lines = lines.reshape(count, _CELLS, _CELLS)[:, _EDGE:-_EDGE, _EDGE:-_EDGE]
    middles = (np.arange(SIZE * FINE) + 0.5) / FINE
    away = [np.square(middles - discs[..., axis, np.newaxis]) for axis in range(2)]
    inside = (away[0][..., np.newaxis] + away[1][..., np.newaxis, :] <= RADIUS**2).any(1)
    brightness = np.maximum(np.minimum(1, CONTRAST * _average(lines)), _average(np.asarray(inside)))
    return np.round(255 * brightness).astype(np.uint8)


def _short_path(
    random: np.random.Generator, near: NDArray[np.bool_], rows: NDArray[np.int64]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Short paths (n, 4, 2, 2) in pictures ``rows`` (n,), and which of them are complete."""
    own = near[rows]
    own_rows = np.arange(len(rows))
    begin = random.uniform(BORDER, SIZE - BORDER, (len(rows), TRIES, 2))
    end = begin + LENGTH * _unit(random.uniform(-np.pi, np.pi, (len(rows), TRIES)))
    dashes = np.zeros((len(rows), SHORT_DASHES, 2, 2))
    candidates = np.stack([begin, end], -2)
    dashes[:, 0], well = _choose(random, candidates, _free(candidates, own, own_rows).astype(float))
    for number in range(1, SHORT_DASHES):
        dashes[:, number], free = _extend(random, dashes[:, number - 1], own, own_rows)
        _mark(own, own_rows, dashes[:, number - 1])
        well &= free
    return dashes, well


def _extend(
    random: np.random.Generator,
    last: Floats,
    near: NDArray[np.bool_],
    rows: NDArray[np.int64],
    avoid: Floats | None = None,
) -> tuple[Floats, NDArray[np.bool_]]:
    """The dashes (n, 2, 2) that follow ``last`` (n, 2, 2), and which of them fit."""
    along = (last[:, 1] - last[:, 0]) / LENGTH
    pivot = (last[:, 1] + MARGIN * along)[:, np.newaxis]
    # An even grid with one random offset, then a choice by weight: few tries cover all angles.
    turns = np.pi * ((np.arange(TRIES) + random.random((len(last), 1))) / TRIES - 0.5)
    ahead = _unit(np.arctan2(along[:, 0], along[:, 1])[:, np.newaxis] + turns)
    candidates = np.stack([pivot + MARGIN * ahead, pivot + (MARGIN + LENGTH) * ahead], -2)
    return _choose(random, candidates, np.cos(turns) ** 2 * _free(candidates, near, rows, avoid))


def _free(
    candidates: Floats,
    near: NDArray[np.bool_],
    rows: NDArray[np.int64],
    avoid: Floats | None = None,
) -> NDArray[np.bool_]:
    """Which candidates (n, tries, 2, 2) are inside and free of the dashes of pictures ``rows`` and
    ``avoid`` (n, 2, 2)."""
    points = _points(candidates)
    free = np.asarray(((points >= BORDER) & (points <= SIZE - BORDER)).all((2, 3)))
    free &= ~near[rows[:, np.newaxis, np.newaxis], _cell(points)].any(2)
    if avoid is not None:
        apart = points[:, :, :, np.newaxis] - _points(avoid)[:, np.newaxis, np.newaxis]
        free &= (np.square(apart).sum(-1) >= DISTANCE**2).all((2, 3))
    return free


def _choose(
    random: np.random.Generator, candidates: Floats, weights: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Draw one of candidates (n, tries, 2, 2) with probabilities proportional to their weights;
    and whether any has a weight."""
    sums = weights.cumsum(1)
    chosen = (sums <= random.random((len(sums), 1)) * sums[:, -1:]).sum(1).clip(max=TRIES - 1)
    return candidates[np.arange(len(sums)), chosen], sums[:, -1] > 1e-4


def _mark(near: NDArray[np.bool_], rows: NDArray[np.int64], dashes: Floats) -> None:
    """Mark the cells near dashes (n, 2, 2) of pictures ``rows`` (n,) as occupied."""
    near[
        rows[:, np.newaxis, np.newaxis], _cell(_points(dashes)[:, ::2])[..., np.newaxis] + _NEAR
    ] = True


def _points(dashes: Floats) -> Floats:
    """Points (..., 5, 2) along dashes (..., 2, 2)."""
    return dashes[..., :1, :] + _ALONG * (dashes[..., 1:, :] - dashes[..., :1, :])


def _cell(points: Floats) -> NDArray[np.int64]:
    """Numbers of the cells of points (..., 2); points outside count to the outermost
    cells of the picture."""
    cells = np.clip(points * FINE, 0, SIZE * FINE - 1).astype(np.int64) + _EDGE
    return cells[..., 0] * _CELLS + cells[..., 1]


def _unit(angle: Floats) -> Floats:
    """Unit vectors (y, x)."""
    return np.stack([np.sin(angle), np.cos(angle)], -1)


def _average(cells: NDArray[np.bool_]) -> Floats:
    """The share of set cells in every pixel."""
    parts = cells.reshape(len(cells), SIZE, FINE, SIZE, FINE)
    average: Floats = parts.mean((2, 4))
    return average
