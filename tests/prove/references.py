# amaranth: UnusedElaboratable=no
"""References: what beats in cause, stated apart from the gateware."""

from collections.abc import Callable, Sequence

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from prove.bench import Expect, Results

from ssm_hdl.gateware.stream import beats
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden import evaluate

Step = Callable[[int, int], tuple[int, Sequence[int]]]
"""From the state and the bits of a packet the next state, and the bits of the beats out."""


def same(m: Module, event: Value, payloads: list[Value]) -> Results:
    """A beat out is a beat in."""
    return Results(Const(1, 1), payloads)


def gathered(ratio: int, bits: int, packet: int) -> Expect:
    """Beats of ``ratio`` narrow ones of ``bits``, the last of each ``packet`` of narrow
    beats being filled up."""

    def expect(m: Module, event: Value, payloads: list[Value]) -> Results:
        (payload,) = payloads
        kept, part, beat = Signal(ratio * bits), Signal(range(ratio)), Signal(range(packet))
        ends = (part == ratio - 1) | (beat == packet - 1)
        data = Signal.like(kept)
        m.d.comb += [data.eq(kept), data.word_select(part, bits).eq(payload[:bits])]
        with m.If(event):
            m.d.sync += [
                kept.eq(data),
                part.eq(Mux(ends, 0, part + 1)),
                beat.eq(Mux(beat == packet - 1, 0, beat + 1)),
            ]
        mask = Cat(Const(0, bits) if k else Const(-1, bits) for k in range(ratio))
        counts = Cat(Const(-1, bits) & (part >= k).replicate(bits) for k in range(ratio))
        return Results(
            ends, [Cat(data, payload[bits:])], [Cat(mask | counts, Const(-1, len(payload) - bits))]
        )

    return expect


def cut(ratio: int, bits: int, packet: int) -> Expect:
    """Beats of ``bits`` from beats of ``ratio``; of each ``packet`` of narrow ones,
    what fills up the last is dropped."""

    def expect(m: Module, event: Value, payloads: list[Value]) -> Results:
        (payload,), wide = payloads, beats(packet, ratio)
        beat = Signal(range(wide))
        with m.If(event):
            m.d.sync += beat.eq(Mux(beat == wide - 1, 0, beat + 1))
        values = [
            Cat(payload[k * bits : (k + 1) * bits], payload[ratio * bits :]) for k in range(ratio)
        ]
        return Results(Mux(beat == wide - 1, packet - (wide - 1) * ratio, ratio), values)

    return expect


def window(start: int, stop: int, packet: int) -> Expect:
    """Of each packet some beats."""

    def expect(m: Module, event: Value, payloads: list[Value]) -> Results:
        beat = Signal(range(packet))
        with m.If(event):
            m.d.sync += beat.eq(Mux(beat == packet - 1, 0, beat + 1))
        return Results((beat >= start) & (beat < stop), payloads)

    return expect


def machine(
    step: Step, bits: int, width: int, packet: int = 1, states: int = 1, at_end: bool = False
) -> Expect:
    """Packets of ``packet`` beats, with the data of all sinks side by side,
    change a state and cause beats of ``width`` bits.

    The state is 0 at first and after the last packet of a sequence;
    results may come only then (``at_end``).
    """
    table = [[step(state, data) for data in range(1 << bits * packet)] for state in range(states)]

    def expect(m: Module, event: Value, payloads: list[Value]) -> Results:
        per_sink = bits // len(payloads)
        data, last = Cat(payload[:per_sink] for payload in payloads), payloads[0][per_sink]
        beat, kept, state = (
            Signal(range(packet)),
            Signal(bits * (packet - 1)),
            Signal(range(states)),
        )
        ends, whole = beat == packet - 1, Cat(kept, data)
        with m.If(event):
            m.d.sync += [beat.eq(Mux(ends, 0, beat + 1)), kept.eq(Cat(kept, data)[bits:])]
        row = Cat(whole, state)
        flat = [entry for entries in table for entry in entries]
        with m.If(event & ends):
            m.d.sync += state.eq(
                Mux(last, 0, Array(Const(after, range(states)) for after, _ in flat)[row])
            )
        values = []
        for k in range(len(flat[0][1])):
            found = Signal(width, name=f"found_{k}")
            m.d.comb += found.eq(Array(Const(out[k], width) for _, out in flat)[row])
            values.append(Cat(found, last))
        return Results(Mux(ends & (last if at_end else 1), len(values), 0), values)

    return expect


def golden(node: Node, packet: int = 1, lanes: int = 1, o_lanes: int = 1) -> Expect:
    """The golden model's results of every packet there is, of an operation without a state.

    Args:
        node: the operation.
        packet: beats of a packet.
        lanes: elements in a beat of an input.
        o_lanes: elements in a beat of results.
    """
    widths = [edge.format.width for edge in node.inputs for _ in range(lanes)] * packet
    packets = np.arange(1 << sum(widths))
    ends = np.cumsum(widths)
    codes = np.stack(
        [packets >> end - width & (1 << width) - 1 for end, width in zip(ends, widths, strict=True)]
    )
    per_sink = (
        codes.reshape(packet, len(node.inputs), lanes, -1)
        .transpose(1, 3, 0, 2)
        .reshape(len(node.inputs), packets.size, 1, -1)
    )
    inputs = [
        np.where(part > edge.format.max, part - (1 << edge.format.width), part)
        for edge, part in zip(node.inputs, per_sink, strict=True)
    ]
    width = node.output.format.width
    results = evaluate(node, *inputs).codes.reshape(packets.size, -1, o_lanes) & (1 << width) - 1
    out = (results << width * np.arange(o_lanes)).sum(axis=-1).tolist()
    return machine(lambda _, data: (0, out[data]), sum(widths) // packet, width * o_lanes, packet)
