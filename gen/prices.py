"""What a pipeline costs on a device, in LUTs."""

from ssm_hdl.gen.devices import Device
from ssm_hdl.gen.knapsack import Use
from ssm_hdl.gen.report import Report

PRICES = Use(luts=1, flip_flops=0, dsps=20, rams=40, sprams=200, idle=280, wait=0)
"""What one of each costs, in LUTs: a DSP block that is busy is cheaper than the LUTs of a multiplier, one that is not is dearer,
so that LUTs multiply what comes rarely, and where the blocks end; the first SPRAM brings the logic that loads it. A result that
comes an interval later, since a dense has many rows to go through, costs a share of the device."""

WAIT = 0.2
"""That share of the device's LUTs, where a model has one scan; where it has several, each makes a result wait as long."""


def prices(device: Device, scans: int) -> Use:
    """What one of each costs on a device, in LUTs, for a model with so many scans."""
    return PRICES._replace(wait=WAIT * device.luts / max(1, scans))


def price(report: Report, device: Device, interval: float) -> float:
    """What a pipeline costs on a device where time steps come every so many cycles, in LUTs."""
    idle = report.dsp * (1 - report.products / (max(report.dsp_multipliers, 1) * interval))
    scans = sum(stage.layers for stage in report.stages if stage.op == "scan")
    use = total(report, device)._replace(idle=idle, wait=report.latency_alone / interval)
    return sum(number * each for number, each in zip(use, prices(device, scans), strict=True))


def total(report: Report, device: Device) -> Use:
    """What it takes."""
    return Use(report.luts, report.flip_flops, report.dsp, report.block_rams[device.family], report.sprams)
