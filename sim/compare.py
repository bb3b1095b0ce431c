"""RTL against the golden model, by equality of every element of the output."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.sim.golden import Change, run
from ssm_hdl.sim.runs import Run
from ssm_hdl.sim.verilated import VerilatedModel


@dataclass(frozen=True)
class Comparison:
    """How a compiled pipeline compares with the golden model.

    Attributes:
        sequences: sequences compared.
        elements: elements of the output edge compared.
        differences: elements with another code, or with another ``last``.
        first: the first difference in words, or nothing.
        cycles: clock cycles simulated.
        interval: cycles per time step, see `Run.interval`.
        latency: cycles from the last sample of a time step in to its last result out, the most,
            see `Run.latency`.
        cycles_per_second: speed of the simulation.
        stress: the comparison under `ssm_hdl.sim.stress.stress`, if there was one.
    """

    sequences: int
    elements: int
    differences: int
    first: str
    cycles: int
    interval: float
    latency: int
    cycles_per_second: float
    stress: "Comparison | None" = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs, under stress either."""
        return not self.differences and (self.stress is None or self.stress.equal)


def compare(
    manifest: Manifest,
    model: VerilatedModel,
    samples: Codes,
    progress: Callable[[int], None] | None = None,
    *,
    stalls: float = 0.0,
    seed: int = 0,
    jobs: int = 1,
) -> Comparison:
    """Run a batch through the pipeline and the golden model, and compare the results.

    Args:
        manifest: the integer program.
        model: its pipeline, compiled.
        samples: codes of the input format, integers of shape (batch, steps, size),
            at least one sequence.
        progress: called with the number of sequences that the pipeline has done since the last
            call, often none, from any thread; what it raises ends the comparison.
        stalls: chance of a stall in every cycle, at both ends.
        seed: of these chances.
        jobs: threads to run parts of the batch in, each on its own instance of the pipeline.

    Raises:
        SsmHdlError: samples that the manifest does not take; a pipeline that is stuck or breaks the
            rules of streams.
    """
    samples = manifest.check_samples(samples)
    parts = np.array_split(samples, max(1, min(jobs, len(samples))))
    given_up = Event()

    def advance(done: int) -> None:
        if given_up.is_set():
            raise CancelledError
        if progress is not None:
            progress(done)

    def simulate(part: int) -> Run:
        # stalls of its own for each part
        return model.run(parts[part], advance, stalls=stalls, seed=seed + part)

    with ThreadPoolExecutor(len(parts)) as pool:
        simulations = [pool.submit(simulate, part) for part in range(len(parts))]
        try:
            for simulation in as_completed(simulations):
                simulation.result()
        finally:
            given_up.set()  # the pool waits for its threads, also where a signal ends this process
    return judge(manifest, samples, [simulation.result() for simulation in simulations])


def joined(parts: Sequence[Comparison]) -> Comparison:
    """The comparisons of several batches as one; the interval comes from the batch
    that took longest."""
    return Comparison(
        sequences=sum(part.sequences for part in parts),
        elements=sum(part.elements for part in parts),
        differences=sum(part.differences for part in parts),
        first=next((part.first for part in parts if part.first), ""),
        cycles=sum(part.cycles for part in parts),
        interval=max(parts, key=lambda part: part.cycles).interval,
        latency=max(part.latency for part in parts),
        cycles_per_second=parts[0].cycles_per_second,
    )


def judge(
    manifest: Manifest, samples: Codes, runs: Sequence[Run], change: Change | None = None
) -> Comparison:
    """Compare the results of pipelines for the parts of a batch, in order,
    with the golden model's results for all of it.

    Args:
        manifest: the integer program.
        samples: codes of the input format.
        runs: of its parts.
        change: what stages read in place of an operation's codes, see `run`.
    """
    outputs, last = (
        np.concatenate([run.outputs for run in runs]),
        np.concatenate([run.last for run in runs]),
    )
    expected = run(manifest, samples, change=change).outputs
    expected_last = np.ones(expected.shape, bool)
    if not manifest.output.per_sequence:
        expected_last[:, :-1] = False
    differ = (outputs != expected) | (last != expected_last)
    return Comparison(
        sequences=len(samples),
        elements=expected.size,
        differences=int(np.count_nonzero(differ)),
        first=_first(manifest, differ, outputs, expected),
        cycles=sum(run.cycles for run in runs),
        interval=runs[0].interval,
        latency=max(run.latency for run in runs),
        cycles_per_second=sum(run.cycles / run.seconds for run in runs),
    )


def _first(
    manifest: Manifest, differ: np.ndarray[Any, Any], outputs: Codes, expected: Codes
) -> str:
    if not differ.any():
        return ""
    place = tuple(np.argwhere(differ)[0])
    names = (
        ("sequence", "element") if manifest.output.per_sequence else ("sequence", "step", "element")
    )
    where = ", ".join(f"{name} {index}" for name, index in zip(names, place, strict=True))
    if outputs[place] == expected[place]:
        return f"{where}: `last` is wrong"
    return f"{where}: the pipeline says {outputs[place]}, the golden model {expected[place]}"
