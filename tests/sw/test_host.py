"""The very driver that a user runs, against the simulated pins of the board through
a pseudo-terminal."""

import os
import threading
import time
import tty
from contextlib import contextmanager

import numpy as np
import pytest
import serial
import yaml

from ssm_hdl import Format, Manifest, SsmHdlError
from ssm_hdl.boards.protocol import PART, Status, answer, codes_to_bytes, request, split_answer
from ssm_hdl.boards.shell import shell_verilog
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.board import VirtualBoard
from ssm_hdl.sim.golden import go_on, run
from ssm_hdl.sw.host import Host

DIVISOR, TIMEOUT = 4, 4000
PATIENCE = 60.0  # seconds; the simulation shares the machine with other tests
DESIGNS = {}


GENERATOR = """
schema_version: 1
name: generator
steps: 40
input: {name: token, size: 1, format: "UQ(4, 0)"}
operations:
- {name: states, op: scan, input: token, transition: {tensor: pole, format: "SQ(1, 7)"},
   exponent: exponent, format: "SQ(6, 4)"}
- {name: next, op: dense, input: states, weight: {tensor: weight, format: "SQ(2, 4)"},
   format: "UQ(4, 0)"}
output: next
"""
"""Its results are its next samples: a rotation that its own results keep going."""


def generator() -> Manifest:
    """A model that goes on by itself."""
    codes = {
        "pole": np.array([[[40, 110]]]),
        "exponent": np.array([[0]]),
        "weight": np.array([[[[-9, 14]]]]),
    }
    formats = {"pole": Format.parse("SQ(1, 7)"), "weight": Format.parse("SQ(2, 4)")}
    return Manifest(Graph.model_validate(yaml.safe_load(GENERATOR)), Tensors(codes, formats))


@contextmanager
def host_on(manifest, cache, model=None, **line):
    """A host that talks to a simulated board with this manifest, or one that runs ``model``."""
    on_board = model or manifest
    key = fingerprint(on_board)
    if key not in DESIGNS:
        DESIGNS[key] = shell_verilog(
            on_board, plan_for(on_board, share_layers=False).plan, DIVISOR, TIMEOUT
        )
    with (
        VirtualBoard(
            DESIGNS[key], "shell", DIVISOR, linger=4 * TIMEOUT, cache=cache, **line
        ) as board,
        Host(board.port, manifest, timeout=PATIENCE) as host,
    ):
        yield host


def raw(host, data):
    """The answer to bytes that are sent as they are."""
    host._serial.timeout, before = PATIENCE, host._serial.timeout
    host._serial.write(data)
    answer = host._serial.read(7)
    host._serial.timeout = before
    return split_answer(answer)


def test_results_equal_the_golden_model(random_manifest, random_samples, cache):
    manifest = random_manifest()
    samples = random_samples(manifest, 20)
    done = []
    with host_on(manifest, cache) as host:
        outputs = host.run(samples, done.append)
        assert (outputs == run(manifest, samples).outputs).all()
        assert sum(done) == 20
        for steps in (1, 3, manifest.steps):  # a sequence may be shorter
            shorter = random_samples(manifest, 3, steps, seed=steps)
            assert (host.run(shorter) == run(manifest, shorter).outputs).all()


def test_results_of_every_step(random_manifest, random_samples, cache):
    manifest = random_manifest(channels=3, steps=5, pooled=False)
    with host_on(manifest, cache) as host:
        for steps in (5, 2, 12):  # the longest comes in three parts
            # a host that went away in the middle of a sequence
            host._ask(random_samples(manifest, 1, 3)[0], PART)
            samples = random_samples(manifest, 6, steps)
            outputs = host.run(samples)
            assert outputs.shape == (6, steps, 3)
            assert (outputs == run(manifest, samples).outputs).all()


class Damage:
    """Flips a bit of one byte of what passes, counted from when it is armed."""

    def __init__(self):
        self.place = None

    def __call__(self, data):
        if self.place is not None:
            if self.place < len(data):
                data = (
                    data[: self.place] + bytes([data[self.place] ^ 0x20]) + data[self.place + 1 :]
                )
                self.place = None
            else:
                self.place -= len(data)
        return data


def test_frames_damaged_on_the_way_are_errors_and_leave_no_trace(
    random_manifest, random_samples, cache
):
    manifest = random_manifest()
    samples = random_samples(manifest, 1)
    expected = run(manifest, samples).outputs
    there, back = Damage(), Damage()
    length = len(request(0, 0, codes_to_bytes(samples, manifest.input.format)))
    with host_on(manifest, cache, to_board=there, to_host=back) as host:
        assert (host.run(samples) == expected).all()
        for place in (0, 4, 7, length - 1):  # first byte, length, a sample, CRC
            there.place = place
            with pytest.raises(
                SsmHdlError, match=r"refused a request: the request (came damaged|broke off)"
            ):
                # A request without a first byte or with a longer length has no tag to come back
                # with: the error is told when the host has waited long enough.
                host.timeout = PATIENCE if place == length - 1 else 5
                host.run(samples)
            host.timeout = PATIENCE
            assert (host.run(samples) == expected).all()
        for place in (0, 2, 6, 9):
            back.place = place
            with pytest.raises(SsmHdlError, match="a damaged frame came back"):
                host.run(samples)
            assert (host.run(samples) == expected).all()


def test_another_model_on_the_board_is_named(random_manifest, random_samples, cache):
    manifest, other = random_manifest(), random_manifest(seed=1)
    with (
        host_on(other, cache, model=manifest) as host,
        pytest.raises(
            SsmHdlError,
            match="it runs another model: program it with the bitstream built from this manifest",
        ),
    ):
        host.run(random_samples(other, 1))


def test_a_request_cut_off_in_the_middle_is_forgotten(random_manifest, random_samples, cache):
    manifest = random_manifest()
    samples = random_samples(manifest, 1)
    frame = request(77, fingerprint(manifest), codes_to_bytes(samples, manifest.input.format))
    with host_on(manifest, cache) as host:
        assert raw(host, frame[:-3]) == (77, Status.BROKEN_OFF, b"", b"")
        assert (host.run(samples) == run(manifest, samples).outputs).all()
        # Without a pause the next request goes the way of the rest of the first; the board says so.
        assert raw(host, frame[:-3] + frame) == (77, Status.DAMAGED, b"", b"")
        assert (host.run(samples) == run(manifest, samples).outputs).all()


def test_requests_that_the_board_refuses(random_manifest, random_samples, cache):
    manifest = random_manifest()
    model = fingerprint(manifest)
    with host_on(manifest, cache) as host:
        for data in (b"", bytes(manifest.steps + 1), bytes(3000)):
            assert raw(host, request(5, model, data)) == (5, Status.BAD_LENGTH, b"", b"")
        samples = random_samples(manifest, 2)
        assert (host.run(samples) == run(manifest, samples).outputs).all()


def test_samples_are_checked_before_anything_is_sent(random_manifest, cache):
    manifest = random_manifest()
    with host_on(manifest, cache) as host:
        with pytest.raises(
            SsmHdlError, match=r"sample 256 \(sequence 0, step 2, element 0\) is outside UQ\(0, 8\)"
        ):
            host.run(np.array([[[0], [1], [256]]]))
        with pytest.raises(SsmHdlError, match="a sequence of 7 steps; random_s4d takes 1 to 6"):
            host.run(np.zeros((1, 7, 1), np.int64))


@pytest.fixture
def line():
    """A pseudo-terminal that no board serves: the port, and the descriptor of its other end."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave), master
    os.close(slave)
    os.close(master)


def test_a_port_that_does_not_answer(random_manifest, random_samples, line):
    manifest = random_manifest()
    start = time.monotonic()
    with (
        Host(line[0], manifest, timeout=0.3) as host,
        pytest.raises(
            SsmHdlError,
            match=rf"nothing on {line[0]} answers within 0.3 seconds; check that this is the",
        ),
    ):
        host.run(random_samples(manifest, 1))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "reply, message",
    [
        (lambda tag: answer(tag, Status.OK, bytes(6))[:-4], "the answer broke off after 9 bytes"),
        (lambda tag: answer(tag, Status.OK, bytes(4)), "4 bytes of results came instead of 6"),
        (lambda tag: answer((tag + 3) % 256, Status.OK, bytes(6)), "nothing on .* answers"),
        (
            lambda tag: answer(tag, Status.OUT_OF_RANGE),
            "a sample is outside the input format of its model",
        ),
        (lambda tag: answer(tag, Status.OVERRUN), "it was still busy with another request"),
        (lambda tag: answer(tag, 99), "status 99, which this ssm-hdl does not know"),
        (
            lambda tag: answer((tag + 3) % 256, Status.BROKEN_OFF) + answer(tag, Status.BAD_LENGTH),
            "has a length that",
        ),
        (
            lambda tag: b"boot message",
            "a damaged frame came back .a frame begins with 0x62 instead of 0x5a",
        ),
    ],
)
def test_bad_answers(random_manifest, random_samples, line, reply, message):
    manifest = random_manifest()

    def board():
        received = b""
        while len(received) < 6 + manifest.steps + 2:
            received += os.read(line[1], 100)
        os.write(line[1], reply(received[1]))

    thread = threading.Thread(target=board)
    thread.start()
    with Host(line[0], manifest, timeout=1) as host, pytest.raises(SsmHdlError, match=message):
        host.run(random_samples(manifest, 1))
    thread.join()


def test_an_answer_to_an_older_request_is_let_pass(random_manifest, random_samples, line):
    manifest = random_manifest()

    def board():
        received = os.read(line[1], 100)
        os.write(
            line[1],
            answer(received[1] - 1 & 0xFF, Status.OK, bytes(6))
            + answer(received[1], Status.OK, b"\1\0" * 3),
        )

    thread = threading.Thread(target=board)
    thread.start()
    with Host(line[0], manifest, timeout=30) as host:
        assert host.run(random_samples(manifest, 1)).tolist() == [[1, 1, 1]]
    thread.join()


def test_ports_that_cannot_be_opened(random_manifest, line, tmp_path):
    manifest = random_manifest()
    with pytest.raises(
        SsmHdlError,
        match="cannot open the serial port /dev/ttyUSB99: there is no such port; this machine has",
    ):
        Host("/dev/ttyUSB99", manifest)
    (tmp_path / "file").touch()
    with pytest.raises(SsmHdlError, match=r"cannot open the serial port .*file: it is none; "):
        Host(str(tmp_path / "file"), manifest)
    with Host(line[0], manifest), pytest.raises(SsmHdlError, match="another program uses it"):
        Host(line[0], manifest)


def test_a_board_that_is_pulled_out(random_manifest, random_samples, monkeypatch, line):
    manifest = random_manifest()

    def gone(*arguments):
        raise serial.SerialException("device reports readiness to read but returned no data")

    with Host(line[0], manifest) as host:
        monkeypatch.setattr(host._serial, "read", gone)
        with pytest.raises(
            SsmHdlError, match=r"was lost \(device reports .*\); plug the board in and try again"
        ):
            host.run(random_samples(manifest, 1))


def test_patience_grows_with_the_work(random_manifest, line):
    timeouts = []
    for steps in (6, 600):
        with Host(line[0], random_manifest(steps=steps), baud=9600) as host:
            timeouts.append(host.timeout)
    assert 2 < timeouts[0] < 2.1
    assert timeouts[1] > timeouts[0] + 600 * 10 / 9600


def test_a_model_goes_on_by_itself(cache):
    """Each result is the next sample, on the board as in the golden model."""
    manifest = generator()
    prompt = np.array([[3], [1], [4], [1], [5]])
    with host_on(manifest, cache) as host:
        # a request each, and the results of the first do not come into the second
        for count in (1, 50):
            results = np.concatenate(list(host.go_on(prompt, count)))
            assert results.tolist() == list(go_on(manifest, prompt, count))
            assert len(set(results)) > 1 or count == 1
        assert (host.run(prompt[np.newaxis]) == run(manifest, prompt[np.newaxis]).outputs).all()


def test_only_a_generator_goes_on(random_manifest, random_samples, cache):
    manifest = random_manifest()
    with (
        host_on(manifest, cache) as host,
        pytest.raises(SsmHdlError, match=r"the results of .* are not its next samples"),
    ):
        next(host.go_on(random_samples(manifest, 1)[0], 2))
