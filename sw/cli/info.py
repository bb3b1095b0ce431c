"""``ssm-hdl info``: the contents of a manifest or a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType

from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Json, facts, need_picture, show, table

if TYPE_CHECKING:
    from ssm_hdl import Manifest

NAME = "info"
EXAMPLE = "ssm-hdl info manifests/digits --picture digits.svg"


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST|CHECKPOINT",
            help="A manifest (its folder or manifest.yaml) or a checkpoint (.safetensors).",
        ),
    ],
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the pipeline of a manifest into this file, .svg, .png or .pdf."),
    ] = None,
    dsp: Annotated[
        int, typer.Option(min=1, help="Limit of DSP blocks of the pipeline that is drawn.")
    ] = 8,
    as_json: Json = False,
) -> None:
    """Show what a manifest holds (operations, formats, accumulators, memory, multiplications)
    or the origin of a checkpoint."""
    if is_checkpoint(path):
        if picture is not None:
            raise UsageError(
                f"{path} is a checkpoint and has no pipeline to draw; quantize it first"
            )
        _checkpoint(path, as_json)
    else:
        _manifest(path, picture, dsp, as_json)


def is_checkpoint(path: Path) -> bool:
    """Whether a path names a checkpoint; a manifest is a folder or a YAML file."""
    return path.suffix not in (".yaml", ".yml") and (
        path.is_file() or (path.suffix != "" and not path.is_dir())
    )


def _manifest(path: Path, picture: Path | None, dsp: int, as_json: bool) -> None:
    from ssm_hdl import Manifest

    manifest = Manifest.load(path)
    need_picture(picture)
    if picture is not None:
        from ssm_hdl.gen.size.planner import plan_for
        from ssm_hdl.sw.draw import draw

        draw(manifest, plan_for(manifest, dsp=dsp).plan, picture)
    answer = describe(manifest)
    show(as_json, answer, *tables(answer, {"picture": picture} if picture else {}))


def tables(
    answer: dict[str, Any], more: dict[str, object] | None = None
) -> tuple[RenderableType, ...]:
    """A manifest for people."""
    from ssm_hdl.sw.memory import MEMORY_KINDS

    operations = table("operation", "op", "reads", ">size", "format", "accumulator", ">products")
    for op in answer["operations"]:
        shape = f"{op['size']}{' complex' if op['complex'] else ''}"
        shape += " per sequence" if op["per_sequence"] else ""
        operations.add_row(
            op["name"], op["op"], ", ".join(op["inputs"]), shape, op["format"],
            op["accumulator"] or "", f"{op['multiplications']:,}" if op["multiplications"] else "",
        )  # fmt: skip
    tensors = table("tensor", "shape", "stored as", ">bits")
    for name, tensor in answer["tensors"].items():
        tensors.add_row(
            name,
            " x ".join(map(str, tensor["shape"])),
            tensor["format"] or "integers",
            f"{tensor['bits']:,}",
        )
    memory = table("memory", ">bytes, paper's count", ">bytes in hardware")
    counted = answer["memory"]
    for kind in (*MEMORY_KINDS, "in all"):
        bits = [
            (total["kinds"] | {"in all": total["bits"]}).get(kind, 0)
            for total in (counted["paper"], counted["hardware"])
        ]
        if any(bits):
            memory.add_row(
                kind,
                *(f"{count / 8:,.0f}" if count else "" for count in bits),
                end_section=kind == MEMORY_KINDS[-1],
            )
    entry = answer["input"]
    summary = {
        "input": f"{entry['name']}, {entry['size']} of {entry['format']} per step, "
        f"up to {answer['steps']} steps",
        "output": answer["output"],
        "multiplications per step": f"{answer['multiplications']:,}",
        "weight bits": f"{answer['weight_bits']:,}",
        "state bits": f"{answer['state_bits']:,}",
        **(
            {}
            if counted["saved"] is None
            else {"saved of 32-bit floats": f"{counted['saved']:.1%} by the paper's count"}
        ),
        **(more or {}),
    }
    return (
        facts(f"{answer['name']}  {answer['description']}".strip(), summary),
        operations,
        tensors,
        memory,
    )


def describe(manifest: "Manifest") -> dict[str, Any]:
    """A manifest in JSON: its edges and tensors, and the sums over them."""
    from ssm_hdl.sw.memory import hardware, paper, paper_float_of

    edge = manifest.input
    operations = [
        {
            "name": node.name,
            "op": node.op.op,
            "inputs": list(node.op.sources),
            "size": node.output.size,
            "complex": node.output.is_complex,
            "per_sequence": node.output.per_sequence,
            "format": str(node.output.format),
            "accumulator": None if node.accumulator is None else str(node.accumulator),
            "multiplications": node.multiplications,
        }
        for node in manifest.nodes.values()
    ]
    tensors = {}
    for name, codes in manifest.tensors.codes.items():
        format = manifest.tensors.formats.get(name)
        width = (
            format.width
            if format
            else max(int(codes.max(initial=0)), -int(codes.min(initial=0))).bit_length() + 1
        )
        tensors[name] = {
            "shape": list(codes.shape),
            "format": str(format) if format else None,
            "bits": width * codes.size,
        }
    by_paper, whole, by_hardware = paper(manifest), paper_float_of(manifest), hardware(manifest)
    return {
        "kind": "manifest",
        "name": manifest.name,
        "description": manifest.graph.description,
        "steps": manifest.steps,
        "samples": manifest.graph.samples.facts() if manifest.graph.samples else None,
        "input": {"name": edge.name, "size": edge.size, "format": str(edge.format)},
        "output": manifest.graph.output,
        "operations": operations,
        "tensors": tensors,
        "multiplications": manifest.multiplications,
        "weight_bits": sum(tensor["bits"] for tensor in tensors.values()),
        "state_bits": by_hardware.of("states"),
        "memory": {
            "paper": by_paper.to_json(),
            "hardware": by_hardware.to_json(),
            "saved": None if whole is None else 1 - by_paper.bits / whole.bits,
        },
    }


def _checkpoint(path: Path, as_json: bool) -> None:
    need("torch", "numba")
    from ssm_hdl.sw.checkpoint import load

    checkpoint = load(path)
    model = checkpoint.model
    answer = {
        "kind": "checkpoint",
        "model": model.config.family,
        **model.config.model_dump(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dataset": checkpoint.inputs.name,
        **{name: value for name, value in checkpoint.inputs.facts().items() if name != "name"},
        **checkpoint.metadata,
    }
    show(as_json, answer, facts(str(path), answer))
