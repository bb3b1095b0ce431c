"""Selective copying after "Mamba" (arXiv 2312.00752, section 4.1.1): remember what counts,
at random distances, and repeat it.

A sequence is mostly noise, token 0. Sixteen tokens of 1 to 14 stand at random steps of it. Then
token 15 follows 16 times, and the label of each of these steps is the next token to repeat;
other steps have no label.
"""

import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data import generated
from ssm_hdl.sw.data.dataset import InputSpec

REMEMBERED = 16
"""Tokens to repeat."""

SPEC = InputSpec(
    "copying",
    "UQ(4, 0)",
    mean=(0.0,),
    std=(1.0,),
    steps=256 + REMEMBERED,
    classes=16,
    tokens=16,
    per_step=True,
)
"""A code is one of 16 tokens."""

SIZES = (32_768, 1_000, 1_000)
"""Samples of the three parts, at 272 steps."""

NOISE, ASK = 0, 15


def generate(
    count: int,
    steps: int = SPEC.steps,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Sequences: codes (count, steps, 1) and labels (count, steps).

    Args:
        count: of samples.
        steps: of a sequence.
        seed: another one makes other samples; the first samples do not depend on the count.
        progress: called with the number of samples made since the last call.

    Raises:
        SsmHdlError: fewer than 32 steps, which do not hold the tokens and their copies.
    """
    if steps < 2 * REMEMBERED:
        raise SsmHdlError(
            f"{steps} steps are too few to copy {REMEMBERED} tokens; give {2 * REMEMBERED} or more"
        )
    source = random.Random(seed)  # Python's own: its sequence does not change between versions
    codes, labels = np.full((count, steps, 1), NOISE, np.uint8), np.full((count, steps), UNLABELLED)
    for number in range(count):
        keys = np.frombuffer(source.randbytes(4 * (steps - REMEMBERED)), np.uint32)
        places = np.sort(np.argsort(keys, kind="stable")[:REMEMBERED])
        tokens = 1 + generated.uniform(source, REMEMBERED, ASK - 1)
        codes[number, places, 0], codes[number, -REMEMBERED:] = tokens, ASK
        labels[number, -REMEMBERED:] = tokens
        if progress is not None:
            progress(1)
    return codes, labels
