"""The open tools of a family on the way from a netlist to a bitstream."""

from collections.abc import Mapping
from dataclasses import dataclass

from ssm_hdl.boards.pll import Pll
from ssm_hdl.families.base import Family


@dataclass(frozen=True)
class Flow:
    """The tools of a family.

    Attributes:
        family: the family.
        pll: its PLL.
        router: program for place and route.
        packer: program that makes the bitstream.
        constraints: ending of the file of pins.
        routing: arguments of the router for that file, for its result,
            and for the clock in MHz where no PLL tells it.
        packing: arguments of the packer.
        bitstream: ending of a bitstream.
        cells: what the cells of a netlist are, by the beginning of their names,
            and how many each counts for.
        bels: what nextpnr calls the same, where it reports it.
        pack_only: arguments of the router with which it packs logic cells and stops,
            where flip-flops share cells with LUTs.
        packed: regular expression for the number of logic cells in its log then.
    """

    family: Family
    pll: type[Pll]
    router: str
    packer: str
    constraints: str
    routing: tuple[str, ...]
    packing: tuple[str, ...]
    bitstream: str
    cells: Mapping[str, Mapping[str, float]]
    bels: Mapping[str, str]
    pack_only: tuple[str, ...] = ()
    packed: str = ""
