"""Commands in this process; torch on one thread: pytest-xdist has the other cores,
and threads that wait are slow."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssm_hdl import Manifest
from ssm_hdl.boards.build import PLAN, REPORT, BuildReport
from ssm_hdl.boards.resources import Usage
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.sim.golden import run
from ssm_hdl.sw import cli as commands
from ssm_hdl.sw import data
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.train import logits

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    """The data set."""
    return data.load("digits")


@pytest.fixture(scope="session")
def manifest():
    """The committed one of digits."""
    return Manifest.load(ROOT / "manifests" / "digits")


@pytest.fixture
def cli(capsys, monkeypatch):
    """``cli(*arguments)``: run a command in this process; its exit status and what it wrote to
    stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssm-hdl", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            commands.main()
        written = capsys.readouterr()
        return SimpleNamespace(status=stop.value.code or 0, out=written.out, err=written.err)

    return call


@pytest.fixture
def refused(cli):
    """``refused(words, *arguments)``: the command says one line with these words on stderr,
    nothing else, and exits with 1.

    ``status=2`` is for wrong usage.
    """

    def check(words, *arguments, status=1):
        done = cli(*arguments)
        assert done.status == status
        assert done.out == ""
        message = done.err.strip().splitlines()[-1]
        assert message.startswith("ssm-hdl: ") and re.search(words, message), done.err
        assert "Traceback" not in done.err
        assert len(re.findall(r"^ssm-hdl: ", done.err, re.MULTILINE)) == 1

    return check


@pytest.fixture(scope="session")
def untrained():
    """``untrained(kind, spec, **options)``: a small model as random as its initial weights are,
    its norms included."""

    def make(kind, spec, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = (
                kind(width=6, modes=5, **{"layers": 2, "dt_range": (1e-2, 1)} | options)
                .build(spec)
                .eval()
            )
            for name, values in (*model.named_parameters(), *model.named_buffers()):
                if "norm" in name and values.numel() == 6:
                    values.data = torch.rand(6) + (
                        0.5 if "var" in name or "weight" in name else -0.5
                    )
        return Checkpoint(model, spec, {"name": "small"})

    return make


@pytest.fixture(scope="session")
def sqnr():
    """``sqnr(manifest, checkpoint, codes)``: of the outputs, in dB."""

    def measure(manifest, checkpoint, codes):
        wanted = logits(
            checkpoint.model, torch.from_numpy(checkpoint.inputs.normalise(codes))
        ).numpy()
        noise = manifest.values(run(manifest, codes).outputs) - wanted
        return 10 * np.log10((wanted**2).mean() / (noise**2).mean())

    return measure


@pytest.fixture
def as_built():
    """``as_built(manifest, target, folder)``: the folder as a build leaves it,
    but the bitstream; its report."""

    def make(manifest, target, folder):
        use, board = Usage(1, 2), target.board
        report = BuildReport(
            manifest.name, fingerprint(manifest), board.name, board.device, 45,
            target.clock_hz / 1e6, 46, *[use] * 5, 9, 5e6, 10**6, 1, {1: 46.0}, ["yosys"],
            "small.bin",
        )  # fmt: skip
        manifest.save(folder)
        (folder / REPORT).write_text(report.to_json())
        (folder / PLAN).write_text(target.plan.to_json())
        return report

    return make
