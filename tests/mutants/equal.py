# amaranth: UnusedElaboratable=no
"""Proofs that a fault changes nothing: no run of a stage and of its mutant, side by side,
differs in what is seen.

Only the stage with the fault is looked at, and anything may come from its neighbours. Seen are its
handshakes, what it gives where that is valid, and what it does to its memories. These are cut out:
as long as both do the same to them, they read the same, whatever that is; tables of constants stay.
What its readers make of a difference is looked at next, with them and it as one stage.

ABC finds signals of both that are always equal, or never change, by induction from power-up (signal
correspondence), and with them that no output differs. Where some may, it searches for a run in
which one does, or for an invariant that forbids it (property-directed reachability).
"""

from dataclasses import dataclass
from pathlib import Path

from mutants import miter
from mutants.cut import TOLD, cut
from mutants.faults import placed
from mutants.miter import SIDES
from mutants.narrowed import narrowed
from mutants.observers import Observer, observer_of, plain, signals_of, steady
from mutants.parts import Component, components_of, neighbours, part
from mutants.unfilled import always_free, transition
from ssm_hdl import Manifest
from ssm_hdl.gateware.stream import beats
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.yosys import run_yosys

READERS = 3
"""How many stages a difference may pass until no other sees it."""

STREAM = ("payload", "valid", "ready")
STEADY = ("mean",)
"""Operations that need packets whose beats all have the same tag."""


def proved_equal(
    manifest: Manifest, plan: Plan, verilog: str, fault: str, folder: Path, seconds: int = 60
) -> bool:
    """Whether a mutant takes and gives the same in the same cycles, whatever comes;
    False also if that is not known in time.

    Args:
        manifest: the integer program.
        plan: its hardware.
        verilog: its pipeline.
        fault: a command of Yosys.
        folder: for the files of the tools.
        seconds: for each proof.
    """
    case = Case.of(manifest, narrowed(manifest, verilog), fault, folder)
    inside = {case.stage}
    for _ in range(1 + READERS):
        if case.proved(inside, seconds):
            return True
        before, inside = inside, neighbours(case.components, inside)
        if inside == before:
            break
    return case.never_fills(manifest, plan) and case.proved_with_places(seconds)


@dataclass(frozen=True)
class Case:
    """A stage with a fault.

    Attributes:
        verilog: the design.
        top: its top module.
        components: those of the pipeline.
        stage: the one with the fault.
        change: the fault, a command of Yosys.
        kind: the operation of the stage, if it has one.
        data: bits of an input beat before its tag.
        beats: those of a packet.
        folder: for the files of the tools.
    """

    verilog: str
    top: str
    components: dict[str, Component]
    stage: str
    change: str
    kind: str
    data: int
    beats: int
    folder: Path

    @classmethod
    def of(cls, manifest: Manifest, verilog: str, fault: str, folder: Path) -> "Case":
        """Of a pipeline and a fault."""
        top, components = manifest.name, components_of(verilog, manifest.name)
        chain, change = placed(fault, verilog, top)
        (stage,) = [name for name, each in components.items() if each.module == chain[2]]
        node = manifest.nodes.get(chain[2].removeprefix(f"{top}_"))
        kind, data, count = "", 0, 1
        if node and node.op.op in STEADY:
            kind, (edge,), width = node.op.op, node.inputs, components[stage].width_of("i_payload")
            data = (width - 1) // edge.format.width * edge.format.width
            count = beats(edge.size, data // edge.format.width)
        elif node:
            kind = node.op.op
        return cls(verilog, top, components, stage, change, kind, data, count, folder)

    def proved(self, inside: set[str], seconds: int) -> bool:
        """Whether these components and those with the fault are proved to be equal."""
        frames, loose = self._pair(inside, set()), set[str]()
        while True:
            differ = set[str]()
            for count in dict.fromkeys((2, frames)):
                differ = miter.differ(self.folder, count, seconds)
                if not differ:
                    return True
            more = {name for name in differ if TOLD in name} - loose
            if not more:
                return "trigger" in differ and miter.unreachable(self.folder, seconds)
            loose |= more
            self._pair(inside, loose)

    def _pair(self, inside: set[str], loose: set[str]) -> int:
        """Write a circuit with an output that says where the two differ;
        the cycles of the induction that it needs."""
        module = self.components[self.stage].module
        observer = observer_of(self.verilog, module, self.kind, self.beats)
        (self.folder / "seen.v").write_text(self._seen(inside, observer), encoding="utf-8")
        self._both(
            f"flatten {module}",
            *(f"expose {module}/w:{wire}" for wire in observer.names),
            ["read_verilog", "-sv", "seen.v"],
            "hierarchy -top seen",
            "proc",
            "flatten",
            "opt_clean",
            "memory -nomap",
        )
        for name in SIDES:
            cut(self.folder / f"{name}.json", name, loose)
        miter.write(self.folder)
        return observer.frames

    def _both(self, *commands: str | list[str]) -> None:
        """What the same commands make of the design and of the mutant, in JSON;
        cells have the names of the whole design."""
        (self.folder / "design.v").write_text(self.verilog, encoding="utf-8")
        every: list[str | list[str]] = [["read_verilog", "design.v"], f"hierarchy -top {self.top}"]
        every += ["proc", "design -save whole"]
        for name, changes in zip(SIDES, ([], [self.change]), strict=True):
            every += ["design -load whole", *changes, *commands, ["write_json", f"{name}.json"]]
        run_yosys(every, self.folder / "stage.log", accepted=(".*",))

    def never_fills(self, manifest: Manifest, plan: Plan) -> bool:
        """Whether the queue after the stage always has a free place."""
        name = self.components[self.stage].module.removeprefix(f"{self.top}_")
        stage = Pipeline(manifest, plan).stages.get(name)
        return hasattr(stage, "queue") and always_free(manifest, plan, name)

    def proved_with_places(self, seconds: int) -> bool:
        """Whether one step from any state of the stage ends in the same state with the fault,
        and gives the same, if a place is free."""
        module = self.components[self.stage].module
        self._both(
            f"hierarchy -top {module}",
            "flatten",
            f"rename {module} seen",
            "setattr -set keep 1 w:places w:left",
            "memory -nomap",
            "dffunmap",
        )
        if not all(transition(self.folder / f"{name}.json", name) for name in SIDES):
            return False
        miter.write(self.folder)
        return miter.never(self.folder, seconds)

    def _seen(self, inside: set[str], observer: Observer) -> str:
        """The Verilog of a part, with the observer of the stage with the fault."""
        component = self.components[self.stage]
        signals = signals_of(self.verilog, component.module)
        changes, added, tag = {}, "", "1'b0"
        if self.data:
            net, valid, ready = (component.net(f"i_{leaf}") for leaf in STREAM)
            width, tag, changes = component.widths[net], "Tag", {net: "Steady"}
            added = steady(width, self.data, self.beats)
            wires = f"wire [{width - 1}:0] Steady;\nwire Tag;\n"
            wires += f"steady Given (clk, rst, {net}, {valid} & {ready}, Steady, Tag);\n"
        else:
            wires = ""
        wires += "".join(
            f"wire [{signals[name] - 1}:0] Inner_{plain(name)};\n" for name in observer.names
        )
        head = f"{component.module} {self.stage} (\n"
        taps = "".join(f".\\{name} (Inner_{plain(name)}),\n" for name in observer.names)
        watched = part(self.components, inside, changes).replace(head, head + taps)
        read = "".join(f".{plain(name)}(Inner_{plain(name)}),\n" for name in observer.names)
        watch = f"observer Observer (\n{read}.clk(clk), .rst(rst), .Tag({tag}));\n"
        return f"{observer.text}\n{added}\n{watched}\n{wires}{watch}endmodule\n"
