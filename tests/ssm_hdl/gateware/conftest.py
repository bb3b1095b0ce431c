"""Runs one stage in Amaranth's simulator, beat by beat, with random stalls at both ends."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from simulated import Simulated

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


class Bench(Simulated):
    """A stage that is fed packets."""

    def __init__(self, stage: Any) -> None:
        super().__init__(stage)
        self.stage = stage

    def run(
        self,
        inputs: Sequence[Codes],
        expected: int,
        stalls: float = 0.0,
        seed: int = 0,
        ends: Collection[int] | None = None,
    ) -> Run:
        """See `run_stage`."""
        self._stalls, self._dice, self._expected = stalls, random.Random(seed), expected
        self._queues = [
            _beats(packets, len(sink.p.data), ends)
            for packets, sink in zip(inputs, self.stage.sinks, strict=True)
        ]
        self._result, self._numbers = Run(np.zeros(0, dtype=np.int64), [], [], []), []
        self.simulate()
        self._result.numbers = np.array(self._numbers)
        return self._result

    async def bench(self, ctx: Any) -> None:
        """Feed the sinks and take what comes."""
        stage, queues, result, random = self.stage, self._queues, self._result, self._dice.random
        # attributes of streams take long: all of them once
        sinks = [(sink.valid, list(sink.p.data), sink.p.last) for sink in stage.sinks]
        accept = stage.o.ready
        tick = ctx.tick().sample(
            stage.o.valid, stage.o.payload, *(sink.ready for sink in stage.sinks)
        )
        offered = [False] * len(queues)
        for cycle in range(20_000):
            for index, (queue, (valid, lanes, last)) in enumerate(zip(queues, sinks, strict=True)):
                if offered[index]:
                    continue
                offered[index] = bool(queue) and random() >= self._stalls
                ctx.set(valid, offered[index])
                if offered[index]:
                    numbers, end = queue[0]
                    for lane, number in zip(lanes, numbers.tolist(), strict=True):
                        ctx.set(lane, number)
                    ctx.set(last, end)
            accepting = random() >= self._stalls
            ctx.set(accept, accepting)
            _, _, given, payload, *ready = await tick
            for index, queue in enumerate(queues):
                if offered[index] and ready[index]:
                    queue.pop(0)
                    offered[index] = False
                    if index == 0:
                        result.taken.append(cycle)
            if given and accepting:
                self._numbers.extend(payload.data)
                result.last.append(payload.last)
                result.given.append(cycle)
            if len(self._numbers) >= self._expected and not any(queues):
                return
        raise AssertionError(f"{len(self._numbers)} of {self._expected} numbers in 20,000 cycles")


@pytest.fixture(scope="session")
def run_stage() -> Callable[..., Run]:
    """``run_stage(stage, inputs, expected, stalls, seed, ends)``: feed packets (packets, numbers)
    to each sink.

    The packets with the indices ``ends`` are marked as the last of their sequence, the very last
    one unless told. Runs until all went in and ``expected`` numbers came out; a stage that hangs is
    an error after 20,000 cycles.
    """
    return lambda stage, *arguments, **options: Bench(stage).run(*arguments, **options)


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
def check(random_packets: Callable[..., list[Codes]]) -> Callable[..., None]:
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
        stage = make()
        bench = Bench(stage)
        reads, sends = _orders(stage)
        inputs, expected = (
            [reads(each, node.inputs[0].format.max) for each in inputs],
            sends(golden.codes[0], FILL).ravel(),
        )
        counts, per_packet = expected != FILL, expected.size // (PACKETS if per_step else 1)
        stalled, steady = (bench.run(inputs, expected.size, stalls, seed=7) for stalls in (0.4, 0))
        for result in (stalled, steady):
            assert np.array_equal(result.numbers[counts], expected[counts])
            ends = len(result.last) // (PACKETS if per_step else 1)
            assert result.last[-ends:] == [1] * ends and not any(result.last[:-ends])

        beats_in = inputs[0][0].size // len(stage.sinks[0].p.data)
        alone = bench.run([each[:1] for each in inputs], per_packet)
        assert alone.given[-1] - alone.taken[beats_in - 1] == stage.latency

        if per_step:
            beats_out = len(steady.given) // PACKETS
            assert steady.given[-1] - steady.given[-1 - 4 * beats_out] == 4 * stage.cycles
        else:
            assert steady.taken[-1] - steady.taken[-1 - 4 * beats_in] == 4 * stage.cycles

    return run
