"""What a board is: its device, its clock, its pins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ssm_hdl.boards.families import FLOWS, Flow
from ssm_hdl.boards.pll import Pll, find_pll
from ssm_hdl.extras import need
from ssm_hdl.families import Device, Family

Pin = tuple[str, int] | tuple[str, int, str]
"""A resource of a platform and its number; of a resource with several pins also which of them."""


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: what the command line calls it.
        title: what people call it.
        chip: the device on it.
        oscillator: resource of the platform that is the oscillator.
        oscillator_hz: its frequency.
        clock_hz: clock of the accelerator, unless the user asks for another.
        baud: bit rate of the serial line.
        leds: pins that light up when the board is ready, and when it refused a request;
            none if there are no LEDs to spare.
        high: pins that have to be held high.
        route: arguments of nextpnr that name the device.
        pack: arguments of the packer that name the device.
        loader: what openFPGALoader calls the board.
        platform: makes a fresh Amaranth platform.
        flash: resource of the platform that is the SPI flash of a board with SPRAMs.
        flash_offset: where in it their contents are, after the bitstream.
        other_pll: its PLL, where that of the flow does not reach the oscillator.
    """

    name: str
    title: str
    chip: Device
    oscillator: str
    oscillator_hz: float
    clock_hz: float
    baud: int
    leds: tuple[Pin, ...]
    high: tuple[Pin, ...]
    route: tuple[str, ...]
    loader: str
    platform: Callable[[], Any]
    flash: str = ""
    flash_offset: int = 0
    other_pll: type[Pll] | None = None
    pack: tuple[str, ...] = ()

    @property
    def family(self) -> Family:
        """The family of its device."""
        return self.chip.family

    @property
    def flow(self) -> Flow:
        """The tools of its family."""
        return FLOWS[self.family.name]

    def pll(self, clock_hz: float) -> Pll:
        """The PLL setting that comes nearest to a clock.

        Raises:
            SsmHdlError: it would be more than 0.5 % off.
        """
        return find_pll(self.other_pll or self.flow.pll, self.oscillator_hz, clock_hz)

    @property
    def device(self) -> str:
        """What people call the device."""
        return self.chip.title


def platform_of(
    module: str, name: str, uart: tuple[str, int, str, str] | None = None, **attributes: Any
) -> Callable[[], Any]:
    """A function that makes the platform ``name`` of ``amaranth_boards.module``.

    It imports when it is called, so that a board can be talked about, and to, without that package.

    Args:
        module: the module.
        name: the platform.
        uart: connector, its number, and its pins rx and tx,
            where the board has no serial port of its own.
        attributes: of these pins.
    """

    def make() -> Any:
        need("amaranth_boards")
        from importlib import import_module

        from amaranth.build import Attrs
        from amaranth_boards.resources import UARTResource

        platform = getattr(import_module(f"amaranth_boards.{module}"), name)()
        if uart is not None:
            connector, number, rx, tx = uart
            platform.add_resources(
                [UARTResource(0, rx=rx, tx=tx, conn=(connector, number), attrs=Attrs(**attributes))]
            )
        return platform

    return make
