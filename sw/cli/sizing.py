"""The options that say how large a pipeline is, the same for every command that plans one."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.cli.console import working

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.families import Device
    from ssm_hdl.gen.size.objective import Use
    from ssm_hdl.gen.size.planner import Sized


def _removed(value: str | None) -> None:
    if value is not None:
        from ssm_hdl.families import DEVICES

        instead = next(
            (f"--device {name}" for name, device in DEVICES.items() if device.family.name == value),
            "--device generic",
        )
        print(
            f"ssm-hdl: --target is gone, a pipeline is planned for a device: {instead}",
            file=sys.stderr,
        )
        raise typer.Exit(2)


Target = Annotated[str | None, typer.Option(hidden=True, callback=_removed)]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        help="Device to plan for: up5k, lfe5u-25f, lfe5u-45f, lfe5u-85f, gw1nr-9, gw2ar-18, "
        "or generic for any.",
    ),
]


@dataclass(frozen=True)
class Size:
    """What a command line says of the size of a pipeline: an option for each field."""

    rate: Annotated[
        float | None,
        typer.Option(
            metavar="HZ",
            help="Time steps per second to reach with the least hardware, such as 16e3.",
        ),
    ] = None
    fastest: Annotated[
        bool,
        typer.Option(
            "--max",
            help="The most time steps per second that fit; without it and --rate, "
            "the most that DSP blocks give.",
        ),
    ] = False
    clock: Annotated[
        float | None,
        typer.Option(
            metavar="MHZ",
            help="Clock; the board's, or the one that pipelines reach on the device, if left out.",
        ),
    ] = None
    latency: Annotated[
        int | None,
        typer.Option(
            metavar="CYCLES",
            min=1,
            help="Limit of the cycles from the last sample in to the last result out, "
            "of a step alone.",
        ),
    ] = None
    dsp: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Limit of DSP blocks; what a plan may take of the device if left out, "
            "8 on the generic one.",
        ),
    ] = None
    share_device: Annotated[
        str | None,
        typer.Option(
            metavar="LUTS,DSPS,RAMS",
            help="LUTs, DSP blocks and block RAMs to leave for other logic: 2000,4,6.",
        ),
    ] = None
    fold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=N",
            help="Multipliers of one stage, or its folding such as 2x4 (rows x columns), "
            "where you decide; may be repeated.",
        ),
    ] = None
    share_layers: Annotated[
        bool | None,
        typer.Option(
            "--share-layers/--own-stages",
            help="The layers of a deep model share one set of stages, or have their own; "
            "whatever is better if left out.",
        ),
    ] = None

    def words(self) -> list[str]:
        """The options of a command line that says the same."""
        given = {
            "--rate": None if self.rate is None else f"{self.rate:g}",
            "--clock": None if self.clock is None else f"{self.clock:g}",
            "--latency": self.latency, "--dsp": self.dsp, "--share-device": self.share_device,
        }  # fmt: skip
        flags = {
            "--max": self.fastest,
            "--share-layers": self.share_layers,
            "--own-stages": self.share_layers is False,
        }
        words = [
            word
            for name, value in given.items()
            if value is not None
            for word in (name, str(value))
        ]
        words += [word for option in self.fold or [] for word in ("--fold", option)]
        return [*words, *(name for name, there in flags.items() if there)]

    def plan(self, manifest: "Manifest", device: "Device", shell: "Use | None" = None) -> "Sized":
        """The plan that the options ask for, beside a shell.

        Raises:
            SsmHdlError: the options contradict each other, or there is no such plan.
        """
        from ssm_hdl.gen.size.planner import plan_for

        reserve, clock_hz = (
            reserved(self.share_device),
            None if self.clock is None else self.clock * 1e6,
        )
        with working(manifest.name) as tell:
            return plan_for(
                manifest, device, self.rate, fastest=self.fastest, clock_hz=clock_hz, dsp=self.dsp,
                latency=self.latency, folding=foldings(self.fold), share_layers=self.share_layers,
                reserve=reserve if shell is None else reserve.plus(shell),
                progress=lambda what: tell(f"planning, {what}"),
            )  # fmt: skip


def sized(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options of `Size` in place of its parameter ``size``."""
    own = signature(Size).parameters
    listed = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for parameter in signature(command).parameters.values()
    ]
    at = [parameter.name for parameter in listed].index("size")
    listed[at : at + 1] = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own.values()
    ]

    @wraps(command)
    def run(**values: Any) -> None:
        command(size=Size(**{name: values.pop(name) for name in own}), **values)

    run.__signature__ = Signature(listed)  # type: ignore[attr-defined]  # where typer looks for options
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    return run


def foldings(options: list[str] | None) -> dict[str, str]:
    """The ``STAGE=N`` of a command line.

    Raises:
        SsmHdlError: one is not of this form.
    """
    folding = dict[str, str]()
    for option in options or []:
        stage, _, number = option.partition("=")
        if not stage or not number[:1].isdecimal():
            raise UsageError(
                f"--fold {option} is not of the form STAGE=N, "
                "such as --fold mixing=2 or --fold mixing=2x4"
            )
        if stage in folding:
            raise UsageError(
                f"--fold {option}: {stage} has --fold {stage}={folding[stage]} already; keep one"
            )
        folding[stage] = number
    return folding


def reserved(option: str | None) -> "Use":
    """The ``LUTS,DSPS,RAMS`` of a command line; flip-flops like LUTs.

    Raises:
        SsmHdlError: it is not of this form.
    """
    from ssm_hdl.gen.size.objective import NOTHING, Use

    if option is None:
        return NOTHING
    numbers = option.split(",")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        raise UsageError(
            f"--share-device {option} is not of the form LUTS,DSPS,RAMS, "
            "such as --share-device 2000,4,6"
        )
    luts, dsps, rams = map(int, numbers)
    return Use(luts, luts, dsps, rams)
