"""The message of a model that does not fit a device."""

import math

from ssm_hdl import Manifest
from ssm_hdl.families import DEVICES, Device
from ssm_hdl.gen.size.attempts import structures, thresholds
from ssm_hdl.gen.size.objective import NOTHING, Use, budget
from ssm_hdl.gen.size.refine import Search


def misfit(manifest: Manifest, device: Device, reserve: Use, search: Search) -> str:
    """Why nothing fits, by how much, and where it would. ``search`` has the smallest stages."""
    least, limits = search.least(), search.budget
    missing = []
    if least.rams > limits.rams:
        there = max(0, limits.rams)
        bits = (least.rams - there) * device.ram_bits
        missing.append(
            f"its memories take {least.rams:,.0f} block RAMs where {there:,.0f} can be used, "
            f"{bits:,.0f} bits too many"
        )
    for what, needed, limit in (
        ("LUTs", least.luts, limits.luts),
        ("flip-flops", least.flip_flops, limits.flip_flops),
        ("DSP blocks", least.dsps, limits.dsps),
    ):
        if needed > limit:
            missing.append(
                f"it takes at least {needed:,.0f} {what} where {max(0, limit):,.0f} can be used"
            )
    other = reserve != NOTHING
    if not missing:
        have = zip(
            (limits.luts, limits.flip_flops, limits.rams, limits.dsps),
            ("LUTs", "flip-flops", "block RAMs", "DSP blocks"),
            strict=True,
        )
        within = ", ".join(f"{limit:,.0f} {what}" for limit, what in have if limit < math.inf)
        left = (
            f" that place and route{' and other logic leave' if other else ' leaves'}"
            if device.bounded
            else ""
        )
        missing.append(f"no plan keeps within the {within}{left}")
    others = [
        larger.title
        for larger in DEVICES.values()
        if larger.bounded
        and larger is not device
        and reserve.dsps <= larger.dsps
        and _fits(manifest, larger, reserve)
    ]
    beside = " beside other logic; leave less for that, or" if other else ";"
    none = f"no device that is known holds it{beside} give it narrower formats"
    where = f"it fits the {', '.join(others)}" if others else none
    return f"{manifest.name} does not fit the {device.title}: {', and '.join(missing)}; {where}"


def _fits(manifest: Manifest, device: Device, reserve: Use) -> bool:
    limits = budget(device, reserve=reserve)
    return any(
        search.feasible(search.options.intervals[-1])
        for luts_below in (0, *thresholds(device))
        for search in (
            Search(manifest, structure, device, limits, {})
            for structure in structures(manifest, device, None, luts_below)
        )
    )
