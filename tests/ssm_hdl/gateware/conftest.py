"""Runs one stage in Amaranth's simulator, beat by beat, with random stalls at both ends."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.dense_folding import DenseFolding
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden import evaluate

PACKETS = 24
FILL = 1 << 62
"""Stands for numbers that do not count."""


@dataclass
class Run:
    """Numbers that came out, and the cycle of every transfer at the first input
    and at the output."""

    numbers: Codes
    last: list[int]
    taken: list[int]
    given: list[int]


@pytest.fixture(scope="session")
def run_stage() -> Callable[..., Run]:
    """``run_stage(stage, inputs, expected, stalls, seed, ends)``: feed packets (packets, numbers)
    to each sink.

    The packets with the indices ``ends`` are marked as the last of their sequence, the very last
    one unless told. Runs until all went in and ``expected`` numbers came out; a stage that hangs is
    an error after 20,000 cycles.
    """

    def run(
        stage,
        inputs: Sequence[Codes],
        expected: int,
        stalls: float = 0.0,
        seed: int = 0,
        ends: Collection[int] | None = None,
    ) -> Run:
        dice = random.Random(seed)
        result = Run(np.zeros(0, dtype=np.int64), [], [], [])
        numbers: list[int] = []
        queues = [
            _beats(packets, len(sink.p.data), ends)
            for packets, sink in zip(inputs, stage.sinks, strict=True)
        ]

        async def bench(ctx) -> None:
            offered = [False] * len(queues)
            for cycle in range(20_000):
                for index, (queue, sink) in enumerate(zip(queues, stage.sinks, strict=True)):
                    offered[index] = bool(queue) and (offered[index] or dice.random() >= stalls)
                    ctx.set(sink.valid, offered[index])
                    if offered[index]:
                        for lane, number in enumerate(queue[0][0]):
                            ctx.set(sink.p.data[lane], int(number))
                        ctx.set(sink.p.last, queue[0][1])
                accepting = dice.random() >= stalls
                ctx.set(stage.o.ready, accepting)
                _, _, valid, payload, *ready = await ctx.tick().sample(
                    stage.o.valid, stage.o.payload, *(sink.ready for sink in stage.sinks)
                )
                for index, queue in enumerate(queues):
                    if offered[index] and ready[index]:
                        queue.pop(0)
                        offered[index] = False
                        if index == 0:
                            result.taken.append(cycle)
                if valid and accepting:
                    numbers.extend(payload.data)
                    result.last.append(payload.last)
                    result.given.append(cycle)
                if len(numbers) >= expected and not any(queues):
                    return
            raise AssertionError(f"{len(numbers)} of {expected} numbers in 20,000 cycles")

        top = Module()
        top.domains.sync = ClockDomain()  # one that has no registers has no domain of its own
        top.submodules.stage = stage
        simulator = Simulator(top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        result.numbers = np.array(numbers)
        return result

    return run


def _beats(packets: Codes, lanes: int, ends: Collection[int] | None) -> list[tuple[Codes, bool]]:
    rows = packets.reshape(len(packets), -1)
    assert rows.shape[1] % lanes == 0
    ends = (len(rows) - 1,) if ends is None else ends
    return [
        (row[k : k + lanes], t in ends)
        for t, row in enumerate(rows)
        for k in range(0, len(row), lanes)
    ]


@dataclass
class Order:
    """How the numbers of packets stand in beats: so many ``parts`` one after the other,
    each in beats of ``width`` numbers.

    The last of these is filled up; several parts may be side by side, see `Folding.interleaved`.
    """

    parts: int = 1
    width: int = 1
    interleaved: tuple[int, int] | None = None

    def __call__(self, packets: Codes, fill: int) -> Codes:
        split = packets.astype(np.int64).reshape(len(packets), self.parts, -1)
        split = np.pad(
            split, ((0, 0), (0, 0), (0, -split.shape[2] % self.width)), constant_values=fill
        )
        if self.interleaved is not None:
            channels, numbers = self.interleaved
            split = split.reshape(
                len(packets), self.parts // channels, channels, -1, numbers
            ).swapaxes(2, 3)
        return split.reshape(len(packets), -1)


@pytest.fixture(scope="session")
def orders() -> Callable[..., tuple[Order, Order]]:
    """``orders(stage)``: those of its packets in and out."""
    return _orders


def _orders(stage: Any) -> tuple[Order, Order]:
    folding = getattr(stage, "folding", None)
    if isinstance(folding, DenseFolding):
        return (
            Order(folding.shape[0], folding.columns, folding.interleaved),
            Order(width=folding.rows),
        )
    if isinstance(folding, ScanFolding):
        return Order(), Order(folding.shape[0], 2 * folding.within, folding.interleaved)
    return Order(), Order()


@pytest.fixture(scope="session")
def random_packets() -> Callable[..., list[Codes]]:
    """``random_packets(node, count, seed)``: packets over the whole formats of a node's inputs."""

    def make(node: Node, count: int, seed: int = 0) -> list[Codes]:
        dice = np.random.default_rng(seed)
        return [
            dice.integers(
                edge.format.min,
                edge.format.max + 1,
                (count, edge.size, *((2,) if edge.is_complex else ())),
            )
            for edge in node.inputs
        ]

    return make


@pytest.fixture(scope="session")
def check(
    run_stage: Callable[..., Run], random_packets: Callable[..., list[Codes]]
) -> Callable[..., None]:
    """``check(make, node, per_step, packets)``: a stage equals its golden function,
    in the cycles that it states.

    Values with and without stalls, latency of a packet alone, interval of the last packets of many.
    ``make`` makes the stage of the node, ``packets(node, count)`` its inputs, random ones unless
    told; ``per_step=False`` if it sends once per sequence.
    """

    def run(
        make: Callable[[], Any],
        node: Node,
        per_step: bool = True,
        packets: Callable[..., list[Codes]] = random_packets,
    ) -> None:
        inputs = packets(node, PACKETS)
        golden = evaluate(node, *(each[np.newaxis] for each in inputs))
        reads, sends = _orders(make())
        inputs, expected = (
            [reads(each, node.inputs[0].format.max) for each in inputs],
            sends(golden.codes[0], FILL).ravel(),
        )
        counts = expected != FILL
        for stalls in (0.0, 0.4):
            result = run_stage(make(), inputs, expected.size, stalls, seed=7)
            assert np.array_equal(result.numbers[counts], expected[counts])
            ends = len(result.last) // (PACKETS if per_step else 1)
            assert result.last[-ends:] == [1] * ends and not any(result.last[:-ends])

        stage = make()
        beats_in = inputs[0][0].size // len(stage.sinks[0].p.data)
        packet = [each[:1] for each in inputs]
        per_packet = expected.size // (PACKETS if per_step else 1)
        alone = run_stage(stage, packet, per_packet)
        assert alone.given[-1] - alone.taken[beats_in - 1] == stage.latency

        steady = run_stage(stage := make(), inputs, expected.size)
        if per_step:
            beats_out = len(steady.given) // PACKETS
            assert steady.given[-1] - steady.given[-1 - 4 * beats_out] == 4 * stage.cycles
        else:
            assert steady.taken[-1] - steady.taken[-1 - 4 * beats_in] == 4 * stage.cycles

    return run
