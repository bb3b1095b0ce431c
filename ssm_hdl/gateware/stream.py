"""Streams between stages: beats of one or more numbers, a packet of beats for every time step."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from amaranth.hdl import Format, Shape, Value
from amaranth.lib import data, stream, wiring

from ssm_hdl.operations import Edge


def shape_of(edge: Edge) -> Shape:
    """Amaranth shape of one real number of an edge."""
    return Shape(edge.format.width, edge.format.signed)


def reals(edge: Edge) -> int:
    """Real numbers in a packet: a complex element is two, real then imaginary."""
    return edge.size * (2 if edge.is_complex else 1)


class Payload(data.StructLayout):
    """A payload that Verilog and waveforms show by its members;
    a wire for each number of a beat would double the Verilog."""

    def format(self, value: data.View, format_spec: str) -> Format.Struct:  # noqa: D102
        bits = Value.cast(value)
        ends = {name: (field.offset, field.offset + field.width) for name, field in self}
        return Format.Struct(
            bits, {str(name): Format("{}", bits[start:end]) for name, (start, end) in ends.items()}
        )


@lru_cache(maxsize=1024)
def signature(shape: Shape, lanes: int = 1, layers: int = 1) -> stream.Signature:
    """A stream of beats of ``lanes`` real numbers.

    The payload has two members: ``data``, an array of the numbers, and ``last``, true in every beat
    of the last time step of a sequence. Where stages serve several layers there is a third,
    ``layer``: the one that the packet is at.
    """
    tag = {"last": 1, "layer": range(layers)} if layers > 1 else {"last": 1}
    return stream.Signature(Payload({"data": data.ArrayLayout(shape, lanes), **tag}))


class Component(wiring.Component):
    """A component that makes its ports when one is first asked for: the planner builds thousands,
    and elaborates none.

    Args:
        members: its ports.

    Attributes:
        members: the same.
    """

    def __init__(self, members: Mapping[str, wiring.Member]) -> None:
        self.members, self._made = members, False

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_made", True):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        self._made = True
        super().__init__(dict(self.members))
        return getattr(self, name)


def lanes(component: Component, port: str) -> int:
    """Numbers in a beat of a stream of a component."""
    return int(component.members[port].signature.members["payload"].shape["data"].shape.length)


def tag_of(payload: data.View) -> Value:
    """What a beat carries beside its numbers, the same in every beat of a packet;
    stages hand it on as it is."""
    return Value.cast(payload)[len(Value.cast(payload.data)) :]


def layer_of(payload: data.View) -> Value:
    """The layer that a packet is at; no bits where there is but one."""
    return tag_of(payload)[1:]


def beats(numbers: int, lanes: int) -> int:
    """Beats that hold ``numbers``; where lanes do not divide them,
    the last is padded with numbers that do not count."""
    return -(-numbers // lanes)
