# amaranth: UnusedElaboratable=no
"""Small stream components are right whatever comes when, from any contents of memories;
and a proof finds what is wrong."""

import pytest
from amaranth.hdl import Module, Shape, Signal
from prove.bench import Bench
from prove.cases import SMALL, queue
from prove.checker import mutants, prove
from prove.references import same

from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.queue import Queue


@pytest.mark.parametrize("name", SMALL)
def test_proved(name):
    verdicts = prove(SMALL[name]())
    assert {each for each, verdict in verdicts.items() if not verdict.proved} == set()


class Forgetful(Fork):
    """A fork that gives a beat to a way again, while it waits for another."""

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(self.o[0].ready & self.o[1].ready)
        for way in self.o:
            m.d.comb += [way.payload.eq(self.i.payload), way.valid.eq(self.i.valid)]
        return m


class Unreset(Queue):
    """A queue of 1 that relies on what a register without reset holds at first."""

    def elaborate(self, platform):
        m = Module()
        full = Signal(reset_less=True)
        m.d.comb += [self.i.ready.eq(~full), self.o.valid.eq(full)]
        with m.If(self.i.valid & ~full):
            m.d.sync += [full.eq(1), self.o.payload.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += full.eq(0)
        return m


def failing(bench):
    return {each for each, verdict in prove(bench, bounded=0).items() if verdict.failed}


def test_faults_are_found():
    fork = Forgetful(Shape(1), 1, 2)
    assert "excess" in failing(Bench(fork, [fork.i], [*fork.o], same, inside=1, through=True))
    unreset = Unreset(Shape(1), 1, 1)
    assert "excess" in failing(Bench(unreset, [unreset.i], [unreset.o], same, inside=1))
    bench = queue(3, block_ram=True)
    bench.room += 1  # a queue of block RAM may hold one more, but not for certain
    assert failing(bench) == {"room"}


def test_mutants_are_found_or_harmless():
    verdicts = mutants(SMALL["queue of 2"](), 8)
    assert all(verdict.failed or verdict.proved for verdict in verdicts.values())
    assert sum(verdict.failed for verdict in verdicts.values()) > 5
