"""Commands in this process; torch on one thread: pytest-xdist has the other cores, and threads that wait are slow."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch

from ssm_hdl.sw import cli as commands


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def cli(capsys, monkeypatch):
    """``cli(*arguments)``: run a command in this process; its exit status and what it wrote to stdout and stderr."""

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
    """``refused(words, *arguments)``: the command says one line with these words on stderr, nothing else, and exits with 1.

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
