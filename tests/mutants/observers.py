"""Signals that a proof needs and a stage lacks. They read the stage and change nothing."""

import re
from dataclasses import dataclass

SMALL = 5
"""Most bits of a register for which each of its values gets a signal."""


@dataclass(frozen=True)
class Observer:
    """Signals of one kind of stage.

    Attributes:
        names: what they read of it; ``COUNTER_0`` is the first counter.
        text: their Verilog, with ``helper``, which is kept. ``Tag`` is that of the last beat taken,
            ``BEATS`` is how many a packet has, and ``ROOM`` the free places at first.
        frames: cycles of the induction.
    """

    names: tuple[str, ...]
    text: str
    frames: int = 2


OBSERVERS = {
    # Weights and biases have counters of their own: the bias's is that of the weights
    # some cycles later.
    "dense": Observer(
        ("value_2",),
        """
            (* keep *) reg [12 * $bits(value_2) - 1:0] helper;
            always @(posedge clk) helper <= rst ? 0 : {helper, value_2};
        """,
        frames=14,
    ),
    # While it divides, the remainder is below twice the length; where that is not so,
    # the quotient is not used. The pool's free places are those of the results that have left, and
    # of those that have not come.
    "mean": Observer(
        (
            *("dividing", "busy", "phase", "over", "under", "high", "low", "length"),
            *("sums.places", "sums.left", "COUNTER_0", "COUNTER_1"),
        ),
        """
            localparam START = 1 << $clog2($bits(low));
            wire used = busy & phase < START & ~over & ~under;
            wire wide = high[$bits(high) - 1] | high >= {length, 1'b0};
            wire [3:0] never = {busy & ~dividing, phase != 0 & ~busy, phase > START, used & wide};
            wire same = phase == START | used;
            wire [15:0] free = sums_places + sums_left;
            wire [15:0] taken = dividing ? BEATS - COUNTER_1 - busy : Tag ? COUNTER_0 : 0;
            wire late = sums_left & (phase != START | ~busy | ~dividing);
            (* keep *) wire [$bits(high) + $bits(low) + 5:0] helper =
                {never, late, free != ROOM - taken,
                 {$bits(high) + $bits(low){same}} & {high, low}};
        """,
    ),
}

_MODULE = re.compile(r"^module (\S+) \((.*?)^endmodule", re.M | re.S)
_REGISTER = re.compile(r"^  (?:reg|wire) (?:\[(\d+):0\] )?(\w+);$", re.M)
_INSTANCE = re.compile(r"^  (\w+) (\w+) \($", re.M)
_FLAGS = re.M | re.S
_NUMBERED = re.compile(r"(.*\.)?_\d+_")


def signals_of(verilog: str, module: str) -> dict[str, int]:
    """The bits of the signals of a module, and of those in it, by their names when it is flat."""
    text = dict(_MODULE.findall(verilog))[module]
    found = {name: int(most or 0) + 1 for most, name in _REGISTER.findall(text)}
    for inner, instance in _INSTANCE.findall(text):
        inside = signals_of(verilog, inner)
        found |= {f"{instance}.{name}": width for name, width in inside.items()}
    return found


def observer_of(verilog: str, module: str, kind: str, beats: int) -> Observer:
    """The observer of a stage: that of its kind, and one that says which value each counter has.
    So a flag that comes with one of them is found to be just that."""
    signals, own = signals_of(verilog, module), OBSERVERS.get(kind, Observer((), ""))
    known = {"BEATS": f"{beats}", "ROOM": "0"}
    counters = sorted(name for name in signals if re.fullmatch(r"value(_\d+)?", name))
    known |= {f"COUNTER_{number}": name for number, name in enumerate(counters)}
    if room := re.search(rf"^module {module}_sums \(.*?^    places = (\d+'h\w+);", verilog, _FLAGS):
        known["ROOM"] = room[1]
    own_names = [known.get(name, name) for name in own.names]
    if not all(name in signals for name in own_names):
        own, own_names = Observer((), ""), []  # a folding without these
    small = [
        name
        for name, width in signals.items()
        if 1 < width <= SMALL and not _NUMBERED.fullmatch(name)
    ]
    names = tuple(dict.fromkeys((*own_names, *small)))
    ports = "".join(f", input [{signals[name] - 1}:0] {plain(name)}" for name in names)
    values = "".join(
        f"(* keep *) wire [{(1 << signals[name]) - 1}:0] helper_{plain(name)}"
        f" = 1 << {plain(name)};\n"
        for name in small
    )
    text = re.sub("|".join(known), lambda name: known[name[0]], own.text)
    head = f"module observer(input clk, input rst, input Tag{ports});\n"
    return Observer(names, f"{head}{text}\n{values}endmodule\n", own.frames)


def plain(name: str) -> str:
    """The name of a signal in the observer."""
    return name.replace(".", "_")


def steady(width: int, data: int, count: int) -> str:
    """A module that lets beats through with one tag for all beats of a packet,
    as streams have it (`ssm_hdl.gateware.stream.tag_of`).

    Args:
        width: bits of a beat.
        data: those before the tag.
        count: beats of a packet.
    """
    return f"""
        module steady(input clk, input rst, input [{width - 1}:0] given, input taken,
                      output [{width - 1}:0] out, output reg [{width - data - 1}:0] tag = 0);
            reg [{count.bit_length()}:0] beat = 0;
            assign out = beat == 0 ? given : {{tag, given[{data - 1}:0]}};
            always @(posedge clk) begin
                if (taken) tag <= out[{width - 1}:{data}];
                if (taken) beat <= beat == {count - 1} ? 0 : beat + 1;
                if (rst) beat <= 0;
            end
        endmodule
    """
