# amaranth: UnusedElaboratable=no
"""Properties of stream components, as a module whose inputs are free and whose outputs
must never be high.

- ``protocol``: a beat that is valid stays, and its payload too, until it is taken.
- ``order``: each beat out has the payload that the reference makes of the beats in:
  nothing is lost, doubled, reordered or wrong.
- ``excess``: no beat comes out before its cause, nor are more inside than the component holds.
- ``progress``: with a ready reader, a beat that is offered is taken in time,
  and a result comes out in time.
- ``room``: whatever the reader does, as many results as stated have room inside.

Reset comes at any time. Registers without reset and memories hold anything at first,
see `prove.checker`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from amaranth.hdl import Array, Cat, ClockDomain, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring

PROPERTIES = ("protocol", "order", "excess", "progress", "room")


class Results(NamedTuple):
    """What a beat in causes.

    Attributes:
        count: results, in beats; 0 if it completes none.
        values: their payloads; a payload that is shorter is compared as far as it goes.
        masks: bits of each that count; all if there are none.
    """

    count: Value
    values: Sequence[Value]
    masks: Sequence[Value] = ()


Expect = Callable[[Module, Value, list[Value]], Results]
"""Makes the reference: from a module, whether beats come (one of each sink) in this cycle,
and their payloads."""


class Bench(Elaboratable):
    """A component with free streams, and its properties.

    Args:
        component: the component.
        sinks: its streams in.
        outs: its streams out, which all carry the same.
        expect: the reference.
        inside: results that can be inside at most.
        room: results that can be inside, whatever the reader does.
        patience: cycles that are in time.
        packet: beats of a packet, whose ``last`` is the same in all.
        through: a beat can go through in the cycle in which it comes.
    """

    def __init__(
        self,
        component: wiring.Component,
        sinks: Sequence[stream.Interface],
        outs: Sequence[stream.Interface],
        expect: Expect,
        *,
        inside: int,
        room: int = 0,
        patience: int = 8,
        packet: int = 1,
        through: bool = False,
    ) -> None:
        self.component, self.sinks, self.outs, self.expect = component, sinks, outs, expect
        self.inside, self.room, self.patience, self.packet, self.through = (
            inside,
            room,
            patience,
            packet,
            through,
        )
        self.clock, self.reset, self.bad = Signal(), Signal(), Signal(len(PROPERTIES) + 1)
        self.wants = [Signal(name=f"want_{k}") for k in range(len(sinks))]
        self.payloads = [
            Signal(len(Value.cast(sink.payload)), name=f"payload_{k}")
            for k, sink in enumerate(sinks)
        ]
        self.readies = [Signal(name=f"ready_{k}") for k in range(len(outs))]
        self.picks = [Signal(name=f"pick_{k}") for k in range(len(outs))]
        self.lanes = Signal(8)

    @property
    def properties(self) -> tuple[str, ...]:
        """Those that it states."""
        return PROPERTIES if self.room else PROPERTIES[:-1]

    @property
    def ports(self) -> list[Signal]:
        """Free inputs, and the outputs that must never be high."""
        return [
            self.clock,
            self.reset,
            *self.wants,
            *self.payloads,
            *self.readies,
            *self.picks,
            self.lanes,
            self.bad,
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain()
        # the only register that begins with a value
        first = Signal(init=1, reset_less=True, name="first")
        m.d.sync += first.eq(0)
        m.d.comb += [sync.clk.eq(self.clock), sync.rst.eq(first | self.reset)]
        m.submodules.component = self.component
        fresh = [self._offer(m, k) for k in range(len(self.sinks))]
        taken = [sink.valid & sink.ready for sink in self.sinks]
        event = Signal()
        m.d.comb += event.eq(fresh[0] if self.through else Cat(taken).all())
        results = self.expect(m, event, [Value.cast(sink.payload) for sink in self.sinks])
        ways = [self._watch(m, k, event, results) for k in range(len(self.outs))]
        offered, ready, moved = (
            Cat(sink.valid for sink in self.sinks).all(),
            Cat(self.readies).all(),
            Cat(taken).any(),
        )
        partial = Cat(taken).any() & ~Cat(taken).all()
        late = self._late(m, "in", offered & ready, moved)
        full = (
            self._late(m, "room", offered & (ways[0]["owed"] < self.room), moved)
            if self.room
            else Const(0)
        )
        bad = {name: Cat(way[name] for way in ways).any() for name in PROPERTIES[:-1]}
        bad |= {
            "progress": bad["progress"] | late,
            "excess": bad["excess"] | (partial if not self.through else 0),
            "room": full,
        }
        each = Cat(bad[name] for name in PROPERTIES)
        m.d.comb += self.bad.eq(Mux(sync.rst, 0, Cat(each, each.any())))
        return m

    def _offer(self, m: Module, index: int) -> Value:
        """Offer beats that stay; true in the first cycle of one."""
        sink, want, payload = self.sinks[index], self.wants[index], self.payloads[index]
        pending, kept = Signal(name=f"pending_{index}"), Signal.like(payload, name=f"kept_{index}")
        free = Signal.like(payload, name=f"free_{index}")
        m.d.comb += free.eq(payload)
        at = len(Value.cast(sink.p.data))
        if self.packet > 1:
            beat, last = (
                Signal(range(self.packet), name=f"beat_{index}"),
                Signal(name=f"last_{index}"),
            )
            with m.If(sink.valid & sink.ready):
                m.d.sync += [
                    beat.eq(Mux(beat == self.packet - 1, 0, beat + 1)),
                    last.eq(sink.p.last),
                ]
            m.d.comb += free[at].eq(Mux(beat == 0, payload[at], last))
        m.d.comb += [
            sink.valid.eq(pending | want),
            Value.cast(sink.payload).eq(Mux(pending, kept, free)),
        ]
        m.d.sync += [pending.eq(sink.valid & ~sink.ready), kept.eq(Value.cast(sink.payload))]
        return want & ~pending

    def _watch(self, m: Module, index: int, event: Value, results: Results) -> dict[str, Value]:
        """Follow one result, any of all, on its way to an output;
        and the others by their number."""
        out, ready, pick = self.outs[index], self.readies[index], self.picks[index]
        m.d.comb += out.ready.eq(ready)
        payload, pop = Value.cast(out.payload), out.valid & ready
        values, masks = (
            results.values,
            results.masks or [Const(-1, len(value)) for value in results.values],
        )
        width = len(values[0])
        owed, more = (
            Signal(range(self.inside + 1), name=f"owed_{index}"),
            Mux(event, results.count, 0),
        )
        before, stays, held = (
            Signal(name=f"{name}_{index}") for name in ("before", "stays", "held")
        )
        shown = Signal(len(payload), name=f"shown_{index}")
        total = owed + more
        m.d.comb += held.eq(total != 0) if self.through else held.eq(owed != 0)
        m.d.sync += [owed.eq(total - pop), stays.eq(out.valid & ~ready), shown.eq(payload)]
        watching, ahead = (
            Signal(name=f"watching_{index}"),
            Signal(range(self.inside + 1), name=f"ahead_{index}"),
        )
        value, mask = Signal(width, name=f"value_{index}"), Signal(width, name=f"mask_{index}")
        lane = self.lanes[: max(1, (len(values) - 1).bit_length())]
        begins = event & pick & ~watching & (lane < results.count)
        now, where, what, counts = (
            watching | (begins if self.through else 0),
            Mux(watching, ahead, owed + lane),
            Mux(watching, value, Array(values)[lane]),
            Mux(watching, mask, Array(masks)[lane]),
        )
        m.d.comb += before.eq(now & (where == 0) & out.valid)
        with m.If(watching | begins):
            m.d.sync += [
                watching.eq(~(pop & (where == 0))),
                ahead.eq(where - pop),
                value.eq(what),
                mask.eq(counts),
            ]
        return {
            "owed": owed,
            "protocol": stays & ~(out.valid & ((payload ^ shown)[:width] == 0)),
            "order": before & (((payload[:width] ^ what) & counts) != 0),
            "excess": (out.valid & ~held) | (total - pop > self.inside),
            "progress": self._late(m, f"out_{index}", (owed != 0) & Cat(self.readies).all(), pop),
        }

    def _late(self, m: Module, name: str, asked: Value, done: Value) -> Value:
        """Asked for without a pause, and not done in time."""
        waited = Signal(range(self.patience + 1), name=f"waited_{name}")
        with m.If(~asked | done):
            m.d.sync += waited.eq(0)
        with m.Elif(waited != self.patience):
            m.d.sync += waited.eq(waited + 1)
        return waited == self.patience
