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

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mutants.cut import TOLD, cut
from mutants.faults import placed
from mutants.narrowed import narrowed
from mutants.observers import Observer, observer_of, plain, signals_of, steady
from mutants.parts import Component, components_of, neighbours, part
from mutants.unfilled import always_free, transition
from ssm_hdl import Manifest
from ssm_hdl.gateware.stream import beats
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.yosys import run_yosys, share_folder

READERS = 3
"""How many stages a difference may pass until no other sees it."""

STREAM = ("payload", "valid", "ready")
STEADY = ("mean",)
"""Operations that need packets whose beats all have the same tag."""

PAIR = (
    *(
        "memory_map",
        "miter -equiv -make_outcmp -flatten sound mutant pair",
        "hierarchy -top pair",
        "expose w:*helper*",
        "opt -fast",
        "techmap",
        "opt -fast",
    ),
    *(
        "dffunmap",
        "simplemap",
        "setundef -undriven -zero",
        "setundef -init -zero",
        "setundef -zero",
        "aigmap",
        "opt_clean",
    ),
)
"""What has no first value begins with zeros, as in Verilator."""


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
                differ = self._differ(count, seconds)
                if not differ:
                    return True
            more = {name for name in differ if TOLD in name} - loose
            if not more:
                return "trigger" in differ and self._unreachable(seconds)
            loose |= more
            self._pair(inside, loose)

    def _pair(self, inside: set[str], loose: set[str]) -> int:
        """Write a circuit with an output that says where the two differ;
        the cycles of the induction that it needs."""
        module = self.components[self.stage].module
        observer = observer_of(self.verilog, module, self.kind, self.beats)
        (self.folder / "design.v").write_text(self.verilog, encoding="utf-8")
        (self.folder / "seen.v").write_text(self._seen(inside, observer), encoding="utf-8")
        commands: list[str | list[str]] = [
            ["read_verilog", "design.v"],
            f"hierarchy -top {self.top}",
            "proc",
            "design -save whole",
        ]
        for name, changes in (("sound", []), ("mutant", [self.change])):
            commands += [
                "design -load whole",
                *changes,
                f"flatten {module}",
                *(f"expose {module}/w:{wire}" for wire in observer.names),
                ["read_verilog", "-sv", "seen.v"],
                "hierarchy -top seen",
                "proc",
                "flatten",
                "opt_clean",
                "memory -nomap",
                ["write_json", f"{name}.json"],
            ]
        run_yosys(commands, self.folder / "stage.log", accepted=(".*",))
        for name in ("sound", "mutant"):
            cut(self.folder / f"{name}.json", name, loose)
        self._miter()
        return observer.frames

    def never_fills(self, manifest: Manifest, plan: Plan) -> bool:
        """Whether the queue after the stage always has a free place."""
        name = self.components[self.stage].module.removeprefix(f"{self.top}_")
        stage = Pipeline(manifest, plan).stages.get(name)
        return hasattr(stage, "queue") and always_free(manifest, plan, name)

    def proved_with_places(self, seconds: int) -> bool:
        """Whether one step from any state of the stage ends in the same state with the fault,
        and gives the same, if a place is free."""
        (self.folder / "design.v").write_text(self.verilog, encoding="utf-8")
        module = self.components[self.stage].module
        # cells have the names of the whole design
        commands: list[str | list[str]] = [
            ["read_verilog", "design.v"],
            f"hierarchy -top {self.top}",
        ]
        commands += ["proc", "design -save whole"]
        for name, changes in (("sound", []), ("mutant", [self.change])):
            commands += ["design -load whole", *changes, f"hierarchy -top {module}", "flatten"]
            commands += [f"rename {module} seen", "setattr -set keep 1 w:places w:left"]
            commands += ["memory -nomap", "dffunmap"]
            commands.append(["write_json", f"{name}.json"])
        run_yosys(commands, self.folder / "stage.log", accepted=(".*",))
        if not all(transition(self.folder / f"{name}.json", name) for name in ("sound", "mutant")):
            return False
        self._miter()
        (place,) = re.findall(r"^o(\d+) trigger$", _text(self.folder / "pair.aig"), re.M)
        script = f"&read {self.folder / 'pair.aig'}; &cone -O {place}; &put; iprove"
        return "UNSATISFIABLE" in _abc(script, seconds)

    def _miter(self) -> None:
        """Both circuits with an output that says where they differ."""
        reads = [["read_json", f"{name}.json"] for name in ("sound", "mutant")]
        run_yosys(
            [*reads, *PAIR, ["write_aiger", "-zinit", "-symbols", "pair.aig"]],
            self.folder / "pair.log",
            accepted=(".*",),
        )

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

    def _differ(self, frames: int, seconds: int) -> set[str]:
        """The outputs that induction does not prove to be equal, and ``trigger``; none if it proves
        all."""
        pair, result = self.folder / "pair.aig", self.folder / "result.aig"
        result.unlink(missing_ok=True)
        _abc(f"read_aiger {pair}; scleanup; scorr -F {frames}; write_aiger {result}", seconds)
        names = {
            int(place): name.removeprefix("\\").removeprefix("cmp_")
            for place, name in re.findall(r"^o(\d+) (\S+)$", _text(pair), re.M)
            if name == "trigger" or "cmp_" in name
        }
        if not result.exists():
            return {"late"}
        head, *lines = _text(result).split("\n")
        _, _, _, latches, outputs, _ = head.split()[:6]
        values = lines[int(latches) : int(latches) + int(outputs)]
        differ = {name for place, name in names.items() if values[place] != "01"[name != "trigger"]}
        return differ if "trigger" in differ else set()

    def _unreachable(self, seconds: int) -> bool:
        """Whether no run leads to a difference, of what `_differ` has left."""
        result = self.folder / "result.aig"
        (place,) = re.findall(r"^o(\d+) trigger$", _text(self.folder / "pair.aig"), re.M)
        script = f"read_aiger {result}; &get -n; &cone -O {place}; &put; scleanup"
        return "Property proved" in _abc(f"{script}; pdr -T {seconds}", 2 * seconds)


def _text(path: Path) -> str:
    """A file that is not all text."""
    return path.read_bytes().decode("latin-1")


def _abc(script: str, seconds: int) -> str:
    """What ABC says; nothing if it does not end in time."""
    tool = share_folder().parent / "yosys-abc"
    try:
        done = subprocess.run(
            [str(tool), "-c", script], capture_output=True, check=True, timeout=seconds, text=True
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout
