"""A reset of the shell at any cycle: what was going on is forgotten,
and the next sequence has its own results."""

import random

import numpy as np

from ssm_hdl.boards.protocol import (
    ANSWER_OVERHEAD,
    PART,
    Status,
    codes_to_bytes,
    request,
    split_answer,
)
from ssm_hdl.boards.shell import shell_verilog
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.pins import Pins

DIVISOR, TIMEOUT, PATIENCE = 4, 200, 20_000


def test_reset_at_any_time(random_manifest, random_samples, cache):
    manifest = random_manifest(channels=2, modes=2, steps=4, pooled=False)
    samples, dice = random_samples(manifest, 2), random.Random(0)
    wanted, format = run(manifest, samples[1:]).outputs.reshape(-1), manifest.output.format
    first, second = (codes_to_bytes(codes, manifest.input.format) for codes in samples)
    # its state would go on into the next request
    first = request(1, fingerprint(manifest), first, PART)
    second = request(2, fingerprint(manifest), second)
    verilog = shell_verilog(manifest, plan_for(manifest).plan, DIVISOR, TIMEOUT)
    pins = Pins(verilog, "shell", DIVISOR, cache=cache)
    whole = 10 * DIVISOR * (len(first) + ANSWER_OVERHEAD + len(wanted) * 2) + 500
    for cycle in range(0, whole, 23):
        left, _, _ = pins.run(cycle + dice.randrange(23), first)
        pins.reset(True)
        pins.run(dice.randrange(1, 30))
        pins.reset(False)
        pins.run(2000, left)  # the host goes on for a while; what it sends is no frame any more
        pins.run(2 * TIMEOUT + 1000)
        _, came, _ = pins.run(PATIENCE // 4, second)
        tag, status, results, rest = split_answer(came)
        assert (tag, status, rest) == (2, Status.OK, b""), cycle
        assert results == codes_to_bytes(wanted, format), cycle
    assert np.any(wanted)
