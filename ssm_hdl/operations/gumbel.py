"""Gumbel: noise that makes the largest of a packet a sample of its softmax."""

from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ssm_hdl.exact import bound, check_rounding
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.functions import gumbel
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary

ADDRESS_BITS = 10
"""Bits of the random numbers: 1,024 values of the noise."""


class Gumbel(Unary):
    """y = x + temperature * G, with noise G of the standard Gumbel distribution.

    The index of the largest y is a sample of softmax(x / temperature): the Gumbel-max trick. The
    noise is a table of the quantiles (i + 1/2) / 1024, read at the lowest bits of a xorshift
    generator, which starts at the seed with every sequence and makes a step for every element.

    Attributes:
        temperature: above 0; a higher one samples more evenly.
        seed: first state of the generator.
        format: format of y.
    """

    op: Literal["gumbel"] = "gumbel"
    temperature: Annotated[float, Field(gt=0, le=1024)]
    seed: Annotated[int, Field(strict=True, ge=1, lt=1 << 32)]
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: ``table`` (1024,), the noise with the fraction bits of x;
        the accumulator is the exact sum."""
        self.refuse_complex(inputs)
        (x,) = inputs
        noise = gumbel(self.temperature, ADDRESS_BITS, x.format.f_bits)
        low, high = x.format.min + min(noise), x.format.max + max(noise)
        accumulator = bound(
            self.name,
            (*inputs, f"noise of temperature {self.temperature:g}"),
            low,
            high,
            x.format.f_bits,
        )
        check_rounding(self.name, accumulator, x.format.f_bits, self.format)
        return Node(
            self,
            inputs,
            Edge(self.name, x.size, self.format, per_sequence=x.per_sequence),
            accumulator,
            {"table": np.array(noise, np.int64)},
        )

    def noise(self, node: Node, count: int) -> Codes:
        """The noise of the first elements of a sequence, (count,)."""
        noise: Codes = node.arrays["table"][_states(self.seed, count) & ((1 << ADDRESS_BITS) - 1)]
        return noise


def successor(state: Any) -> Any:
    """The next state of the generator (Marsaglia 2003, xorshift of 32 bits);
    takes integers and gateware values."""
    for shift in (13, -17, 5):
        state = state ^ ((state << shift if shift > 0 else state >> -shift) & 0xFFFFFFFF)
    return state


@lru_cache(maxsize=16)
def _states(seed: int, count: int) -> Codes:
    states = np.empty(count, np.int64)
    for place in range(count):
        states[place], seed = seed, successor(seed)
    return states
