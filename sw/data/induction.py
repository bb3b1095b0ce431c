"""Induction heads after "Mamba" (arXiv 2312.00752, appendix E.1):
recall what followed a token when it comes again.

A sequence is random tokens of 0 to 14. The special token, 15, stands at a random step of it and at
the last. The class of the sequence is the token after the first of the two. A model is trained at
256 steps and tested at others, up to a million.
"""

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import generated
from ssm_hdl.sw.data.dataset import InputSpec

SPEC = InputSpec("induction", "UQ(4, 0)", mean=(0.0,), std=(1.0,), steps=256, classes=16, tokens=16)
"""A code is one of 16 tokens."""

SIZES = (8_192, 1_000, 2_000)
"""Samples of the three parts, at 256 steps."""

SPECIAL = 15


def generate(
    count: int,
    steps: int = SPEC.steps,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Sequences: codes (count, steps, 1) and classes (count,).

    Args:
        count: of samples.
        steps: of a sequence.
        seed: another one makes other samples; the first samples do not depend on the count.
        progress: called with the number of samples made since the last call.

    Raises:
        SsmHdlError: fewer than 3 steps, which do not hold both special tokens and one between them.
    """
    if steps < 3:
        raise SsmHdlError(f"{steps} steps are too few for induction heads; give 3 or more")
    source = random.Random(seed)  # Python's own: its sequence does not change between versions
    codes, labels = np.empty((count, steps, 1), np.uint8), np.empty(count, np.int64)
    for number in range(count):
        tokens = generated.uniform(source, steps, SPECIAL)
        place = int(source.random() * (steps - 2))
        labels[number] = tokens[place + 1]
        tokens[[place, -1]] = SPECIAL
        codes[number, :, 0] = tokens
        if progress is not None:
            progress(1)
    return codes, labels
