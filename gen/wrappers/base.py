"""What wrappers share: a pipeline, its edges in whole bytes, and the ports of the module."""

from enum import IntFlag
from typing import Any, ClassVar

from amaranth.hdl import Cat, Elaboratable, Signal, Value

from ssm_hdl.gateware.stream import reals
from ssm_hdl.operations import Edge


class Status(IntFlag):
    """Bits of the status, in registers and over SPI."""

    READY = 1  # a sample can be taken
    RESULT = 2  # a result is there
    LAST = 4  # it is of the last time step of its sequence
    LOST = 8  # over SPI: a sample was lost since the last transfer


class Wrapper(Elaboratable):
    """A module around a pipeline.

    Args:
        pipeline: what it wraps: a component with streams ``i`` and ``o``.
        i_edge: its input.
        o_edge: its output.
        fingerprint: of the manifest.

    Attributes:
        name: what the command line calls it.
        reset_low: its reset is active low.
        clocks: names of clock and reset.
        ports: the other ports, by name.
        meaning: for the header of the Verilog.
        driven: the C driver knows it.
    """

    name: ClassVar[str]
    clocks: ClassVar[tuple[str, str]] = ("clk", "rst")
    reset_low: ClassVar[bool] = False
    driven: ClassVar[bool] = True
    meaning: ClassVar[dict[str, str]]

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        self.pipeline, self.i_edge, self.o_edge, self.fingerprint = (
            pipeline,
            i_edge,
            o_edge,
            fingerprint,
        )
        self.ports: dict[str, Signal] = {}

    def port(self, name: str, width: int = 1) -> Signal:
        """A new port."""
        self.ports[name] = signal = Signal(width, name=name)
        return signal

    @property
    def i_reals(self) -> int:
        """Samples of a time step."""
        return reals(self.i_edge)

    @property
    def o_reals(self) -> int:
        """Results of a packet."""
        return reals(self.o_edge)

    def offer(self, data: Value) -> Value:
        """The payload of a sample from the bits of a bus: a code of fewer bits."""
        return data[: self.i_edge.format.width]

    @property
    def status(self) -> Value:
        """The bits of `Status` that the pipeline knows."""
        i, o = self.pipeline.i, self.pipeline.o
        return Cat(i.ready, o.valid, o.p.last & o.valid)

    @property
    def result(self) -> Value:
        """The result that the pipeline offers, with its sign."""
        data = Value.cast(self.pipeline.o.p.data)
        return data.as_signed() if self.o_edge.format.signed else data


def whole_bytes(edge: Edge) -> int:
    """Bytes that hold a number."""
    return -(-edge.format.width // 8)
