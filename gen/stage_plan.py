"""The plan of a stage: its folding, its lanes and its multipliers."""

from dataclasses import dataclass

LUTS_ARE_SCARCE = ("ice40",)
"""Families on which adapters may take several cycles for a beat where that shortens the longest path."""


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        lanes: numbers in a beat of its output.
        folding: name of the folding, of the operations that have several.
        multipliers: products side by side; 0 where there is none.
        kind: kind of multiplier, one of `ssm_hdl.gateware.multiplier.KINDS`.
        pace: cycles that the plan leaves between two results.
        even: a scan takes the results of a dense one by one, all through the interval.
        registers: the sums of a pool or a dense are registers, where block RAMs are scarcer.
        in_blocks: multipliers in DSP blocks; the others are made of LUTs.
        blocks: DSP blocks that they take; a block may hold two.
        spram: names of its tables that are in SPRAM instead of block RAM.
    """

    lanes: int = 1
    folding: str = ""
    multipliers: int = 0
    kind: str = "dsp"
    pace: int = 1
    even: bool = False
    registers: bool = False
    in_blocks: int = 0
    blocks: int = 0
    spram: tuple[str, ...] = ()
