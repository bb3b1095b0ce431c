"""FPGA families and their devices. A family is one module here, one in `ssm_hdl.boards.families`,
and a line below."""

from ssm_hdl.errors import UsageError
from ssm_hdl.families import ecp5, generic, gowin, ice40
from ssm_hdl.families.base import Device, Family
from ssm_hdl.families.generic import GENERIC_DEVICE, unlimited

_MODULES = (generic, ice40, ecp5, gowin)

DEVICES: dict[str, Device] = {
    device.name: device for module in _MODULES for device in module.DEVICES
}
"""Every device, by the name that the command line uses;
of a family from the smallest to the largest."""

FAMILIES: dict[str, Family] = {device.family.name: device.family for device in DEVICES.values()}
"""Every family by name."""


def find_device(name: str) -> Device:
    """The device of a name, in capitals or not.

    Raises:
        SsmHdlError: there is none.
    """
    if name.lower() not in DEVICES:
        known = sorted(DEVICES, key=lambda each: not DEVICES[each].bounded)
        raise UsageError(f"device {name!r} is not known; there are {', '.join(known)}")
    return DEVICES[name.lower()]


def find_family(name: str) -> Family:
    """The family of a name.

    Raises:
        SsmHdlError: there is none.
    """
    if name not in FAMILIES:
        raise UsageError(f"family {name!r} is not known; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


__all__ = [
    "DEVICES",
    "FAMILIES",
    "GENERIC_DEVICE",
    "Device",
    "Family",
    "find_device",
    "find_family",
    "unlimited",
]
