"""Selective scan: the recurrence of Mamba, whose decay, input and read-out are data."""

from typing import Literal, NamedTuple

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound, check_rounding, rescale
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.functions import LEAK, LEAK_MANTISSA, LEAK_SHIFT
from ssm_hdl.operations.base import Edge, Name, Node, Operation, Tensor, Tensors


class Selective(Operation):
    """h'[c, n] = h[c, n] - h[c, n] m 2**-(8 + k) + v[c] B[n] 2**e[c], y[c] = sum_n C[n] h'[c, n];
    real, h = 0 at first.

    m 2**-(8 + k) is G(s) = 1 - 2^-(2^s) from the table `ssm_hdl.functions.leak`, so exp(dt A) needs
    no multiplier: with rate = log2(dt log2 e) and alpha = log2(-A), 1 - exp(dt A) = G(rate +
    alpha). The decay as its distance from 1, in a small float, has an error that does not depend on
    the time constant. s is the exact sum of rate and alpha, rounded half up to 1/32 and saturated
    to [-12, 4). h' is exact and rounded once, to ``state``; y is exact and rounded
    once, to ``format``.

    Attributes:
        inputs: rate (C), drive v (C), B (N) and C (N), in this order,
            one packet each per time step.
        alpha: (C, N), log2(-A).
        exponent: e, (C,), plain integers.
        state: format of h.
        format: format of y.
    """

    of_a_layer = Operation.of_a_layer | {"alpha", "exponent", "state"}
    widths = ("state",)
    shaped = ("code",)

    op: Literal["selective"] = "selective"
    inputs: tuple[Name, Name, Name, Name]
    alpha: Tensor
    exponent: str
    state: Format
    format: Format

    @property
    def sources(self) -> tuple[str, ...]:
        """The four inputs."""
        return self.inputs

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """The logarithms of -A."""
        return (self.alpha,)

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: ``code`` (C, N), alpha as stored; ``shift`` (C,),
        the left shift of v B into the state's sum."""
        self.refuse_complex(inputs)
        if once := [edge.name for edge in inputs if edge.per_sequence]:
            raise SsmHdlError(
                f"{self.name}: {once[0]} comes once per sequence; "
                "a selective scan needs its inputs every time step"
            )
        _, drive, b, _ = inputs
        if self.alpha.exponent is not None:
            raise SsmHdlError(
                f"{self.name}: {self.alpha.tensor!r} has exponents; logarithms have one scale"
            )
        code = tensors.get(self.name, self.alpha.tensor, self.alpha.format, (2,))
        exponent = tensors.get(self.name, self.exponent, None, (1,))
        channels, modes = code.shape
        sizes = [edge.size for edge in inputs]
        if sizes != [channels, channels, modes, modes] or len(exponent) != channels:
            raise SsmHdlError(
                f"{self.name}: alpha {code.shape} and exponent {exponent.shape} do not fit "
                f"{listed(inputs)}; for C channels and N modes they must be (C, N) and (C,), "
                "and the inputs have C, C, N and N elements"
            )
        shift = exponent + self.state.f_bits + LEAK_UP - drive.format.f_bits - b.format.f_bits
        if shift.min() < 0:
            raise SsmHdlError(
                f"{self.name}: exponent {exponent.min()} drops {-shift.min()} bits of the products "
                f"of {drive} and {b} before the state is rounded; "
                "give the state that many more fraction bits, or a larger exponent"
            )
        widest = max(self.sums(inputs, code, shift), key=lambda format: format.width)
        output = Edge(self.name, channels, self.format)
        return Node(
            self,
            inputs,
            output,
            widest,
            {"code": code, "shift": shift},
            multiplications=3 * code.size,
        )

    def sums(self, inputs: tuple[Edge, ...], code: Codes, shift: Codes) -> "Sums":
        """The formats of the exact sums, checked."""
        rate, drive, b, c = inputs
        up = max(LEAK.f_bits, rate.format.f_bits, self.alpha.format.f_bits)
        alpha = rescale(self.name, f"alpha {self.alpha}", code, self.alpha.format.f_bits - up)
        low, high = (
            (limit << up - rate.format.f_bits) + (OFFSET << up)
            for limit in (rate.format.min, rate.format.max)
        )
        address = bound(
            self.name,
            (rate, f"alpha {self.alpha}"),
            int(alpha.min()) + low,
            int(alpha.max()) + high,
            up,
        )

        low, high = (limit << int(shift.max()) for limit in products(drive.format, b.format))
        of = drive, b, f"exponent {self.exponent!r}", f"state in {self.state}"
        state = bound(
            self.name,
            of,
            (self.state.min << LEAK_UP) + low,
            (self.state.max << LEAK_UP) + high,
            self.state.f_bits + LEAK_UP,
        )

        low, high = (code.shape[1] * limit for limit in products(c.format, self.state))
        output = bound(
            self.name, (c, f"state in {self.state}"), low, high, c.format.f_bits + self.state.f_bits
        )
        check_rounding(self.name, output, output.f_bits, self.format)
        return Sums(address, state, output)


OFFSET = 4
"""Added to s, so its range [-12, 4) becomes a signed format's."""

LEAK_UP = LEAK_MANTISSA + LEAK_SHIFT
"""Fraction bits that the product with a leak adds to the state's."""


class Sums(NamedTuple):
    """Formats of the exact sums: rate + alpha + 4, the state before it is rounded,
    and the output before it is rounded."""

    address: Format
    state: Format
    output: Format

    @classmethod
    def of(cls, node: Node) -> "Sums":
        """The sums of a bound selective scan."""
        assert isinstance(node.op, Selective)
        return node.op.sums(node.inputs, node.arrays["code"], node.arrays["shift"])


def products(a: Format, b: Format) -> tuple[int, int]:
    """Least and greatest product of two codes."""
    corners = [x * y for x in (a.min, a.max) for y in (b.min, b.max)]
    return min(corners), max(corners)


def listed(edges: tuple[Edge, ...]) -> str:
    """Names and sizes, for messages."""
    return ", ".join(f"{edge.name} ({edge.size})" for edge in edges)
