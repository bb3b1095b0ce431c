# amaranth: UnusedElaboratable=no
"""Verilog of a pipeline: one file, one top module with plain ports, any tool."""

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Shape, Signal, Value

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.files import write_together
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.gen.header import header, stream_ports
from ssm_hdl.gen.names import readable
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import Report
from ssm_hdl.gen.rtlil import widen
from ssm_hdl.gen.wrappers import find_wrapper
from ssm_hdl.gen.yosys import to_verilog


def generate(
    manifest: Manifest,
    plan: Plan,
    *,
    name: str = "",
    command: str = "",
    report: Report | None = None,
    wrap: str = "",
) -> str:
    """The Verilog text of the pipeline.

    The module has these ports:

    - ``clk``, ``rst`` (synchronous, active high),
    - ``i_valid``, ``i_ready``, ``i_data`` (one code of the input format),
      ``i_last`` (this time step ends its sequence),
    - the same with ``o_`` for the results,
    - with tables in SPRAM also ``w_valid``, ``w_ready`` and ``w_data``, for the bytes of `weights`.

    A transfer happens in a cycle in which ``valid`` and ``ready`` are both high.

    Args:
        manifest: the integer program.
        plan: its hardware.
        name: name of the module; the manifest's if empty.
        command: the command line that makes the file, for its header.
        report: the cycles of the plan, for the header.
        wrap: a bus in place of the streams, see `ssm_hdl.gen.wrappers`.

    Raises:
        UsageError: there is no such wrapper, or it does not go with the plan.
    """
    name = name or manifest.name
    pipeline = Pipeline(manifest, plan)
    module, ports, meaning = _wrapped(pipeline, wrap) if wrap else _streams(pipeline)
    head = header(manifest, plan, name, command, report, meaning)
    return f"{head}{convert(module, name, ports)}\n`default_nettype wire\n"


def _streams(pipeline: Pipeline) -> tuple[Module, list[Signal], dict[str, str]]:
    """A module with the streams of a pipeline, its ports, and what they mean."""
    m, manifest = Module(), pipeline.manifest
    m.domains.sync = domain = ClockDomain()
    m.submodules.pipeline = pipeline
    ports = [domain.clk, domain.rst]

    def connect(prefix: str, shape: Shape, **leaves: Value) -> None:
        for leaf, signal in leaves.items():
            ports.append(wire := Signal(shape if leaf == "data" else 1, name=f"{prefix}_{leaf}"))
            m.d.comb += wire.eq(signal) if (prefix == "o") != (leaf == "ready") else signal.eq(wire)

    for prefix, port, edge in (
        ("i", pipeline.i, manifest.input),
        ("o", pipeline.o, manifest.output),
    ):
        connect(
            prefix,
            shape_of(edge),
            valid=port.valid,
            ready=port.ready,
            data=Value.cast(port.p.data),
            last=port.p.last,
        )
    if pipeline.sprams:
        w = pipeline.w
        connect("w", w.payload.shape(), valid=w.valid, ready=w.ready, data=w.payload)
    return m, ports, stream_ports(manifest, len(pipeline.image))


def _wrapped(pipeline: Pipeline, wrap: str) -> tuple[Module, list[Signal], dict[str, str]]:
    """The same with a bus."""
    kind = find_wrapper(wrap)
    if pipeline.sprams:
        raise UsageError(
            f"a plan with tables in SPRAM has a third stream, for which {wrap} has no place; "
            "name another --device"
        )
    m, manifest = Module(), pipeline.manifest
    m.domains.sync = domain = ClockDomain()
    wrapper = kind(pipeline, manifest.input, manifest.output, fingerprint(manifest))
    m.submodules.wrapper = wrapper
    clk, rst = (Signal(name=name) for name in wrapper.clocks)
    m.d.comb += [domain.clk.eq(clk), domain.rst.eq(~rst if wrapper.reset_low else rst)]
    clocks = dict(
        zip(
            wrapper.clocks,
            ("clock", f"reset, active {'low' if wrapper.reset_low else 'high'}"),
            strict=True,
        )
    )
    return m, [clk, rst, *wrapper.ports.values()], clocks | wrapper.meaning


def convert(module: Module, name: str, ports: Sequence[Signal]) -> str:
    """The Verilog of a module, readable and without warnings of linters;
    it takes what Amaranth's own takes of a device."""
    with _uncollected():
        text = rtlil.convert(module, name=name, ports=ports, emit_src=False)
    return readable(to_verilog(widen(text), tidy=True))


_TABLE = re.compile(
    r"  initial begin\n(?=    (\w+)\[0\] = )((?:    \1\[\d+\] = \d+'h[0-9a-f]+;\n)+)  end\n"
)


def memory_files(verilog: str) -> tuple[str, dict[str, str]]:
    """Verilog that reads its tables by ``$readmemh``, for tools that ignore initial values of
    memories; and these files."""
    files = dict[str, str]()

    def read(match: re.Match[str]) -> str:
        module = verilog[verilog.rindex("\nmodule ", 0, match.start()) :].split(maxsplit=2)[1]
        name = f"{module}_{match[1]}.hex"
        words = re.findall(r"'h([0-9a-f]+);", match[2])
        files[name] = "".join(f"{word}\n" for word in words)
        return f'  initial $readmemh("{name}", {match[1]}, 0, {len(words) - 1});\n'

    return _TABLE.sub(read, verilog), files


def write(
    path: Path, verilog: str, image: bytes, tables: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Path]:
    """Write Verilog and what belongs to it, all of it or nothing.

    Args:
        path: of the Verilog; the others are beside it.
        verilog: its text.
        image: what the port ``w`` takes, see `weights`.
        tables: of `memory_files`.

    Returns:
        The files, ``verilog`` and maybe ``weights``.

    Raises:
        SsmHdlError: a file cannot be written.
    """
    beside = path.with_suffix(".weights.bin")
    others: dict[Path, bytes | str] = {path.parent / name: text for name, text in tables.items()}
    others |= {beside: image} if image else {}
    # the weights of the Verilog that was there; any other file of this name is not ours
    stale = not image and _loads(path)
    write_together({**others, path: verilog})
    if stale:
        beside.unlink(missing_ok=True)
    return {"verilog": path} | ({"weights": beside} if image else {})


def _loads(path: Path) -> bool:
    """Whether there is Verilog of ours whose port ``w`` takes weights."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return re.search(r"^// made by +ssm-hdl ", text, re.MULTILINE) is not None and "w_valid" in text


def bare(text: str) -> str:
    """Verilog without comments and empty lines: what hardware depends on."""
    return "\n".join(
        line for line in re.sub(r"/\*[\s\S]*?\*/|//.*", "", text).splitlines() if line.strip()
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would walk millions of objects again and again that live
    until all is converted."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def weights(manifest: Manifest, plan: Plan) -> bytes:
    """What the port ``w`` of the Verilog takes after every reset; empty if there is none."""
    return Pipeline(manifest, plan).image
