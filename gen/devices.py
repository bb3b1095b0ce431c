"""The devices that a pipeline can be sized for."""

from dataclasses import dataclass, replace

from ssm_hdl.errors import SsmHdlError

UNLIMITED = 10**9
"""LUTs, DSP blocks or block RAMs of a device that has no limit of them."""


@dataclass(frozen=True)
class Device:
    """A device, as far as a pipeline cares.

    Attributes:
        name: what the command line calls it.
        title: what people call it.
        family: ``ice40`` or ``ecp5``; the target of a plan.
        luts: LUT4s; on the iCE40 logic cells, each a LUT4 and a flip-flop.
        dsps: DSP blocks.
        rams: block RAMs.
        ram_bits: bits of a block RAM.
        sprams: single-port RAMs of 256 kbit.
        clock_hz: clock that sized pipelines reach on it, by ``make bench``; 0 if it is not known.
        kernel_hz: clock of a bare multiplier kernel, which is alone on it (`Device.limit`); from the issue's device facts.
        lanes_per_dsp: 8-bit products of a DSP block.
    """

    name: str
    title: str
    family: str
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
        """Flip-flops, as many as LUTs; None where they are not to be counted, since each is in a logic cell with a LUT."""
        return None if self.family == "ice40" else self.luts

    @property
    def bounded(self) -> bool:
        """It has only so many LUTs."""
        return self.luts < UNLIMITED

    @property
    def limit(self) -> float:
        """Products a second of all DSP blocks at the clock of the bare kernel: the physical limit."""
        return self.dsps * self.lanes_per_dsp * self.kernel_hz


UP5K = Device("up5k", "iCE40UP5K", "ice40", 5280, 8, 30, 4096, 4, 48e6, 80e6, 2)
ECP5_25F = Device("lfe5u-25f", "LFE5U-25F", "ecp5", 24288, 28, 56, 18432, 0, 125e6, 190e6, 1)
ECP5_45F = Device("lfe5u-45f", "LFE5U-45F", "ecp5", 43848, 72, 108, 18432, 0, 100e6, 130e6, 1)
ECP5_85F = Device("lfe5u-85f", "LFE5U-85F", "ecp5", 83640, 156, 208, 18432, 0, 100e6, 90e6, 1)

DEVICES = {device.name: device for device in (UP5K, ECP5_25F, ECP5_45F, ECP5_85F)}
"""Every device, by the name that the command line uses, from the smallest to the largest."""


GENERIC = Device("generic", "generic device", "generic", UNLIMITED, UNLIMITED, UNLIMITED, 18432, 0, 0, 0, 1)
"""A device without limits but those of the caller. Its multipliers are inferred by the tool; it has no clock of its own."""


def generic(family: str) -> Device:
    """The same, with the multipliers and the memories of a family."""
    return replace(GENERIC, title=f"generic {family}" if family != GENERIC.family else GENERIC.title, family=family)


def find_device(name: str) -> Device:
    """The device of a name, in capitals or not.

    Raises:
        SsmHdlError: there is none.
    """
    devices = DEVICES | {GENERIC.name: GENERIC}
    if name.lower() not in devices:
        raise SsmHdlError(f"device {name!r} is not known; there are {', '.join(devices)}")
    return devices[name.lower()]
