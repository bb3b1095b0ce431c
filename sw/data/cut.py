"""Parts of a data set, and windows of a recording."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "val", "test")
"""Parts of a data set; a file may give their numbers."""

SHARES = (0.7, 0.15)
"""Of training and validation where nothing is given; the rest is the test."""

VALIDATION = 0.1
"""Share of the training part that validates where only training and test are given."""

SEED = 0
"""Of the order before a division, the same for every command."""

Array = NDArray[Any]


def parts_of(count: int, given: Array | None, ordered: bool) -> Array:
    """The number of the part of each entry (count,).

    Args:
        count: samples, or steps of a recording.
        given: the same, as the file has them; without validation,
            a tenth of the training part becomes that.
        ordered: neighbours depend on each other, so every part is a stretch;
            otherwise entries are drawn at random.
    """
    parts = np.full(count, PARTS.index("train")) if given is None else given.copy()
    chosen = np.flatnonzero(parts == PARTS.index("train"))
    order = chosen if ordered else np.random.default_rng(SEED).permutation(chosen)
    if given is None:
        first, second = (round(sum(SHARES[:number]) * count) for number in (1, 2))
        parts[order[first:second]], parts[order[second:]] = PARTS.index("val"), PARTS.index("test")
    elif not (given == PARTS.index("val")).any() and len(chosen) > 1:
        parts[order[-max(1, round(VALIDATION * len(chosen))) :]] = PARTS.index("val")
    return parts


@dataclass(frozen=True)
class Cut:
    """Windows of a recording.

    Attributes:
        starts: first step of each window (n,).
        window: steps of a window.
        lengths: steps of each window that are inside of its stretch (n,); None if all are.
        parts: the part of each window (n,).
    """

    starts: Array
    window: int
    lengths: NDArray[np.int64] | None
    parts: Array

    @classmethod
    def plan(cls, parts: Array, recordings: Array | None, window: int, hop: int) -> "Cut":
        """Cut every stretch of one part and one recording; its last window may be shorter.

        Args:
            parts: of each step (steps,).
            recordings: a number for each step (steps,), or None for a single recording.
            window: steps of a window, at most of the longest stretch.
            hop: steps between windows of the training part; others do not overlap,
                so no step is scored twice.
        """
        change = np.diff(parts) != 0
        if recordings is not None:
            change |= np.diff(recordings) != 0
        borders = np.concatenate([[0], np.flatnonzero(change) + 1, [len(parts)]])
        # the rest would be padding in every window
        window = min(window, int(np.diff(borders).max()))
        starts, lengths = [], []
        for begin, end in pairwise(borders.tolist()):
            step = min(hop if parts[begin] == PARTS.index("train") else window, len(parts))
            # The last one reaches the end; with gaps between windows, it begins before it.
            count = min(1 + -(-max(0, end - begin - window) // step), -(-(end - begin) // step))
            first = begin + step * np.arange(count)
            starts.append(first)
            lengths.append(np.minimum(window, end - first))
        start, length = np.concatenate(starts), np.concatenate(lengths).astype(np.int64)
        return cls(start, window, None if (length == window).all() else length, parts[start])

    def apply(self, array: Array, padding: float) -> Array:
        """Windows (n, window, ...) of an array (steps, ...)."""
        steps = self.starts[:, np.newaxis] + np.arange(self.window)
        windows = array[np.minimum(steps, len(array) - 1)]
        if self.lengths is not None:
            windows[np.arange(self.window) >= self.lengths[:, np.newaxis]] = padding
        return windows
