"""ListOps after the rules of the Long Range Arena (arXiv 2011.04006, section 2.2.1, and its
generator), shortened.

A sample is an expression such as ``[MAX 2 9 [MIN 4 7 ] 0 ]``; its class is its value, 0 to 9. A
tree begins at depth 1. A node of depth below 10 is an operator with probability 1/4, and otherwise
a digit, like every node of depth 10. An operator has 2 to 10 arguments. It is minimum, maximum,
median or the sum modulo 10, with equal probability. The median of an even number of arguments is
the mean of the middle two, rounded down.

Expressions are dropped if they repeat an earlier one, or if their number of tokens is not strictly
between a quarter of the steps and the steps. The Arena has 500 to 2,000 tokens. The default of 128
steps gives 33 to 127 tokens, which one core learns in half an hour.

Tokens are codes. Padding is code 0 and follows the expression, one token at least. So a streaming
model knows when the expression is over, and its state holds the result while the padding runs by.
The mean over all steps, which hardware takes with a constant factor, then sees the answer many
times. With the padding first, only the last step would hold the answer. All samples have the same
number of steps, so no length has to travel with them.
"""

import random
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data.dataset import InputSpec

OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
VOCABULARY = ("", *map(str, range(10)), *OPERATORS, "]")
"""Tokens by their code; the first is the padding."""

SPEC = InputSpec(
    "listops", "UQ(4, 0)", mean=(0.0,), std=(1.0,), steps=128, classes=10, tokens=len(VOCABULARY)
)
"""A code is one of 16 tokens."""

SIZES = (96_000, 2_000, 2_000)
"""Samples of the three parts, as the Arena has them."""

MAX_DEPTH, MAX_ARGUMENTS, OPERATOR_PROBABILITY = 10, 10, 0.25
_MIN, _MAX, _MED = range(3)
_DIGIT, _OPERATOR, _END = (
    VOCABULARY.index("0"),
    VOCABULARY.index(OPERATORS[0]),
    VOCABULARY.index("]"),
)


def generate(
    count: int,
    steps: int = SPEC.steps,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Different expressions: codes (count, steps, 1) and values (count,).

    Args:
        count: of samples.
        steps: tokens of a sample with its padding.
        seed: another one makes other samples; the first samples do not depend on the count.
        progress: called with the number of samples made since the last call.

    Raises:
        SsmHdlError: fewer than 16 steps, which leave too few different expressions.
    """
    if steps < 16:
        raise SsmHdlError(
            f"{steps} steps are too few for different expressions of ListOps; give 16 or more"
        )
    codes, labels = np.zeros((count, steps, 1), np.uint8), np.zeros(count, np.int64)
    for number, (tokens, value) in zip(range(count), _different(steps, seed), strict=False):
        codes[number, : len(tokens), 0] = tuple(tokens)
        labels[number] = value
        if progress is not None:
            progress(1)
    return codes, labels


def text(codes: NDArray[np.integer]) -> str:
    """The expression that codes (steps,) or (steps, 1) stand for, without its padding."""
    return " ".join(VOCABULARY[code] for code in np.ravel(codes) if code)


def _different(steps: int, seed: int) -> Iterator[tuple[bytes, int]]:
    """Expressions of a permitted length and their values, without repetitions."""
    # Python's own generator: its sequence does not change between versions,
    # so the samples stay the same.
    draw, seen = random.Random(seed).random, set[bytes]()
    while True:
        tokens: list[int] = []
        value = _tree(draw, tokens, steps, 1)
        if value is None or not steps // 4 < len(tokens) < steps:
            continue
        packed = bytes(tokens)
        if packed not in seen:
            seen.add(packed)
            yield packed, value


def _tree(draw: Callable[[], float], tokens: list[int], steps: int, depth: int) -> int | None:
    """Append a random expression to ``tokens``; its value,
    or None as soon as there are too many tokens."""
    if depth == MAX_DEPTH or draw() > OPERATOR_PROBABILITY:
        digit = int(10 * draw())
        tokens.append(_DIGIT + digit)
        return digit
    operator, count = int(len(OPERATORS) * draw()), 2 + int((MAX_ARGUMENTS - 1) * draw())
    tokens.append(_OPERATOR + operator)
    values: list[int] = []
    for _ in range(count):
        value = _tree(draw, tokens, steps, depth + 1)
        if value is None or len(tokens) >= steps:
            return None
        values.append(value)
    tokens.append(_END)
    values.sort()
    if operator == _MIN:
        return values[0]
    if operator == _MAX:
        return values[-1]
    if operator == _MED:
        return (values[(count - 1) // 2] + values[count // 2]) // 2
    return sum(values) % 10
