"""Rows of results are current as long as the Verilog of their pipelines is,
and only the stale ones are made again."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from ssm_hdl.boards.flow import meaning
from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import update_json
from ssm_hdl.sw import results
from ssm_hdl.sw.cli.bench import _merged

SIMULATE = "simulate manifests/digits --samples test"


def test_comments_do_not_count_and_hardware_does(monkeypatch):
    before, generate = results.key(SIMULATE), results.generate
    monkeypatch.setattr(
        results,
        "generate",
        lambda *given: f"/* Generated\n * today */\n// {given[0].name}\n{generate(*given)}",
    )
    assert results.key(SIMULATE) == before
    monkeypatch.setattr(
        results, "generate", lambda *given: generate(*given).replace("assign", "assign ~", 1)
    )
    assert results.key(SIMULATE) != before


SOURCE = '''"""Adds."""
FEW = 3
"""Not many."""
def add(a, b):
    """A sum."""
    return a + b  # of two
'''


@pytest.mark.parametrize(
    "source,same",
    [
        (SOURCE.replace("a, b", "\n    a,\n    b,\n"), True),
        (
            SOURCE.replace("of two", "exactly")
            .replace("A sum", "The sum")
            .replace("Not", "Not so"),
            True,
        ),
        (SOURCE.replace("= 3", "= 4"), False),
        (SOURCE.replace("a + b", "a - b"), False),
    ],
)
def test_layout_and_comments_of_a_step_do_not_count(tmp_path, source, same):
    texts = []
    for number, text in enumerate((SOURCE, source)):
        (tmp_path / f"step_{number}.py").write_text(text)
        spec = spec_from_file_location(f"step_{number}", tmp_path / f"step_{number}.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        texts.append(meaning(module))
    assert (texts[0] == texts[1]) == same


@pytest.mark.parametrize("option", ["--dsp 4", "--count 3", "--netlist ice40"])
def test_a_row_depends_on_its_options(option):
    assert results.key(f"{SIMULATE} {option}") != results.key(SIMULATE)


def test_only_what_is_stale_is_made(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        results,
        "COMMANDS",
        {"rtl": {"a": "simulate a", "b": "simulate b"}, "bench": {"c": "bench c"}},
    )
    versions, made = {"simulate a": "1", "simulate b": "1", "bench c": "1"}, []
    monkeypatch.setattr(results, "key", versions.__getitem__)
    monkeypatch.setattr(results, "make", lambda *row: made.append(row))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["results", *arguments])
        return results.main()

    assert run("--check") == 1 and not made
    assert run("rtl") == 0 and made == [("rtl", "a"), ("rtl", "b")]
    assert run("rtl", "--check") == 0 and run("--check") == 1
    versions["simulate b"] = "2"
    assert run() == 0 and made[2:] == [("rtl", "b"), ("bench", "c")]
    assert run("--check") == 0 and len(made) == 4
    assert "stale    simulate b" in capsys.readouterr().out


def test_an_answer_takes_the_place_of_its_row(tmp_path):
    path = tmp_path / "rows.json"
    update_json(path, {"a": 1, "b": 2})
    update_json(path, {"a": 3})
    assert json.loads(path.read_text()) == {"a": 3, "b": 2}
    for damaged in ('{"a": ', "[]"):
        (tmp_path / "damaged.json").write_text(damaged)
        with pytest.raises(
            SsmHdlError, match=r"cannot add rows to .*damaged\.json: .*; name another file"
        ):
            update_json(tmp_path / "damaged.json", {})
    slow, fast, other = (
        {"manifest": "m", "board": "b", "rate_asked": rate} for rate in (1.0, None, 2.0)
    )
    assert _merged([slow, fast], [fast | {"interval": 1}, other]) == [
        slow,
        fast | {"interval": 1},
        other,
    ]


def test_every_committed_row_has_a_command():
    known = json.loads(results.KEYS.read_text(encoding="utf-8"))
    assert known.keys() <= {
        command for rows in results.COMMANDS.values() for command in rows.values()
    }
    for target in ("bitstreams", "rtl"):
        assert (
            json.loads(Path(f"results/{target}.json").read_text(encoding="utf-8")).keys()
            == results.COMMANDS[target].keys()
        )
