"""A child ends with its parent, and with all that it has started."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from marked import Mark

from ssm_hdl import SsmHdlError, processes, workers


@pytest.fixture
def shell(tmp_path):
    """``shell(script)`` runs a shell's script as a tool; no process of it is left at the end."""
    mark = Mark()

    def run(text, **options):
        return processes.run(
            ["sh", "-c", text], tmp_path / "log", environment=os.environ | mark.variables, **options
        )

    yield run
    mark.wait(0)


def test_status_and_output(shell, tmp_path):
    done = shell(
        "cat; pwd; echo $TMPDIR $XDG_CACHE_HOME; printf '\\377'; exit 3",
        script="in\n",
        folder=tmp_path,
    )
    assert (
        done.status == 3
        and done.output.startswith(f"in\n{tmp_path}\n. /")
        and done.output.endswith("�")
    )
    assert done.cause.startswith("exit status 3: in /")
    assert shell("exit 4").cause == "exit status 4: it said nothing"
    assert shell("kill -SEGV $$").cause == "it was ended by SIGSEGV"
    none = processes.run([tmp_path / "none"], tmp_path / "log")
    assert (
        none.cause
        == f"exit status 127: {tmp_path}/none cannot be started: No such file or directory"
    )


def test_nothing_is_left_of_a_tool(shell, monkeypatch):
    assert shell("sleep 777 & exit 0").status == 0
    begun = time.monotonic()
    assert shell("sleep 777 & sleep 777", limit_s=0.5).cause.startswith(
        "it was stopped after 0.5 seconds; SSM_HDL_LIMIT_S sets"
    )
    monkeypatch.setenv("SSM_HDL_LIMIT_S", "0.3")
    assert shell("sleep 777").status == processes.TOO_LONG
    assert time.monotonic() - begun < 60
    monkeypatch.setenv("SSM_HDL_LIMIT_S", "long")
    with pytest.raises(SsmHdlError, match="SSM_HDL_LIMIT_S is 'long'; it is a number of seconds"):
        shell("true")


TOOL = "processes.run(['sh', '-c', 'sleep 777 & sleep 777'], pathlib.Path(sys.argv[1]))"
POOL = "list(stack.enter_context(workers.pool(2)).map(time.sleep, [777, 777]))"
SIDE = f"list(stack.enter_context(processes.side_by_side(2, [lambda: {TOOL}] * 2)))"


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL],
    ids=lambda number: number.name,
)
@pytest.mark.parametrize(
    ("work", "least"), [(TOOL, 4), (POOL, 4), (SIDE, 7)], ids=["tool", "pool", "side by side"]
)
def test_children_end_with_their_parent(tmp_path, work, least, number):
    mark = Mark()
    code = "import contextlib, pathlib, signal, sys, time\n"
    code += "from ssm_hdl import processes, workers\nfrom ssm_hdl.ending import ending\n"
    code += f"signal.signal({int(number)}, signal.SIG_DFL)\n" * (
        number != signal.SIGKILL
    )  # a test in the background ignores some
    code += f"with ending(), contextlib.ExitStack() as stack: {work}"
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    parent = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | mark.variables
    )
    mark.wait(least)
    parent.send_signal(number)
    said = parent.communicate(timeout=60)[1]
    assert parent.returncode == -number
    # a worker that is just starting sees its parent vanish
    assert "Traceback" not in said or number == signal.SIGKILL
    assert (f"ssm-hdl: ended by {number.name}" in said.splitlines()) == (number != signal.SIGKILL)
    mark.wait(0)


@pytest.mark.parametrize("jobs", [1, 3])
def test_calls_side_by_side_give_results_in_order_until_nobody_asks(tmp_path, jobs):
    mark, begun = Mark(), time.monotonic()

    def call(seconds):
        done = processes.run(
            ["sleep", seconds], tmp_path / seconds, environment=os.environ | mark.variables
        )
        return seconds, done.status

    with processes.side_by_side(
        jobs, [partial(call, seconds) for seconds in ("0.3", "0.1", "777", "778", "779", "780")]
    ) as results:
        assert [next(results), next(results)] == [("0.3", 0), ("0.1", 0)]
    mark.wait(0)
    assert time.monotonic() - begun < 60 and not (tmp_path / "780").exists()


def test_a_worker_that_is_killed_is_an_error():
    with (
        pytest.raises(SsmHdlError, match="one of 1 processes was killed"),
        workers.pool(1) as pool,
    ):
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def test_what_a_tool_said_before_the_traceback_of_the_python_that_called_it_is_the_cause(tmp_path):
    code = (
        "import sys; print('%Error: syntax error', file=sys.stderr); "
        "raise RuntimeError('Command failed')"
    )
    cause = processes.run([sys.executable, "-c", code], tmp_path / "log").cause
    assert cause == "exit status 1: %Error: syntax error RuntimeError: Command failed"
