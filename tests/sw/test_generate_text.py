"""A language model goes on with a text: in the golden model, and on the simulated pins of a board
by the command itself."""

import json

import numpy as np
import pytest
import yaml

from ssm_hdl import Format, Manifest, SsmHdlError
from ssm_hdl.boards.shell import shell_verilog
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.board import VirtualBoard
from ssm_hdl.sim.golden import go_on
from ssm_hdl.sw.data.text import spec_of
from ssm_hdl.sw.language import generator

CHARACTERS = tuple("abcde")
GRAPH = """
schema_version: 1
name: chain
steps: 40
input: {name: token, size: 1, format: "UQ(3, 0)"}
operations:
- {name: logits, op: embedding, input: token, weight: {tensor: rows, format: "SQ(4, 4)"}}
output: logits
"""
LOGITS = np.array(
    [[0, 40, 5, 0, 0], [0, 0, 40, 0, 5], [0, 0, 0, 40, 30], [40, 30, 0, 0, 5], [40, 0, 0, 0, 0]]
)
"""Of the next character for each; the likeliest are a to b, b to c, c to d, d to a, e to a."""


@pytest.fixture
def chain() -> Manifest:
    """A Markov chain."""
    graph = Graph.model_validate(yaml.safe_load(GRAPH))
    graph = graph.model_copy(update={"samples": spec_of("chain", CHARACTERS, 40)})
    return Manifest(graph, Tensors({"rows": LOGITS}, {"rows": Format.parse("SQ(4, 4)")}))


def test_the_likeliest_and_samples(chain):
    start = np.array([[1]])
    assert [CHARACTERS[token] for token in go_on(generator(chain), start, 7)] == list("cdabcda")
    first, again, other = (
        list(go_on(generator(chain, 1.0, seed), start, 30)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert set(first) == {0, 1, 2, 3, 4}
    with pytest.raises(SsmHdlError, match="the results of chain are not its next samples"):
        next(go_on(chain, start, 1))


def test_no_language_model(random_manifest):
    with pytest.raises(SsmHdlError, match="random_s4d is no language model"):
        generator(random_manifest())


@pytest.mark.parametrize("temperature", (0.0, 0.8))
def test_the_command_and_a_board(chain, temperature, cli, refused, tmp_path, cache):
    path = chain.save(tmp_path / "chain")
    options = "--prompt", "deb", "--count", 20, "--json"
    written = json.loads(
        cli(
            "generate-text",
            path,
            *options,
            "--temperature",
            temperature,
            "--out",
            tmp_path / "next",
        ).out
    )
    manifest = Manifest.load(tmp_path / "next")
    assert manifest.feeds_back
    verilog = shell_verilog(manifest, plan_for(manifest).plan, 4, 4000)
    with VirtualBoard(verilog, "shell", 4, linger=16_000, cache=cache) as board:
        there = json.loads(
            cli("generate-text", tmp_path / "next", *options, "--port", board.port).out
        )
    assert there["text"] == written["text"]
    assert there["differences"] == 0
    assert len(there["text"]) == 20
    refused(
        "chain chooses its next character already",
        "generate-text",
        tmp_path / "next",
        *options,
        "--seed",
        2,
        status=2,
    )


def test_an_empty_prompt_a_seed_of_nothing_and_its_own_manifest_to_write_to_are_refused(
    chain, refused, tmp_path
):
    path = chain.save(tmp_path / "chain")
    refused(
        "the prompt is empty; .* such as --prompt e",
        "generate-text",
        path,
        "--prompt",
        "",
        status=2,
    )
    for options in (["--seed", 2], ["--seed", 2, "--temperature", 0]):
        refused(
            "--seed 2 chooses the samples of a softmax.*give both",
            "generate-text",
            path,
            "--prompt",
            "a",
            *options,
            status=2,
        )
    refused(
        "--out .*chain/manifest.yaml is a file that",
        "generate-text",
        path.parent,
        "--prompt",
        "a",
        "--out",
        path.parent,
        status=2,
    )
    assert not Manifest.load(path).feeds_back
    words = ("generate-text", path, "--prompt", "a", "--out", tmp_path / "next")
    refused("--simulated", *words, "--board", "icebreaker", status=2)
    refused("board 'nosuch' is not known", *words, "--simulated", "--board", "nosuch", status=2)
    refused("cannot open|no serial port", *words, "--port", tmp_path / "none")
    assert not (tmp_path / "next").exists()


def test_a_prompt_beyond_the_vocabulary_is_refused(chain, refused, tmp_path):
    words = "the prompt has 'f' as character 0, which is none of the 5 of the model's vocabulary"
    refused(words, "generate-text", chain.save(tmp_path), "--prompt", "fed", status=2)
    words = r"the prompt has '\\udcff' as character 1, which is none of the 5"  # of no UTF-8
    refused(words, "generate-text", chain.save(tmp_path), "--prompt", "d\udcff", status=2)
