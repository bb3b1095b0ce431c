"""What all operations of a manifest share: the edges of the graph, the tensors, and the bound node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import MAX_WIDTH, Codes, Format, requantize

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""Names become Verilog identifiers: a lower-case letter, then letters, digits and underscores."""

MAX_SPREAD = 15
"""Octaves between the largest and the smallest exponent of a tensor: the longest shift in front of a sum."""


@dataclass(frozen=True)
class Edge:
    """What flows from one operation to the next: a packet of elements for every time step.

    Attributes:
        name: the operation (or the input) that produces it.
        size: elements in a packet.
        format: format of an element; of each of its two parts if it is complex.
        is_complex: an element is a pair (real, imaginary).
        per_sequence: one packet for a whole sequence, not for each of its steps.
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


class Strict(BaseModel):
    """A part of the manifest; a field that is not known is an error, so that a misspelt one cannot be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tensor(Strict):
    """Integer codes in the safetensors file, and the format they are used in.

    The file remembers the format that a tensor was stored in. When the manifest asks for another, because somebody edited
    it, the codes are rounded and saturated to the new one by the rules of `ssm_hdl.fixed`.

    Attributes:
        tensor: name of the codes.
        format: their format.
        exponent: name of a tensor of plain integers x, one for each channel; its axes are the leading ones of the codes. A code c
            then stands for c 2**-(f_bits + x): a power of two for each channel costs wires, or a shift where channels share
            a multiplier.
    """

    tensor: str
    format: Format
    exponent: str | None = None


@dataclass(frozen=True)
class Scaled:
    """Codes whose channels have scales of their own.

    Attributes:
        codes: integers.
        shift: left shift that brings the codes of a channel to the scale of all, (leading axes of ``codes``); 0 at least.
        f_bits: fraction bits of the shifted codes.
    """

    codes: Codes
    shift: Codes
    f_bits: int

    @property
    def values(self) -> Codes:
        """The codes at the scale of all, in the shape of ``codes``."""
        shift = self.shift.reshape(self.shift.shape + (1,) * (self.codes.ndim - self.shift.ndim))
        return np.asarray(self.codes << shift)


class Tensors:
    """The arrays of a manifest, with the format that each was stored in."""

    def __init__(self, codes: Mapping[str, Codes], formats: Mapping[str, Format]) -> None:
        self.codes = dict(codes)
        self.formats = dict(formats)

    def get(self, owner: str, name: str, format: Format | None, ndim: Sequence[int]) -> Codes:
        """The codes of a tensor, converted to ``format`` (none: plain integers).

        Args:
            owner: the operation that asks, for messages.
            name: name of the tensor.
            format: format wanted, or None for a tensor of plain integers.
            ndim: numbers of axes that will do.

        Raises:
            SsmHdlError: the tensor is missing or has another number of axes.
        """
        if name not in self.codes:
            known = ", ".join(sorted(self.codes)) or "none"
            raise SsmHdlError(f"{owner}: tensor {name!r} is not in the weights file; it holds {known}")
        codes = self.codes[name]
        if codes.ndim not in ndim:
            wanted = " or ".join(map(str, ndim))
            raise SsmHdlError(f"{owner}: tensor {name!r} has shape {codes.shape}; {wanted} axes are needed")
        if format is None:
            return codes
        stored = self.formats.get(name, format)
        if stored == format:
            if codes.size and (codes.min() < format.min or codes.max() > format.max):
                raise SsmHdlError(
                    f"{owner}: tensor {name!r} holds codes from {codes.min()} to {codes.max()}, outside {format} "
                    f"({format.min} to {format.max}); give it a wider format"
                )
            return codes
        converted: Codes = requantize(codes, stored.f_bits, format)
        return converted

    def scaled(self, owner: str, tensor: Tensor, ndim: Sequence[int], channels: int) -> Scaled:
        """The codes of a tensor with their exponents.

        Args:
            owner: the operation that asks, for messages.
            tensor: which one.
            ndim: numbers of axes that will do.
            channels: how many leading axes may have exponents of their own.

        Raises:
            SsmHdlError: as `get`, or exponents of another shape or more than `MAX_SPREAD` apart.
        """
        codes, f_bits = self.get(owner, tensor.tensor, tensor.format, ndim), tensor.format.f_bits
        if tensor.exponent is None:
            return Scaled(codes, np.zeros(codes.shape[:channels], np.int64), f_bits)
        exponent = self.get(owner, tensor.exponent, None, (channels,))
        if exponent.shape != codes.shape[:channels]:
            raise SsmHdlError(
                f"{owner}: exponents {tensor.exponent!r} have shape {exponent.shape}; the channels of {tensor.tensor!r} are "
                f"{codes.shape[:channels]}"
            )
        least, most = int(exponent.min()), int(exponent.max())
        if most - least > MAX_SPREAD:
            raise SsmHdlError(
                f"{owner}: exponents {tensor.exponent!r} go from {least} to {most}; they may be at most {MAX_SPREAD} apart"
            )
        return Scaled(codes, most - exponent, f_bits + most)


@dataclass(frozen=True)
class Node:
    """An operation with its edges and its integer arrays: all that the golden model and the gateware need to know.

    Attributes:
        op: the operation as the manifest states it.
        inputs: the edges it reads, in order.
        output: the edge it writes.
        accumulator: format of the widest number inside; of a sum, derived from the arrays by interval arithmetic, so that it
            cannot overflow.
        arrays: integer arrays by the name of their field, in the formats of ``op``.
        multiplications: products that one packet asks for.
    """

    op: "Operation"
    inputs: tuple[Edge, ...]
    output: Edge
    accumulator: Format
    arrays: Mapping[str, Codes] = field(default_factory=dict)
    multiplications: int = 0

    @property
    def name(self) -> str:
        """Name of the operation, and of its output edge."""
        return self.op.name


class Operation(Strict):
    """Fields of every operation; ``bind`` checks one against its inputs and its tensors.

    Attributes:
        name: name of the operation and of its output edge.
        op: which operation it is.
        of_a_layer: fields that may differ between layers that share a stage: names, constants and formats.
        shaped: arrays whose shapes have to agree between these layers.
    """

    of_a_layer: ClassVar[frozenset[str]] = frozenset({"name", "input", "inputs", "format", "weight", "bias"})
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
        """The node that this operation is, given the edges it reads.

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
                raise SsmHdlError(f"{self.name}: {edge.name} is complex; take its real part with a complex dense first")


class Unary(Operation):
    """An operation with one input."""

    input: Name

    @property
    def sources(self) -> tuple[str, ...]:
        """The one input."""
        return (self.input,)


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
        if a.size != b.size or a.per_sequence != b.per_sequence:
            raise SsmHdlError(f"{self.name}: {a.name} has {a.size} elements and {b.name} has {b.size}; they must agree")
        return Edge(self.name, a.size, self.format, per_sequence=a.per_sequence)


def bound(low: Codes | int, high: Codes | int, f_bits: int) -> Format:
    """The narrowest signed format for every value between the smallest of ``low`` and the largest of ``high``."""
    return Format.for_range(int(np.min(low)), int(np.max(high)), f_bits)


def extremes(coefficients: Codes, format: Format) -> tuple[Codes, Codes]:
    """Least and greatest product of each coefficient with any code of ``format``; zero is always between them.

    Raises:
        SsmHdlError: the products do not fit the 64-bit integers of the golden model.
    """
    if int(np.abs(coefficients).max(initial=0)).bit_length() + format.width > MAX_WIDTH:
        raise SsmHdlError(f"a product of {format} with coefficients up to {np.abs(coefficients).max()} passes {MAX_WIDTH} bits")
    low, high = coefficients * format.min, coefficients * format.max
    return np.minimum(np.minimum(low, high), 0), np.maximum(np.maximum(low, high), 0)


__all__ = ["Binary", "Edge", "Name", "Node", "Operation", "Scaled", "Tensor", "Tensors", "Unary", "bound", "extremes"]
