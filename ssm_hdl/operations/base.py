"""What all operations of a manifest share: the edges of the graph, the tensors,
and the bound node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.tensors import MAX_SPREAD, Scaled, Strict, Tensor, Tensors

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""Names become Verilog identifiers: a lower-case letter, then letters, digits and underscores."""

MAX_SIZE = 1 << 16
"""Most elements of a packet; a state of 65,536 elements of 4 bits fills the block RAMs of
the largest device."""

Size = Annotated[int, Field(strict=True, ge=1, le=MAX_SIZE)]
"""Elements of a packet."""


@dataclass(frozen=True)
class Edge:
    """A stream from one operation to the next: a packet of elements for every time step.

    Attributes:
        name: the operation (or the input) that produces it.
        size: elements in a packet.
        format: format of an element; of each of its two parts if it is complex.
        is_complex: an element is a pair (real, imaginary).
        per_sequence: there is one packet per sequence, not per time step.
    """

    name: str
    size: int
    format: Format
    is_complex: bool = False
    per_sequence: bool = False

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return self.format.width * (2 if self.is_complex else 1)

    def __str__(self) -> str:
        return f"{self.name} in {self.format}"


@dataclass(frozen=True)
class Node:
    """An operation with its edges and its integer arrays:
    the input of the golden model and of the gateware.

    Attributes:
        op: the operation as the manifest states it.
        inputs: the edges it reads, in order.
        output: the edge it writes.
        accumulator: format of the widest number inside. For a sum it follows from the arrays by
            interval arithmetic, so the sum cannot overflow.
        arrays: integer arrays by the name of their field, in the formats of ``op``.
        multiplications: products per packet.
        vocabulary: tokens that its input can be; 0 if its input are numbers.
        choices: what a code of its output chooses from; 0 if its output are numbers.
    """

    op: "Operation"
    inputs: tuple[Edge, ...]
    output: Edge
    accumulator: Format
    arrays: Mapping[str, Codes] = field(default_factory=dict)
    multiplications: int = 0
    vocabulary: int = 0
    choices: int = 0

    @property
    def name(self) -> str:
        """Name of the operation, and of its output edge."""
        return self.op.name


class Operation(Strict):
    """Fields of every operation; ``bind`` checks one against its inputs and its tensors.

    Attributes:
        name: name of the operation and of its output edge.
        op: which operation it is.
        of_a_layer: fields that may differ between layers that share a stage: names,
            constants and formats.
        widths: formats of which only the binary point may differ between these layers.
        shaped: arrays whose shapes have to agree between these layers.
    """

    of_a_layer: ClassVar[frozenset[str]] = frozenset(
        {"name", "input", "inputs", "format", "weight", "bias"}
    )
    widths: ClassVar[tuple[str, ...]] = ()
    shaped: ClassVar[tuple[str, ...]] = ()

    name: Name
    op: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the edges that it reads."""
        raise NotImplementedError

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """The tensors that QAT trains."""
        return ()

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """The operation with its edges and arrays, checked.

        Every exact number that the operation computes fits `MAX_WIDTH` bits: shifted operands,
        products, sums, and a sum shifted to the output's fraction bits. So NumPy,
        float64 with fewer bits, and RTL compute the same.

        Args:
            inputs: its input edges, in the order of ``sources``.
            tensors: the arrays of the manifest.
            steps: longest sequence, in time steps.

        Raises:
            SsmHdlError: shapes, formats or values that do not fit, named.
        """
        raise NotImplementedError

    def refuse_complex(self, inputs: tuple[Edge, ...]) -> None:
        """An error unless all inputs are real."""
        for edge in inputs:
            if edge.is_complex:
                raise SsmHdlError(
                    f"{self.name}: {edge.name} is complex; "
                    "take its real part with a complex dense first"
                )


class Unary(Operation):
    """An operation with one input."""

    input: Name

    @property
    def sources(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)


class OverTime(Unary):
    """What makes one packet of a sequence."""

    def once(self, x: Edge, format: Format) -> Edge:
        """The output edge.

        Raises:
            SsmHdlError: x is complex, or comes once per sequence.
        """
        self.refuse_complex((x,))
        if x.per_sequence:
            raise SsmHdlError(
                f"{self.name}: its input {x.name} comes once per sequence; "
                "there is nothing to sum over time"
            )
        return Edge(self.name, x.size, format, per_sequence=True)

    def sums(self, x: Edge, steps: int) -> Format:
        """The accumulator of ``steps`` packets of x."""
        return bound(
            self.name,
            (x, f"{steps} steps"),
            steps * x.format.min,
            steps * x.format.max,
            x.format.f_bits,
        )


class Binary(Operation):
    """An element-wise operation with two real inputs of one size."""

    inputs: tuple[Name, Name]
    format: Format

    @property
    def sources(self) -> tuple[str, ...]:
        """The two inputs."""
        return self.inputs

    def check(self, inputs: tuple[Edge, ...]) -> Edge:
        """The output edge of an element-wise operation on two edges."""
        self.refuse_complex(inputs)
        a, b = inputs
        if a.size != b.size:
            raise SsmHdlError(
                f"{self.name}: {a.name} has {a.size} elements and {b.name} has {b.size}; "
                "they must agree"
            )
        if a.per_sequence != b.per_sequence:
            once, every = (a, b) if a.per_sequence else (b, a)
            raise SsmHdlError(
                f"{self.name}: {once.name} comes once per sequence and {every.name} every time "
                f"step; pool {every.name} first"
            )
        return Edge(self.name, a.size, self.format, per_sequence=a.per_sequence)


__all__ = [
    "MAX_SIZE",
    "MAX_SPREAD",
    "Binary",
    "Edge",
    "Name",
    "Node",
    "Operation",
    "OverTime",
    "Scaled",
    "Size",
    "Strict",
    "Tensor",
    "Tensors",
    "Unary",
]
