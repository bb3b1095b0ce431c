# amaranth: UnusedElaboratable=no
"""The components that are proved, with small parameters."""

from collections.abc import Callable

import numpy as np
from amaranth.hdl import Shape
from prove.bench import Bench, Expect
from prove.references import cut, gathered, golden, machine, same, window

from ssm_hdl import SQ, UQ
from ssm_hdl.fixed import Format, requantize
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.argmax import Argmax
from ssm_hdl.gateware.dense import Dense
from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.hadamard import Hadamard
from ssm_hdl.gateware.last import Last
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.memories import Memories
from ssm_hdl.gateware.multiplier import LUT
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.queue import Places, Queue
from ssm_hdl.gateware.repack import Repack
from ssm_hdl.gateware.scan import Scan
from ssm_hdl.gateware.slice import Slice
from ssm_hdl.gateware.stage import QueuedStage, Stage
from ssm_hdl.gateware.taps import Taps
from ssm_hdl.operations import Edge, Node, Tensors
from ssm_hdl.operations.add import Add as AddOperation
from ssm_hdl.operations.argmax import Argmax as ArgmaxOperation
from ssm_hdl.operations.dense import Dense as DenseOperation
from ssm_hdl.operations.hadamard import Hadamard as HadamardOperation
from ssm_hdl.operations.last import Last as LastOperation
from ssm_hdl.operations.lookup import Lookup as LookupOperation
from ssm_hdl.operations.multiply import Multiply as MultiplyOperation
from ssm_hdl.operations.pool import Pool as PoolOperation
from ssm_hdl.operations.scan import Scan as ScanOperation
from ssm_hdl.operations.slice import Slice as SliceOperation
from ssm_hdl.operations.taps import Taps as TapsOperation

BIT = Shape(1)
NARROW = SQ(1, 1)
PACE = 8
"""Cycles between two results: the queues of stages are short then."""


def queue(depth: int, block_ram: bool = False, fast: bool = False) -> Bench:
    """A queue; a short one in block RAM as if it were long."""
    component = Queue(BIT, 1, depth, memories=Memories(fast))
    if block_ram:
        component.block_ram, component.latency = True, 3 - fast
    extra = int(component.block_ram)
    return Bench(
        component,
        [component.i],
        [component.o],
        same,
        inside=component.capacity + extra,
        room=component.capacity,
    )


def fork(ways: int, slow: bool = False) -> Bench:
    """Every way gets every beat."""
    component = Fork(BIT, 1, ways, slow=slow)
    return Bench(component, [component.i], [*component.o], same, inside=1, through=True)


def repack(i_lanes: int, o_lanes: int, packet: int = 0, held: int = 1, slow: bool = False) -> Bench:
    """Narrow beats to wide ones, or back."""
    component = Repack(BIT, i_lanes, o_lanes, held=held, slow=slow, packet=packet)
    ratio, bits = max(i_lanes, o_lanes) // min(i_lanes, o_lanes), min(i_lanes, o_lanes)
    reference = (gathered if o_lanes > i_lanes else cut)(
        ratio, bits, (packet or max(i_lanes, o_lanes)) // bits
    )
    inside = 1 + component.ahead if o_lanes > i_lanes else ratio
    beats = -(-(packet or max(i_lanes, o_lanes)) // i_lanes)
    return Bench(component, [component.i], [component.o], reference, inside=inside, packet=beats)


def edges(*formats: Format, size: int = 1) -> tuple[Edge, ...]:
    """Edges into an operation."""
    return tuple(Edge(f"x{k}", size, format) for k, format in enumerate(formats))


def elementwise(make: Callable[..., QueuedStage], node: Node, compact: bool = False) -> Bench:
    """A result for a beat of each input, as the golden model says."""
    return queued(make(node, pace=PACE, compact=compact), golden(node))


def queued(stage: QueuedStage, reference: Expect, room: bool = True) -> Bench:
    """A stage that takes beats when their results have a place in its queue."""
    depth, patience = stage.queue.depth, stage.latency + Places.latency
    return Bench(
        stage, stage.sinks, [stage.o], reference, inside=depth, room=depth * room, patience=patience
    )


def add(compact: bool = False) -> Bench:
    """y = a + b, of two scales, rounded and saturated."""
    node = AddOperation(name="y", inputs=["x0", "x1"], format=SQ(1, 1)).bind(
        edges(SQ(1, 1), SQ(2, 0)), Tensors({}, {}), 4
    )
    return elementwise(Add, node, compact)


def multiply(compact: bool = False) -> Bench:
    """y = a b."""
    node = MultiplyOperation(name="y", inputs=["x0", "x1"], format=SQ(1, 1)).bind(
        edges(SQ(1, 1), SQ(1, 1)), Tensors({}, {}), 4
    )
    return elementwise(Multiply, node, compact)


def lookup(compact: bool = False) -> Bench:
    """y = f(x)."""
    op = LookupOperation(name="y", input="x0", function="gelu", format=SQ(1, 1))
    return elementwise(Lookup, op.bind(edges(NARROW), Tensors({}, {}), 4), compact)


def slice_(start: int, size: int, packet: int) -> Bench:
    """Some elements of each packet."""
    op = SliceOperation(name="y", input="x0", start=start, size=size)
    stage = Slice(op.bind(edges(NARROW, size=packet), Tensors({}, {}), 4))
    reference = window(start, start + size, packet)
    return Bench(stage, stage.sinks, [stage.o], reference, inside=1, packet=packet, through=True)


def last(packet: int) -> Bench:
    """The packet of the last step."""
    stage = Last(
        LastOperation(name="y", input="x0").bind(edges(NARROW, size=packet), Tensors({}, {}), 4)
    )
    bits = NARROW.width
    reference = machine(lambda _, data: (0, [data]), bits, bits, at_end=True)
    return Bench(stage, stage.sinks, [stage.o], reference, inside=1, packet=packet, through=True)


def taps() -> Bench:
    """An element and the one of the step before."""
    node = TapsOperation(name="y", input="x0", taps=2).bind(edges(NARROW), Tensors({}, {}), 4)
    stage, bits = Taps(node, pace=PACE), NARROW.width
    reference = machine(lambda kept, x: (x, [kept | x << bits]), bits, 2 * bits, states=1 << bits)
    return queued(stage, reference)


def pool(registers: bool = False) -> Bench:
    """The sum of the elements of a sequence; of sequences so long that it may wrap, both do."""
    format, x = SQ(2, 1), UQ(1, 0)
    node = PoolOperation(name="y", input="x0", shift=1, format=format).bind(
        edges(x), Tensors({}, {}), 3
    )
    stage = Pool(node, pace=PACE, registers=registers)
    sums = node.accumulator

    def step(total: int, data: int) -> tuple[int, list[int]]:
        code = total + data
        wrapped = (code - sums.min) % (1 << sums.width) + sums.min
        y = int(requantize(np.int64(wrapped), sums.f_bits + 1, format))
        return code % (1 << sums.width), [y % (1 << format.width)]

    reference = machine(step, x.width, format.width, states=1 << sums.width, at_end=True)
    return queued(stage, reference, room=False)


def argmax(size: int) -> Bench:
    """The place of the largest."""
    node = ArgmaxOperation(name="y", input="x0").bind(edges(NARROW, size=size), Tensors({}, {}), 4)
    stage = Argmax(node)
    return Bench(stage, stage.sinks, [stage.o], golden(node, packet=size), inside=1, packet=size)


def hadamard(size: int) -> Bench:
    """The transform of a packet."""
    op = HadamardOperation(name="y", input="x0", shift=1, format=SQ(1, 1))
    node = op.bind(edges(NARROW, size=size), Tensors({}, {}), 4)
    stage = Hadamard(node, PACE)
    return early(stage, golden(node, packet=size), packet=size, inside=stage.queue.depth + size)


def early(stage: Stage, reference: Expect, packet: int, inside: int) -> Bench:
    """A stage whose first results may leave before it is done with the beat that completes them."""
    patience = stage.latency + stage.work + Places.latency
    return Bench(
        stage,
        stage.sinks,
        [stage.o],
        reference,
        inside=inside,
        packet=packet,
        through=True,
        patience=patience,
    )


def dense(folding: str, rows: int = 2, columns: int = 2) -> Bench:
    """y = W x + b."""
    codes = {"w": np.array([[3, -2], [-4, 1]])[:rows, :columns], "b": np.array([1, -1])[:rows]}
    weight, bias = {"tensor": "w", "format": "SQ(1, 2)"}, {"tensor": "b", "format": "SQ(1, 2)"}
    op = DenseOperation.model_validate(
        {
            "name": "y",
            "op": "dense",
            "input": "x0",
            "weight": weight,
            "bias": bias,
            "format": "SQ(2, 1)",
        }
    )
    node = op.bind(edges(NARROW, size=columns), Tensors(codes, {}), 4)
    stage = Dense(node, folding, LUT, PACE)
    lanes, o_lanes, packet = stage.folding.i_lanes, stage.folding.o_lanes, stage.folding.beats
    return early(
        stage,
        golden(node, packet, lanes, o_lanes),
        packet,
        stage.queue.depth + stage.folding.passes,
    )


def scan() -> Bench:
    """h' = Abar h + u, complex, rounded once."""
    codes = {"a": np.array([[[1, -1]]]), "e": np.array([[0]])}
    transition = {"tensor": "a", "format": "SQ(1, 1)"}
    op = ScanOperation.model_validate(
        {
            "name": "y",
            "op": "scan",
            "input": "x0",
            "transition": transition,
            "exponent": "e",
            "format": "SQ(1, 1)",
        }
    )
    node = op.bind(edges(NARROW), Tensors(codes, {}), 4)
    stage = Scan(node, 1, LUT, PACE)
    (ar, ai), shift = (
        (int(a) for a in node.arrays["transition"][0, 0]),
        int(node.arrays["shift"][0, 0]),
    )
    h, f_bits, width = node.output.format, node.accumulator.f_bits, node.output.format.width

    def step(state: int, data: int) -> tuple[int, list[int]]:
        re, im, u = (signed(code, width) for code in (state % (1 << width), state >> width, data))
        sums = ar * re - ai * im + (u << shift), ar * im + ai * re
        code = [int(requantize(np.int64(part), f_bits, h)) % (1 << width) for part in sums]
        return code[0] | code[1] << width, [code[0] | code[1] << width]

    reference = machine(step, NARROW.width, 2 * width, states=1 << 2 * width)
    return early(stage, reference, 1, stage.queue.depth + 1)


def signed(code: int, width: int) -> int:
    """The number of a code of two's complement."""
    return code - (code >> width - 1 << width)


SMALL: dict[str, Callable[[], Bench]] = {
    "queue of 2": lambda: queue(2),
    "queue of 3 in block RAM": lambda: queue(3, block_ram=True),
    "queue of 3 in a fast block RAM": lambda: queue(3, block_ram=True, fast=True),
    "fork to 2": lambda: fork(2),
    "repack 1 to 2, packets of 3": lambda: repack(1, 2, packet=3),
    "repack 2 to 1, packets of 3": lambda: repack(2, 1, packet=3),
    "slice": lambda: slice_(1, 2, 4),
    "last": lambda: last(2),
    "argmax": lambda: argmax(3),
}
"""Proved by every run of the tests."""

LARGE: dict[str, Callable[[], Bench]] = {
    "queue of 1": lambda: queue(1),
    "queue of 6": lambda: queue(6),
    "queue of 7 in block RAM": lambda: queue(7),
    "queue of 7 in a fast block RAM": lambda: queue(7, fast=True),
    "fork to 2, slow": lambda: fork(2, slow=True),
    "fork to 3": lambda: fork(3),
    "repack 1 to 3": lambda: repack(1, 3),
    "repack 3 to 1": lambda: repack(3, 1),
    "repack 1 to 2, slow": lambda: repack(1, 2, slow=True),
    "repack 2 to 1, slow": lambda: repack(2, 1, slow=True),
    "repack 1 to 2, ahead": lambda: repack(1, 2, held=2),
    "repack 1 to 2, ahead, slow": lambda: repack(1, 2, held=4),
    "add": add,
    "add, compact": lambda: add(compact=True),
    "multiply": multiply,
    "multiply, compact": lambda: multiply(compact=True),
    "lookup": lookup,
    "lookup, compact": lambda: lookup(compact=True),
    "taps": taps,
    "pool": pool,
    "pool, sums in registers": lambda: pool(registers=True),
    "hadamard of 2": lambda: hadamard(2),
    "dense, 1 multiplier": lambda: dense("1x1"),
    "dense, 2 rows": lambda: dense("2x1"),
    "dense, 2 columns": lambda: dense("1x2"),
    "dense, 1 x 1": lambda: dense("1x1", 1, 1),
    "scan": scan,
}
"""Proved by ``make prove``."""
