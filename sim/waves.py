# amaranth: UnusedElaboratable=no
"""The layout of waves in GTKWave: the streams of a pipeline in their order,
each with its handshake and its format."""

import io
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from vcd.gtkw import GTKWSave

from ssm_hdl import Manifest
from ssm_hdl.gateware.stream import lanes
from ssm_hdl.gen.names import plain
from ssm_hdl.gen.network import Port
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan


def layout(manifest: Manifest, plan: Plan, waves: Path) -> str:
    """The layout (``.gtkw``) of a VCD file of a pipeline.

    Where Yosys joined the payload of a branch with that of its source, that one is shown.
    """
    with waves.open(encoding="ascii", errors="replace") as lines:
        known = variables(lines)
    inside = f"{manifest.name}.pipeline"
    pipeline, text = Pipeline(manifest, plan), io.StringIO()
    edges, components = pipeline.structure.edges, pipeline.network.components

    def wires(port: Port) -> str:
        branch = "" if port.branch is None else f"_{port.branch}"
        return (
            f"{inside}.{plain(port.component)}" if port.component else manifest.name
        ) + f".{port.member}{branch}"

    save, payloads = GTKWSave(text), defaultdict[tuple[str, int], list[str]](list)
    save.dumpfile(str(waves.absolute()))
    save.treeopen(inside)
    for path in (f"{manifest.name}.clk", f"{manifest.name}.rst"):
        if path in known:
            save.trace(known[path])
    for link in pipeline.network.links:
        source, sink, edge = link.source.component, link.sink.component, edges[link.stream]
        count = lanes(components[source], link.source.member) if source else 1
        kind = f"{count} x {edge.format}" + ", real and imaginary" * edge.is_complex
        with save.group(f"{source or 'samples'} to {sink or 'results'}: {kind}"):
            for wire in (
                ("valid", "ready", "payload")
                if source and sink
                else ("valid", "ready", "data", "last")
            ):
                ends = [f"{wires(port)}_{wire}" for port in (link.source, link.sink)]
                paths = [known[path] for path in ends if path in known]
                if wire == "payload":
                    payloads[link.stream, count] = paths = paths or payloads[link.stream, count]
                for path in paths[:1]:
                    save.trace(
                        path,
                        wire,
                        datafmt="signed" if wire == "data" and edge.format.signed else "hex",
                    )
    return text.getvalue()


def variables(lines: Iterable[str]) -> dict[str, str]:
    """The variables of a VCD file by their paths: what GTKWave calls them,
    with the range of their bits."""
    scopes, known = list[str](), dict[str, str]()
    for line in lines:
        match line.split():
            case ["$scope", _, name, "$end"]:
                scopes.append(name)
            case ["$upscope", *_]:
                scopes.pop()
            case ["$var", _, _, _, name, *bits, "$end"]:
                path = ".".join([*scopes, name])
                known[path] = path + "".join(bits)
            case ["$enddefinitions", *_]:
                break
    return known
