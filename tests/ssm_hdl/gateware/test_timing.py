# amaranth: UnusedElaboratable=no
"""The timing of every component alone: cycle by cycle what Amaranth simulates, whoever stalls."""

import random
from functools import partial

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from simulated import Simulated

from ssm_hdl import SQ
from ssm_hdl.families.generic import GENERIC, Generic
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.argmax import Argmax
from ssm_hdl.gateware.compact_dense import CompactDense
from ssm_hdl.gateware.dense import Dense
from ssm_hdl.gateware.embedding import Embedding
from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.hadamard import Hadamard
from ssm_hdl.gateware.largest import Largest
from ssm_hdl.gateware.last import Last
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.mean import Mean
from ssm_hdl.gateware.memories import Memories
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.norm import Norm
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.repack import Repack
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.scan import Scan
from ssm_hdl.gateware.selective import Selective
from ssm_hdl.gateware.slice import Slice
from ssm_hdl.gateware.stream import signature
from ssm_hdl.gateware.taps import Taps
from ssm_hdl.gateware.timing import Beats, Process, Schedule
from ssm_hdl.operations import Argmax as ArgmaxOperation
from ssm_hdl.operations import Edge, Tensor, Tensors
from ssm_hdl.operations import Hadamard as HadamardOperation
from ssm_hdl.operations import Largest as LargestOperation
from ssm_hdl.operations import Last as LastOperation
from ssm_hdl.operations import Mean as MeanOperation
from ssm_hdl.operations import Selective as SelectiveOperation
from ssm_hdl.operations import Taps as TapsOperation
from ssm_hdl.operations.norm import Norm as NormOperation

SHAPE = Shape(6, True)
CYCLES = 400
STALLS = ((0.0, 0.0), (0.5, 0.1), (0.1, 0.5), (0.8, 0.8), (0.0, 0.9))
ENDS = 3
"""Packets of a sequence."""


class Ends:
    """One end of a stream outside a component: it stalls by chance, for some cycles or for many."""

    def __init__(self, seed, stalls):
        dice = random.Random(seed)
        self.able = []
        while len(self.able) < CYCLES:
            length = dice.choice((1, 1, 1, 2, 20))
            self.able += [dice.random() >= stalls] * length

    def next(self, cycle):
        """The first cycle from one on in which it does not stall."""
        return next(
            (later for later in range(cycle, CYCLES) if self.able[later]), max(cycle, CYCLES)
        )

    def source(self, o):
        while not o.offered or o.taken[-1] < CYCLES:
            o.offered.append(self.next(o.taken[-1] + 1 if o.taken else 0))
            yield o.taken, len(o.taken)
        yield [], 0

    def sink(self, i):
        while True:
            yield i.offered, len(i.taken)
            i.taken.append(self.next(i.offered[len(i.taken)]))


def ports(component):
    """The streams of a component by name, in and out."""
    names = list(component.signature.members)
    flow = {name: component.signature.members[name].flow.name for name in names}
    ways = {name: getattr(component, name) for name in names}
    many = (list, tuple)
    lists = {name: list(way) if isinstance(way, many) else [way] for name, way in ways.items()}
    return [{name: lists[name] for name in names if flow[name] == side} for side in ("In", "Out")]


class Simulation(Simulated):
    """A component whose streams are stalled at both ends."""

    def __init__(self, component, packet):
        super().__init__(component)
        self.packet = packet
        ins, outs = (
            [(name, way, stream) for name, ways in side.items() for way, stream in enumerate(ways)]
            for side in ports(component)
        )
        # attributes of streams take long: all of them once
        self.into = [((name, way), each.valid, each.p.last) for name, way, each in ins]
        self.out = [((name, way), each.ready) for name, way, each in outs]
        self.moves = [each.valid & each.ready for _, _, each in ins + outs]

    def run(self, ends):
        """Cycles of the transfers of every stream."""
        self.ends, self.moved = ends, {each[0]: [] for each in self.into + self.out}
        self.simulate()
        return self.moved

    async def bench(self, ctx):
        ends, moved = self.ends, list(self.moved.values())
        offered = [False] * len(self.into)
        tick = ctx.tick().sample(*self.moves)
        for cycle in range(CYCLES):
            for index, (name, valid, last) in enumerate(self.into):
                offered[index] = offered[index] or ends[name].able[cycle]
                ctx.set(valid, offered[index])
                ctx.set(last, len(moved[index]) // self.packet % ENDS == ENDS - 1)
            for name, ready in self.out:
                ctx.set(ready, ends[name].able[cycle])
            _, _, *moves = await tick
            for index, moves_now in enumerate(moves):
                if moves_now:
                    moved[index].append(cycle)
                    if index < len(offered):
                        offered[index] = False


def model(component, ends):
    """The same by its timing."""
    ins, outs = ports(component)
    streams = {
        name: [Beats(name, lambda packet: packet % ENDS == ENDS - 1) for _ in ways]
        for name, ways in (ins | outs).items()
    }
    ways = {
        name: each if isinstance(component, Fork) and name == "o" else each[0]
        for name, each in streams.items()
    }
    processes = component.timing(**ways)
    for side, act in ((ins, "source"), (outs, "sink")):
        for name in side:
            processes += [
                Process(getattr(ends[name, way], act), beats)
                for way, beats in enumerate(streams[name])
            ]
    Schedule(processes).run()
    return {
        (name, way): [c for c in each.taken if c < CYCLES]
        for name, ways in streams.items()
        for way, each in enumerate(ways)
    }


def check(make, packet=1 << 30):
    """With random stalls at both ends, the cycles of all transfers are equal."""
    component = make()
    ins, outs = ports(component)
    simulation = Simulation(component, packet)
    for seed, (source, sink) in enumerate(STALLS):
        ends = {}
        for side, stalls in ((ins, source), (outs, sink)):
            for name, ways in side.items():
                ends |= {
                    (name, way): Ends(f"{seed} {name} {way}", stalls) for way in range(len(ways))
                }
        assert model(component, ends) == simulation.run(ends), (source, sink)


@pytest.mark.parametrize("depth", (1, 2, 3, 6, 7, 9))
@pytest.mark.parametrize("fast", (False, True))
def test_queue(depth, fast):
    check(partial(Queue, SHAPE, 1, depth, memories=Memories(fast)))
    assert Queue(SHAPE, 1, depth, memories=Memories(fast)).block_ram == (depth > 6)


@pytest.mark.parametrize("slow", (False, True))
@pytest.mark.parametrize("ways", (2, 3))
def test_fork(slow, ways):
    check(partial(Fork, SHAPE, 1, ways, slow=slow))


@pytest.mark.parametrize("slow", (False, True))
@pytest.mark.parametrize(
    "i_lanes,o_lanes,packet",
    [(1, 4, 0), (4, 1, 0), (1, 4, 10), (4, 1, 9), (2, 6, 8), (6, 2, 8), (1, 3, 1)],
)
def test_repack(i_lanes, o_lanes, packet, slow):
    for held in (1, 2, 30):
        check(partial(Repack, SHAPE, i_lanes, o_lanes, 1, held, slow, packet))


@pytest.fixture
def nodes(random_manifest):
    return random_manifest(channels=4, modes=3, steps=ENDS, classes=6, features=("exponent",)).nodes


FOLDINGS = {
    "encoder": ("1x1", "4x1"),
    "mixing": ("1x1", "3x2", "8x1", "4x2", "8x4"),
    "readout": ("1x1x1", "1x1x4", "2x1x3", "4x1x6"),
    "decoder": ("1x1", "6x1"),
}


@pytest.mark.parametrize(
    "name,folding", [(name, folding) for name, each in FOLDINGS.items() for folding in each]
)
def test_dense(nodes, name, folding):
    for options in ({}, {"pace": 5}, {"pace": 3, "even": True}):
        check(partial(Dense, nodes[name], folding, "lut", **options))


@pytest.mark.parametrize("fast", (False, True))
@pytest.mark.parametrize("name", ("residual_0", "readout_1", "mixing_1", "decoder", "skip_1"))
def test_compact_dense(random_manifest, name, fast, monkeypatch):
    """With the generic family's multipliers: Amaranth does not simulate an SB_MAC16."""
    monkeypatch.setattr(Generic, "fast_rams", fast)
    nodes = random_manifest(
        channels=4, modes=3, layers=2, steps=ENDS, classes=6, features=("exponent", "delta")
    ).nodes
    for options in ({}, {"pace": 40}, {"pace": 40, "even": True}):
        check(partial(CompactDense, nodes[name], **options))


@pytest.mark.parametrize(
    "folding", ("1x1/4", "1x1/3", "1x1/2", "1x1", "1x2", "2x1", "4x3", "2x3*3")
)
def test_scan(nodes, folding):
    for pace in (1, 7):
        check(partial(Scan, nodes["ssm"], folding, "dsp", pace))


@pytest.mark.parametrize(
    "channels,modes,folding",
    [(4, 4, "1x4"), (3, 6, "1x2"), (1, 1, "1x1"), (2, 10, "1x10"), (9, 3, "1x1")],
)
def test_selective(channels, modes, folding):
    op = SelectiveOperation(
        name="y",
        inputs=tuple("rvbc"),
        alpha=Tensor(tensor="a", format=SQ(4, 4)),
        exponent="e",
        state=SQ(3, 5),
        format=SQ(3, 5),
    )
    edges = tuple(
        Edge(name, size, SQ(3, 5))
        for name, size in zip("rvbc", (channels, channels, modes, modes), strict=True)
    )
    codes = {"a": np.zeros((channels, modes), np.int64), "e": np.arange(channels)}
    for pace in (1, 7):
        check(partial(Selective, op.bind(edges, Tensors(codes, {}), ENDS), folding, "lut", pace))


@pytest.mark.parametrize("family", (GENERIC, ICE40), ids=str)
def test_elementwise(nodes, family):
    for pace, compact in ((1, False), (4, False), (1, True), (20, True)):
        check(partial(Lookup, Layers([nodes["gelu"]], family=family), 2, pace, compact))
        check(partial(Add, Layers([nodes["residual"]], family=family), 1, pace, compact))
        check(partial(Multiply, Layers([nodes["glu"]], family=family), 1, "lut", pace, compact))


def test_slice(nodes):
    for name in ("value", "gate"):
        check(partial(Slice, nodes[name], 2))


def test_pool(nodes):
    for pace, compact in ((1, False), (4, False), (1, True), (20, True)):
        for registers in (False, True):
            check(partial(Pool, nodes["pool"], 2, pace, registers, compact), packet=2)


@pytest.mark.parametrize("size,lanes", [(1, 1), (6, 1), (6, 2), (24, 1)])
def test_mean(size, lanes):
    op = MeanOperation(name="y", input="x", format=SQ(3, 9))
    node = op.bind((Edge("x", size, SQ(3, 4)),), Tensors({}, {}), ENDS)
    for registers in (False, True):
        check(partial(Mean, node, lanes, registers), packet=size // lanes)


def test_largest_and_last(nodes):
    x = nodes["pool"].inputs
    for lanes in (1, 2):
        check(
            partial(
                Largest, LargestOperation(name="y", input="x").bind(x, Tensors({}, {}), ENDS), lanes
            ),
            packet=4 // lanes,
        )
        check(
            partial(Last, LastOperation(name="y", input="x").bind(x, Tensors({}, {}), ENDS), lanes),
            packet=4 // lanes,
        )


def test_embedding(random_manifest):
    node = random_manifest(channels=5, layers=1, tokens=7).nodes["residual_0"]
    for pace in (1, 6):
        check(partial(Embedding, node, pace))


@pytest.mark.parametrize("size,width", ((4, 4), (32, 4), (7, 7), (1, 2), (3, 2)))
def test_norm(size, width):
    op = NormOperation(name="y", input="x", format=SQ(3, 5), center=size > 1)
    node = op.bind((Edge("x", size, SQ(width, 4)),), Tensors({}, {}), ENDS)
    for pace in (1, 9):
        check(partial(Norm, node, "dsp", pace))


def bound(operation, size):
    return operation.bind((Edge("x", size, SQ(2, 4)),), Tensors({}, {}), ENDS)


@pytest.mark.parametrize("size", (1, 2, 16, 12, 24))
def test_hadamard(size):
    node = bound(HadamardOperation(name="y", input="x", shift=1, format=SQ(3, 3)), size)
    for pace, compact in ((1, False), (5, False), (20, True)):
        check(partial(Hadamard, node, pace, compact))


@pytest.mark.parametrize("size", (1, 2, 7))
def test_argmax(size):
    check(partial(Argmax, bound(ArgmaxOperation(name="y", input="x"), size)))


@pytest.mark.parametrize("size,lanes", ((2, 1), (12, 1), (12, 2)))
def test_taps(size, lanes):
    for pace in (1, 5):
        check(partial(Taps, bound(TapsOperation(name="y", input="x", taps=3), size), lanes, pace))


class Rounds(wiring.Component):
    """A ring around a queue, in place of stages."""

    def __init__(self, beats, flight, held):
        self.ring, self.stages = Ring(SHAPE, 1, beats, 3, flight), Queue(SHAPE, 1, held, 3)
        super().__init__({"i": In(signature(SHAPE)), "o": Out(signature(SHAPE))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring, m.submodules.stages = self.ring, self.stages
        connect(m, flipped(self.i), self.ring.i)
        connect(m, self.ring.entry, self.stages.i)
        connect(m, self.stages.o, self.ring.back)
        connect(m, self.ring.o, flipped(self.o))
        return m

    def timing(self, i, o):
        entry, back = Beats(), Beats()
        return [*self.ring.timing(i, entry, back, o), *self.stages.timing(entry, back)]


@pytest.mark.parametrize("beats,flight,held", [(3, 1, 3), (3, 2, 1), (2, 4, 30), (5, 3, 9)])
def test_ring(beats, flight, held):
    check(partial(Rounds, beats, flight, held), packet=beats)
