"""The options that say how large a pipeline is, which several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.errors import SsmHdlError

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.gen.plan import Plan
    from ssm_hdl.gen.sizer import Sized

DSP = 8
"""DSP blocks to spend where neither they nor a device are named."""

Dsp = Annotated[
    int | None, typer.Option(min=1, help=f"DSP blocks to spend in all; without a device {DSP}, otherwise what it has.")
]
Target = Annotated[
    str | None,
    typer.Option(
        help="Multipliers for: generic (any tool infers them; the default), ice40 or ecp5 (instantiated). Not with --device."
    ),
]
Fold = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAGE=N",
        help="Multipliers of one stage, or its folding such as 2x4 (rows x columns), where you decide; may be repeated.",
    ),
]
ShareLayers = Annotated[
    bool | None,
    typer.Option(
        "--share-layers/--own-stages",
        help="The layers of a deep model share one set of stages, or have their own; with a device, left out, what is better.",
    ),
]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="Size the pipeline for a device: up5k, lfe5u-25f, lfe5u-45f or lfe5u-85f.")
]
Rate = Annotated[
    float | None, typer.Option(metavar="HZ", help="Time steps a second to reach with the least hardware, such as 16e3.")
]
Max = Annotated[bool, typer.Option("--max", help="As many time steps a second as fit the device; so it is without --rate.")]
Clock = Annotated[
    float | None, typer.Option(metavar="MHZ", help="Clock to size for; what pipelines reach on the device if left out.")
]


def foldings(options: list[str] | None) -> dict[str, str]:
    """The ``STAGE=N`` of a command line.

    Raises:
        SsmHdlError: one is not of this form.
    """
    folding = {}
    for option in options or []:
        stage, _, number = option.partition("=")
        if not stage or not number[:1].isdecimal():
            raise SsmHdlError(f"--fold {option} is not of the form STAGE=N, such as --fold mixing=2 or --fold mixing=2x4")
        folding[stage] = number
    return folding


def plan_for(
    manifest: "Manifest",
    dsp: int | None,
    target: str | None,
    fold: list[str] | None,
    share_layers: bool | None,
    device: str | None,
    rate: float | None,
    fastest: bool,
    clock: float | None = None,
) -> "tuple[Plan, Sized | None]":
    """The plan that the options ask for; with a device, what the sizer says of it.

    Raises:
        SsmHdlError: the options contradict each other, or there is no such plan.
    """
    from ssm_hdl.families import find_device
    from ssm_hdl.gen.plan import Plan
    from ssm_hdl.gen.sizer import size
    from ssm_hdl.gen.spram import spill

    if device is None:
        if rate is not None or fastest or clock is not None:
            raise SsmHdlError("--rate, --max and --clock are of a device; name it with --device")
        plan = Plan.fit(manifest, DSP if dsp is None else dsp, target or "generic", foldings(fold), bool(share_layers))
        return spill(manifest, plan), None
    if target is not None:
        raise SsmHdlError(f"--target {target} and --device {device} say the same thing; leave --target out")
    if rate is not None and fastest:
        raise SsmHdlError("--rate and --max are two different wishes; choose one")
    hz = None if clock is None else clock * 1e6
    found = size(manifest, find_device(device), rate, clock_hz=hz, dsp=dsp, folding=foldings(fold), share_layers=share_layers)
    return found.plan, found
