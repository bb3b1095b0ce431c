"""A generated pipeline, compiled by Verilator into a Python object that runs a million
clock cycles per second."""

import ctypes
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate, weights
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compiler import Design, compile_verilog
from ssm_hdl.sim.linked import with_links
from ssm_hdl.sim.links import NO_LINKS, Links
from ssm_hdl.sim.runs import Run

PATIENCE = 1 << 20
"""Cycles without a transfer at either end after which a design counts as stuck."""

_AT_ONCE = 1 << 19  # cycles between two calls of the progress callback
_DRAIN = 4096  # cycles after the last result in which no other may come


class _Job(ctypes.Structure):
    """Mirrors ``Job`` of ``harness.cpp``."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("i_data", "o_data", "o_last", "i_cycles", "o_cycles")
        ),
        *(
            (name, ctypes.c_uint64)
            for name in ("i_beats", "o_beats", "i_packet", "o_packet", "i_sequence")
        ),
        *((name, ctypes.c_uint64) for name in ("i_stall", "o_stall", "o_pause", "random")),
        *(("w_data", ctypes.c_void_p), ("w_beats", ctypes.c_uint64), ("w_done", ctypes.c_uint64)),
        *((name, ctypes.c_uint64) for name in ("l_mask", "l_turns", "l_period", "l_stall")),
        *(
            (name, ctypes.c_uint64)
            for name in ("i_done", "o_done", "cycle", "quiet", "o_take", "violations", "l_sum")
        ),
    )


class VerilatedModel:
    """A pipeline as an object that runs.

    Args:
        manifest: the integer program.
        plan: its hardware; `plan_for`'s for a generic device if None.
        design: other Verilog with the ports that `generate` gives, such as a netlist made of it;
            then ``plan`` and ``optimise`` are not used.
        optimise: level of the C++ compiler, as in `Design`. Below a million cycles,
            0 is ready sooner.
        cache: folder that keeps what was compiled; see `ssm_hdl.sim.compiler.cache_folder`.

    Raises:
        SsmHdlError: a tool is missing or failed.
    """

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan | None = None,
        *,
        design: Design | None = None,
        optimise: int = 1,
        cache: Path | None = None,
    ) -> None:
        self.manifest = manifest
        if design is None:
            plan = plan or plan_for(manifest).plan
            text, stored = generate(manifest, plan), weights(manifest, plan)
            design = Design(text, manifest.name, optimise=optimise, weights=stored)
            design = with_cells(design, plan.family)
        else:
            plan = None
        self.design, self._plan, self._cache = design, plan, cache
        harness = resources.files("ssm_hdl.sim").joinpath("harness.cpp").read_text(encoding="utf-8")
        harness = (
            ("#define WEIGHTS\n" if design.weights else "")
            + ("#define LINKS\n" if design.masks is not None else "")
            + harness
        )
        self.library = compile_verilog(design, harness, cache)
        self._lib = ctypes.CDLL(str(self.library))
        self._lib.model_new.restype = ctypes.c_void_p
        self._lib.model_free.argtypes = (ctypes.c_void_p,)
        self._lib.model_reset.argtypes = (ctypes.c_void_p,)
        self._lib.model_run.argtypes = (
            ctypes.c_void_p,
            ctypes.POINTER(_Job),
            *[ctypes.c_uint64] * 3,
        )

    def linked(self) -> "VerilatedModel | None":
        """The same pipeline with ports for stalls and other codes inside, a quarter slower;
        None of other Verilog, unless it has them."""
        if self.design.masks is not None:
            return self
        if self._plan is None:
            return None
        text, masks = with_links(self.design.verilog, self.manifest, self._plan)
        design = replace(self.design, verilog=text, masks=masks)
        return VerilatedModel(self.manifest, design=design, cache=self._cache)

    def run(
        self,
        samples: Codes,
        progress: Callable[[int], None] | None = None,
        *,
        stalls: float = 0.0,
        pause: int = 0,
        seed: int = 0,
        reset_after: int | None = None,
        links: Links = NO_LINKS,
        patience: int = PATIENCE,
    ) -> Run:
        """Run a batch of sequences, one after the other, from the state that the device has when
        it is switched on.

        Every call makes its own instance of the design, so calls may run side by side in threads.

        Args:
            samples: codes of the input format, integers of shape (batch, steps, size).
            progress: called with the number of sequences done since the last call, often none;
                what it raises ends the run.
            stalls: chance, in every cycle, that a sample or a byte of weights is held back,
                and that a result is not taken.
            pause: cycles in which nothing moves before some results are taken,
                so that the pipeline is full by then.
            seed: of these chances and of how many results these are;
                the same seed gives the same cycles.
            reset_after: run the samples for this number of cycles first, then reset for one cycle,
                then run them again from the start; the result is of the second run.
            links: what happens inside, of a design that has the ports for it.
            patience: cycles without a transfer after which the design counts as stuck.

        Raises:
            SsmHdlError: samples that the manifest does not take; or a design that is stuck,
                gives results that nobody asked for, or changes one before it is taken.
        """
        samples = self.manifest.check_samples(samples)
        if not 0 <= stalls < 1:
            raise SsmHdlError(
                f"stalls is {stalls}; it is a chance in every cycle, from 0 to below 1"
            )
        if seed < 0:
            raise SsmHdlError(f"the seed is {seed}; it is 0 or more")
        if links.any and self.design.masks is None:
            raise SsmHdlError(f"{self.manifest.name}: this Verilog has no ports for stalls inside")
        job = _Buffers(self.manifest, samples, stalls, pause, seed, self.design.weights, links)
        start = time.perf_counter()
        model = self._lib.model_new()
        try:
            if reset_after is not None:
                aborted = _Buffers(
                    self.manifest, samples, stalls, pause, seed, self.design.weights, links
                )
                self._lib.model_run(model, aborted.job, reset_after, patience, _DRAIN)
                self._lib.model_reset(model)
            while not job.check(patience):
                before = job.sequences
                self._lib.model_run(model, job.job, _AT_ONCE, patience, _DRAIN)
                if progress is not None:
                    progress(job.sequences - before)
        finally:
            self._lib.model_free(model)
        return job.result(time.perf_counter() - start)


class _Buffers:
    """The arrays of a run, and the job that points to them."""

    def __init__(
        self,
        manifest: Manifest,
        samples: Codes,
        stalls: float,
        pause: int,
        seed: int,
        weights: bytes,
        links: Links,
    ) -> None:
        batch, steps, size = samples.shape
        output = manifest.output
        self.manifest = manifest
        self.packets = (batch,) if output.per_sequence else (batch, steps)
        mask = (1 << manifest.input.format.width) - 1
        self.i_data = np.ascontiguousarray(samples & mask).astype(np.uint64)
        self.o_data = np.zeros((*self.packets, output.size), np.uint64)
        self.o_last = np.zeros(self.o_data.shape, np.uint8)
        self.i_cycles = np.zeros((batch, steps), np.uint64)
        self.o_cycles = np.zeros(self.packets, np.uint64)
        self.weights = np.frombuffer(weights, np.uint8)
        random = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) | 1
        chance = int(stalls * 2**32)
        self.job = _Job(
            *(
                array.ctypes.data
                for array in (self.i_data, self.o_data, self.o_last, self.i_cycles, self.o_cycles)
            ),
            *(
                self.i_data.size,
                self.o_data.size,
                size,
                output.size,
                steps * size,
                chance,
                chance,
                pause,
                random,
            ),
            *(self.weights.ctypes.data, self.weights.size, 0),
            *(links.mask, links.turns, links.period, int(links.stalls * 2**32)),
        )

    @property
    def sequences(self) -> int:
        """Sequences whose results have all left."""
        return int(self.job.o_done) // (self.o_data.size // len(self.i_data))

    def check(self, patience: int) -> bool:
        """True when all is done; an error when it will never be."""
        job, name = self.job, self.manifest.name
        done = (
            f"{job.i_done} of {job.i_beats} elements were taken and {job.o_done} of {job.o_beats} "
            "results given"
        )
        if job.violations:
            raise SsmHdlError(
                f"{name}: a result was withdrawn or changed before it was taken, "
                f"after {job.cycle} cycles; {done}"
            )
        if job.o_done > job.o_beats:
            raise SsmHdlError(
                f"{name}: more results came than there should be, after {job.cycle} cycles; {done}"
            )
        if job.o_done == job.o_beats:
            return bool(job.quiet >= _DRAIN)
        if job.quiet >= patience:
            raise SsmHdlError(
                f"{name} is stuck: nothing moved for {job.quiet} cycles, "
                f"up to cycle {job.cycle}; {done}"
            )
        return False

    def result(self, seconds: float) -> Run:
        """The run, with results as codes of the output format."""
        format = self.manifest.output.format
        outputs = self.o_data.astype(np.int64)
        if format.signed:
            outputs -= (outputs >> (format.width - 1)) << format.width
        cycles = (self.i_cycles.astype(np.int64), self.o_cycles.astype(np.int64))
        return Run(outputs, self.o_last.astype(bool), *cycles, seconds, int(self.job.l_sum))
