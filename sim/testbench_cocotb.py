"""The cocotb test module of `ssm_hdl.sim.testbench`, for any generated top level under any
simulator that cocotb knows.

It reads its job from the environment.

``SSM_HDL_MANIFEST``
    The manifest that the top level was generated from.

``SSM_HDL_SAMPLES``
    A ``.npy`` file of samples, integers of shape (batch, steps, size). By default,
    2 random sequences.

``SSM_HDL_STALLS``
    Chance of a stall in every cycle, at both ends. By default, 0.2.

``SSM_HDL_SEED``
    Seed of the stalls and of random samples. By default, 0.

``SSM_HDL_PATIENCE``
    Cycles without a transfer at either end after which the design counts as stuck.
    By default, 131072.

``SSM_HDL_COMPARISON``
    File for the verdict, a `Comparison` as JSON. By default, none is written.
"""

import dataclasses
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from ssm_hdl import Manifest
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import Codes
from ssm_hdl.sim.compare import judge
from ssm_hdl.sim.runs import Run

_DRAIN = 256  # cycles after the last result in which no further one may come


@cocotb.test()
async def outputs_equal_golden(dut: Any) -> None:
    """Stream the samples in, take the results, both with random stalls;
    every element equals the golden model's."""
    seed = int(os.environ.get("SSM_HDL_SEED", "0"))
    manifest = Manifest.load(os.environ["SSM_HDL_MANIFEST"])
    samples = _samples(manifest, seed)
    start = time.perf_counter()
    bench = _Bench(manifest, samples, float(os.environ.get("SSM_HDL_STALLS", "0.2")), seed)
    Clock(dut.clk, 10, unit="ns").start(start_high=False)
    dut.i_valid.value = dut.i_data.value = dut.i_last.value = dut.o_ready.value = 0
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    await bench.run(dut, int(os.environ.get("SSM_HDL_PATIENCE", "131072")))
    comparison = judge(manifest, samples, [bench.result(time.perf_counter() - start)])
    dut._log.info("%s", comparison)
    if path := os.environ.get("SSM_HDL_COMPARISON"):
        write_atomically(path, json.dumps(dataclasses.asdict(comparison)))
    assert comparison.differences == 0, f"{comparison.differences} differences; {comparison.first}"


def _samples(manifest: Manifest, seed: int) -> Codes:
    if path := os.environ.get("SSM_HDL_SAMPLES"):
        return manifest.check_samples(np.load(Path(path), allow_pickle=False))
    edge = manifest.input
    shape = (2, manifest.steps, edge.size)
    return np.random.default_rng(seed).integers(edge.format.min, edge.format.max + 1, shape)


class _Bench:
    """Both ends of the pipeline: samples, results, and the cycle of each."""

    def __init__(self, manifest: Manifest, samples: Codes, stalls: float, seed: int) -> None:
        self.manifest, self.stalls = manifest, stalls
        self.random = random.Random(seed)
        batch, steps, self.size = samples.shape
        # bit patterns: the port is unsigned
        self.i_codes = samples & ((1 << manifest.input.format.width) - 1)
        self.i_last = np.broadcast_to((np.arange(steps) == steps - 1)[None, :, None], samples.shape)
        packets = (batch,) if manifest.output.per_sequence else (batch, steps)
        self.outputs = np.zeros((*packets, manifest.output.size), np.int64)
        self.last = np.zeros(self.outputs.shape, bool)
        self.i_cycles, self.o_cycles = (
            np.zeros((batch, steps), np.int64),
            np.zeros(packets, np.int64),
        )

    async def run(self, dut: Any, patience: int) -> None:
        """Drive at falling edges; a transfer that is valid and ready when all has settled happens
        at the next rising edge."""
        beats = list(zip(self.i_codes.ravel().tolist(), self.i_last.ravel().tolist(), strict=True))
        size, o_size, results = self.size, self.manifest.output.size, self.outputs.size
        sent = received = cycle = quiet = 0
        offered = False
        while received < results or quiet < _DRAIN:
            if not offered and sent < len(beats) and self.random.random() >= self.stalls:
                dut.i_data.value, dut.i_last.value = beats[sent]
                offered = True
            dut.i_valid.value = offered
            ready = self.random.random() >= self.stalls
            dut.o_ready.value = ready
            await ReadOnly()
            quiet += 1
            if offered and dut.i_ready.value:
                self.i_cycles.flat[sent // size] = cycle
                sent, quiet, offered = sent + 1, 0, False
            if ready and dut.o_valid.value:
                assert received < results, (
                    f"more results came than there should be, after {cycle} cycles"
                )
                self.outputs.flat[received] = self._code(dut)
                self.last.flat[received] = bool(dut.o_last.value)
                self.o_cycles.flat[received // o_size] = cycle
                received, quiet = received + 1, 0
            assert quiet < patience, (
                f"stuck: nothing moved for {quiet} cycles, up to cycle {cycle}; {sent} of "
                f"{len(beats)} elements were taken and {received} of {results} results given"
            )
            await FallingEdge(dut.clk)
            cycle += 1

    def _code(self, dut: Any) -> int:
        value = dut.o_data.value
        return int(value.to_signed() if self.manifest.output.format.signed else value.to_unsigned())

    def result(self, seconds: float) -> Run:
        return Run(self.outputs, self.last, self.i_cycles, self.o_cycles, seconds)
