"""Calls on the workers of a cluster, with threads in place of Dask's workers."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from threading import Barrier
from types import ModuleType

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.sw import bench
from ssm_hdl.sw.cluster import workers


class KilledWorkerError(Exception):
    """Of Dask."""


FOUND = {"tcp://host:8786": {"a": {}}, "tcp://alone:8786": {}}
"""Workers by the address of their scheduler."""


class Client(ThreadPoolExecutor):
    """Of Dask."""

    def __init__(self, address, **options):
        super().__init__(2)
        if address not in FOUND:
            raise OSError("Timed out trying to connect")
        self.address = address

    def scheduler_info(self, **options):
        return {"workers": FOUND[self.address]}

    def map(self, function, calls):
        assert isinstance(calls, list)  # Dask takes no iterators
        return super().map(function, calls)

    def get_executor(self, **options):
        return self


@pytest.fixture
def dask(monkeypatch):
    """The package, as far as it is used."""
    module = ModuleType("distributed")
    module.__spec__, module.Client, module.KilledWorker = (
        ModuleSpec("distributed", None),
        Client,
        KilledWorkerError,
    )
    monkeypatch.setitem(sys.modules, "distributed", module)
    return module


def test_calls_are_spread_and_what_fails_is_an_error(dask):
    with workers("tcp://host:8786", 1) as executor:
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
    for address, words in (
        ("tcp://nobody:1", "no Dask scheduler answers at tcp://nobody:1: Timed out"),
        ("tcp://alone:8786", "no workers"),
    ):
        with pytest.raises(SsmHdlError, match=words), workers(address, 1):
            pass
    with (
        pytest.raises(SsmHdlError, match=r"a worker of .* was lost: boom"),
        workers("tcp://host:8786", 1),
    ):
        raise KilledWorkerError("boom")


def test_a_machine_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr("ssm_hdl.extras.find_spec", lambda name: None)
    with pytest.raises(SsmHdlError, match=r"ssm-hdl\[cluster\]"), workers("tcp://host:8786", 1):
        pass


def test_bench_asks_the_workers(dask, cli, monkeypatch, tmp_path):
    asked, both = [], Barrier(2)

    def row(name, manifest, board, rate, kept, step, jobs):
        asked.append((manifest.name, board.name, kept.is_absolute(), jobs))
        both.wait(10)  # the rows run side by side
        raise SsmHdlError("enough")

    monkeypatch.setattr(bench, "row", row)
    pairs = "manifests/digits@icebreaker", "manifests/digits@ulx3s-25f"
    done = cli(
        "bench",
        *pairs,
        "--results",
        tmp_path / "r.json",
        "--jobs",
        3,
        "--cluster",
        "tcp://host:8786",
    )
    assert (done.status, done.err) == (1, "ssm-hdl: enough\n")
    assert sorted(asked) == [("digits", "icebreaker", True, 3), ("digits", "ulx3s-25f", True, 3)]
