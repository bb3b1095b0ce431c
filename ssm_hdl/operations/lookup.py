"""Lookup: any unary function as an integer table."""

from typing import Literal

from pydantic import field_validator

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Format
from ssm_hdl.functions import FUNCTIONS, table
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary

MAX_ADDRESS_BITS = 12
"""Widest input of a table: 4,096 entries, 8 block RAMs of an iCE40."""

MAX_RESULT_BITS = 32
"""Widest output: functions are computed to 40 digits."""


class Lookup(Unary):
    """y = f(x), element by element, from a table that follows from the two formats.

    Attributes:
        function: a name in `ssm_hdl.functions.FUNCTIONS`.
        format: format of y.
    """

    of_a_layer = Unary.of_a_layer | {"function"}

    op: Literal["lookup"] = "lookup"
    function: str
    format: Format

    @field_validator("function")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FUNCTIONS:
            raise ValueError(f"no function {value!r}; there are {', '.join(sorted(FUNCTIONS))}")
        return value

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: ``table`` (2**width,), indexed by the bit pattern of x."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.format.width > MAX_ADDRESS_BITS:
            raise SsmHdlError(
                f"{self.name}: its input {x.name} is {x.format}, {x.format.width} bits; "
                f"a table takes at most {MAX_ADDRESS_BITS}: give {x.name} a narrower format"
            )
        if self.format.width > MAX_RESULT_BITS:
            raise SsmHdlError(
                f"{self.name}: {self.format} is wider than the {MAX_RESULT_BITS} bits that tables "
                "are computed for"
            )
        entries = table(self.function, x.format, self.format)
        output = Edge(self.name, x.size, self.format, per_sequence=x.per_sequence)
        return Node(self, inputs, output, self.format, {"table": entries})
