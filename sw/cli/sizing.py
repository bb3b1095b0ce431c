"""The options that say how large a pipeline is, the same for every command that plans one."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.errors import UsageError

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.families import Device
    from ssm_hdl.gen.size.objective import Use
    from ssm_hdl.gen.size.planner import Sized

PATIENCE_S = 2.0
"""Seconds after which a search says that it is at work."""


def _removed(value: str | None) -> None:
    if value is not None:
        from ssm_hdl.families import DEVICES

        instead = next(
            (f"--device {name}" for name, device in DEVICES.items() if device.family.name == value), "--device generic"
        )
        print(f"ssm-hdl: --target is gone, a pipeline is planned for a device: {instead}", file=sys.stderr)
        raise typer.Exit(2)


Dsp = Annotated[
    int | None, typer.Option(min=1, help="Limit of DSP blocks; those of the device if left out, 8 on the generic one.")
]
Target = Annotated[str | None, typer.Option(hidden=True, callback=_removed)]
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
        help="The layers of a deep model share one set of stages, or have their own; whatever is better if left out.",
    ),
]
DeviceName = Annotated[
    str, typer.Option("--device", help="Device to plan for: up5k, lfe5u-25f, lfe5u-45f, lfe5u-85f, or generic for any.")
]
Rate = Annotated[
    float | None, typer.Option(metavar="HZ", help="Time steps a second to reach with the least hardware, such as 16e3.")
]
Max = Annotated[
    bool,
    typer.Option("--max", help="As many time steps a second as fit; without --rate and --max, as many as the DSP blocks give."),
]
Clock = Annotated[
    float | None, typer.Option(metavar="MHZ", help="Clock to plan for; what pipelines reach on the device if left out.")
]
Latency = Annotated[
    int | None,
    typer.Option(
        metavar="CYCLES", min=1, help="Limit of the cycles from the last sample in to the last result out, of a step alone."
    ),
]
ShareDevice = Annotated[
    str | None,
    typer.Option(metavar="LUTS,DSPS,RAMS", help="LUTs, DSP blocks and block RAMs to leave for other logic, such as 2000,4,6."),
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
            raise UsageError(f"--fold {option} is not of the form STAGE=N, such as --fold mixing=2 or --fold mixing=2x4")
        folding[stage] = number
    return folding


def reserved(option: str | None) -> "Use":
    """The ``LUTS,DSPS,RAMS`` of a command line; as many flip-flops as LUTs.

    Raises:
        SsmHdlError: it is not of this form.
    """
    from ssm_hdl.gen.size.objective import NOTHING, Use

    if option is None:
        return NOTHING
    numbers = option.split(",")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        raise UsageError(f"--share-device {option} is not of the form LUTS,DSPS,RAMS, such as --share-device 2000,4,6")
    luts, dsps, rams = map(int, numbers)
    return Use(luts, luts, dsps, rams)


def plan(
    manifest: "Manifest",
    device: "Device",
    rate: float | None,
    fastest: bool,
    clock_hz: float | None,
    dsp: int | None,
    latency: int | None,
    fold: list[str] | None,
    share_layers: bool | None,
    reserve: "Use",
) -> "Sized":
    """The plan that the options ask for.

    Raises:
        SsmHdlError: the options contradict each other, or there is no such plan.
    """
    from ssm_hdl.gen.size.planner import plan_for

    with _elapsed(manifest.name) as tell:
        return plan_for(
            manifest, device, rate, fastest=fastest, clock_hz=clock_hz, dsp=dsp, latency=latency, folding=foldings(fold),
            share_layers=share_layers, reserve=reserve, progress=tell,
        )  # fmt: skip


@contextmanager
def _elapsed(name: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr with what a search is at and its time, once it takes longer than `PATIENCE_S`."""
    began, shown = time.monotonic(), False

    def tell(what: str) -> None:
        nonlocal shown
        seconds = time.monotonic() - began
        if seconds > PATIENCE_S:
            shown = True
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{name}: {seconds:3.0f} s, planning, {what:40}", end=end, file=sys.stderr, flush=True)

    yield tell
    if shown and sys.stderr.isatty():
        print(f"{'':78}", end="\r", file=sys.stderr, flush=True)
