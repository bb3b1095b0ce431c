"""What the gateware and the generator know of an FPGA family, and of a device of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ssm_hdl.families.rams import BlockRams
from ssm_hdl.gateware.multiplier import DSP, LUT, Multiplier, Numbers


class Family:
    """An FPGA family. Everything in which families differ is an attribute or a method of it,
    for boards see `ssm_hdl.boards`.

    Attributes:
        name: name in plans, results and on the command line.
        title: name for people.
        dsp: the multiplier in a DSP block.
        lut: the multiplier made of LUTs.
        rams: its block RAMs.
        fast_rams: a block RAM reads early enough in a cycle for logic to follow at once;
            otherwise a register follows.
        packs_flip_flops: every flip-flop is in a logic cell with a LUT,
            so flip-flops are not counted on their own.
        flip_flops_per_lut: flip-flops of a device for each of its LUTs.
        has_sprams: tables of constants can be in SPRAM (`ssm_hdl.gateware.spram`).
        fill: share of the LUTs and flip-flops of a device that a plan may take;
            place and route needs the rest.
        dsp_fill: the same of the DSP blocks, rounded up.
        reserved_rams: block RAMs that a plan leaves free.
        slow_adapters: forks and repacks may take several cycles for a beat,
            which shortens the longest paths.
        costs: name of the family whose fitted costs the estimates use.
        synthesis: the Yosys command and its options.
        cell_models: simulation models of the cells: files of Yosys's share folder,
            or beside the family's module (``./NAME``).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    dsp: ClassVar[Multiplier]
    lut: ClassVar[Multiplier]
    rams: ClassVar[BlockRams]
    fast_rams: ClassVar[bool] = False
    packs_flip_flops: ClassVar[bool] = False
    flip_flops_per_lut: ClassVar[float] = 1.0
    has_sprams: ClassVar[bool] = False
    fill: ClassVar[float] = 1.0
    dsp_fill: ClassVar[float] = 1.0
    reserved_rams: ClassVar[int] = 0
    slow_adapters: ClassVar[bool] = False
    costs: ClassVar[str]
    synthesis: ClassVar[tuple[str, ...]] = ()
    cell_models: ClassVar[tuple[str, ...]] = ()

    def multiplier(self, kind: str, *operands: Numbers) -> Multiplier:
        """The multiplier of a kind, `DSP` or `LUT`; made of LUTs where one of the operands does
        not fit a DSP block."""
        multiplier = {DSP: self.dsp, LUT: self.lut}[kind]
        return (
            multiplier if all(multiplier.spare(operand) >= 0 for operand in operands) else self.lut
        )

    def synthesis_script(self, top: str, options: Sequence[str]) -> list[str | list[str]]:
        """The Yosys commands that map a design to the cells of the family,
        with options of its command."""
        return [[self.synthesis[0], *options, "-top", top]]

    def finish(self, module: dict[str, Any]) -> None:
        """Improve a flat netlist, the JSON of Yosys, where Yosys leaves something undone."""

    def finish_for_router(self, module: dict[str, Any]) -> None:
        """Prepare a netlist for nextpnr; Yosys need not read the result."""

    @property
    def fitted(self) -> bool:
        """Costs are fitted to its own cells, if it has any."""
        return not self.synthesis or self.costs == self.name

    def __repr__(self) -> str:
        return f"<family {self.name}>"


UNLIMITED = 10**9
"""LUTs, DSP blocks or block RAMs of a device without limits."""


@dataclass(frozen=True)
class Device:
    """A device, as far as a pipeline cares.

    Attributes:
        name: name on the command line.
        title: name for people.
        family: its family.
        luts: LUT4s; on the iCE40 logic cells, each a LUT4 and a flip-flop.
        dsps: DSP blocks.
        rams: block RAMs.
        ram_bits: bits of a block RAM.
        sprams: single-port RAMs of 256 kbit.
        clock_hz: clock that sized pipelines reach on it, by ``make bench``; 0 if it is not known.
        kernel_hz: clock of a bare multiplier kernel, alone on the device (`Device.limit`).
        lanes_per_dsp: 8-bit products of a DSP block per cycle.
    """

    name: str
    title: str
    family: Family
    luts: int
    dsps: int
    rams: int
    ram_bits: int
    sprams: int
    clock_hz: float
    kernel_hz: float
    lanes_per_dsp: int

    @property
    def flip_flops(self) -> int | None:
        """Flip-flops; None where they are not counted on their own."""
        return (
            None
            if self.family.packs_flip_flops
            else int(self.family.flip_flops_per_lut * self.luts)
        )

    @property
    def bounded(self) -> bool:
        """Its LUTs have a limit."""
        return self.luts < UNLIMITED

    @property
    def limit(self) -> float:
        """Products per second of all DSP blocks at the clock of the bare kernel:
        the physical limit."""
        return self.dsps * self.lanes_per_dsp * self.kernel_hz
