"""What the planner tries in turn: layers with stages of their own or shared ones, and memories of
LUTs where block RAMs are too few."""

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families import Device
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.structure import Structure

LUTS_BELOW = (2048, 4096, 8192)
"""Bits below which memories are of LUTs, tried in turn where block RAMs are too few. A RAM of LUTs
of 2,048 bits takes some 200 LUTs; one of 8,192 takes 800, and a thirtieth of an LFE5U-25F."""


def thresholds(device: Device) -> tuple[int, ...]:
    """The bits below which memories can be of LUTs, for a device that has such memories."""
    return LUTS_BELOW if device.family.rams.lut_rams else ()


def structures(
    manifest: Manifest, device: Device, share_layers: bool | None, luts_below: int = 0
) -> list[Structure]:
    """Stages of their own for every layer, and shared ones, where there is a choice."""
    if share_layers is None:
        try:
            find_layers(manifest)
        except SsmHdlError:
            share_layers = False
    choices = (False, True) if share_layers is None else (share_layers,)
    return [Structure.of(manifest, shared, device.family, luts_below) for shared in choices]
