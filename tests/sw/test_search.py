"""Search: the budget is kept, the study goes on, and what cannot be found is said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.sim.golden import run
from ssm_hdl.sw import checkpoint
from ssm_hdl.sw.data import load
from ssm_hdl.sw.plot import score_memory
from ssm_hdl.sw.quantize import Recipe, quantize
from ssm_hdl.sw.quantize.bench import Bench, Measured, Subject
from ssm_hdl.sw.quantize.parts import FAMILY_PARTS, PARTS, width_of
from ssm_hdl.sw.quantize.search import front, search, write
from ssm_hdl.sw.quantize.sensitivity import Report
from ssm_hdl.sw.quantize.start import allocate, space_of, starts
from ssm_hdl.sw.quantize.study import Task, Trial, budget_of

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "digits.safetensors"
SUBJECT = Subject(CHECKPOINT, None, samples=24, images=50)
BASE = Recipe.load("w8a8x8")
TRIALS = 12
SPACE = space_of(FAMILY_PARTS["s4d"])


def task(folder, **fields):
    fields = {
        "budget": 650.0,
        "accounting": "paper",
        "objective": "accuracy",
        "trials": TRIALS,
    } | fields
    return Task(SUBJECT, BASE, storage=str(folder / "search.journal"), **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def found(folder):
    return search(task(folder))


@pytest.fixture
def pretended(monkeypatch):
    """Measuring takes no time: a byte for every bit of a part, each worth a tenth of a point."""

    def measure(bench, recipe):
        bits = sum(width_of(recipe, part) for part in FAMILY_PARTS["s4d"])
        return Measured(min(1.0, bits / 1000), bits / 10, bits, 2 * bits, 0)

    monkeypatch.setattr(Bench, "measure", measure)


def report(cells):
    """Of a base with 20 dB in 1,000 bytes; ``cells``: dB and bytes by part and width."""
    base = Measured(0.97, 20.0, 1000.0, 2000.0, 1.0)
    identity = {"recipe": BASE.model_dump(mode="json")}
    made = {key: replace(base, sqnr_db=db, paper_bytes=size) for key, (db, size) in cells.items()}
    return Report("m", "digits", identity, 0.99, base, made)


def test_the_budget_is_kept(found):
    chosen, whole = found.finalists[0]
    assert whole.paper_bytes <= 650 and chosen.measured.paper_bytes == whole.paper_bytes
    assert len(found.finalists) == 3 and len(found.trials) <= TRIALS
    assert whole.score == max(measured.score for _, measured in found.finalists) > 0.85
    assert all(low <= width_of(found.recipe, part) <= high for part, (low, high) in SPACE.items())
    assert all(
        width_of(found.recipe, part) == width_of(BASE, part)
        for part in ("biases", "pool", "output")
    )


def test_the_front_is_what_nothing_beats(found):
    points = [(trial.measured.paper_bytes, trial.measured.score) for trial in found.front]
    assert points == sorted(points) and len({accuracy for _, accuracy in points}) == len(points)
    for trial in found.trials:
        assert any(
            size <= trial.measured.paper_bytes and reached >= trial.measured.score
            for size, reached in points
        )


def test_front_of_ties():
    def trial(number, accuracy, size):
        return Trial(number, {}, Measured(accuracy, 0, size, 0, 0))

    trials = [
        trial(0, 0.9, 10),
        trial(1, 0.9, 9),
        trial(2, 0.8, 5),
        trial(3, 0.95, 10),
        trial(4, 0.7, 6),
    ]
    assert [one.number for one in front(task(Path()), trials)] == [2, 1, 3]


def test_the_same_command_goes_on(found, folder, monkeypatch):
    done = []
    again = search(task(folder), progress=done.append)
    assert [trial.params for trial in again.trials] == [trial.params for trial in found.trials]
    assert again.recipe == found.recipe and sum(done) == TRIALS
    more = search(task(folder, trials=TRIALS + 2))
    assert TRIALS - len(found.trials) + len(more.trials) <= TRIALS + 2
    assert [trial.number for trial in more.trials][: len(found.trials)] == [
        trial.number for trial in found.trials
    ]


def test_a_seed_repeats(pretended, tmp_path):
    def params(name, seed):
        (tmp_path / name).mkdir()
        return [
            trial.params
            for trial in search(task(tmp_path / name, seed=seed, budget=100, trials=15)).trials
        ]

    assert params("a", 1) == params("b", 1) != params("c", 2)


def test_processes_share_a_study(tmp_path):
    done = []
    shared = search(task(tmp_path, trials=6), jobs=2, progress=done.append)
    assert 6 <= sum(done) <= 7
    assert shared.finalists[0][1].paper_bytes <= 650


def test_a_data_base_will_do(pretended, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    kept = search(replace(task(tmp_path, budget=100), storage=url))
    assert (tmp_path / "study.db").exists() and kept.finalists[0][1].paper_bytes <= 100
    assert len(search(replace(task(tmp_path, budget=100), storage=url)).trials) == len(kept.trials)


def test_what_is_written(found, tmp_path):
    path = write(found, tmp_path, "ssm-hdl search somewhere")
    assert path.read_text().startswith("# ssm-hdl search somewhere\n# trial ")
    loaded = Recipe.load(path)
    assert all(width_of(loaded, part) == width_of(found.recipe, part) for part in PARTS)
    assert (loaded.name, loaded.state_margin, loaded.samples) == ("digits-650b", "fit", 24)
    digits = load("digits")
    manifest = quantize(checkpoint.load(CHECKPOINT), digits, loaded).manifest
    assert (
        run(manifest, digits.val.codes).outputs.argmax(1) == digits.val.labels
    ).mean() == found.finalists[0][1].score
    front_json = json.loads((tmp_path / "front.json").read_text())
    assert (
        front_json["chosen"] == found.finalists[0][0].number
        and front_json["command"] == "ssm-hdl search somewhere"
    )
    assert {trial["number"] for trial in front_json["trials"]} >= set(front_json["front"])
    assert score_memory(found, tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_starts_are_in_the_space():
    cells = {
        ("state", 4): (10.0, 900.0),
        ("weights.mixing", 16): (20.0, 1200.0),
        ("weights.readout", 2): (19.0, 700.0),
    }
    points = starts(SPACE, 850.0, "paper_bytes", report(cells))
    assert len(points) > len(starts(SPACE, 850.0, "paper_bytes"))
    for point in points:
        assert point.keys() == SPACE.keys()
        assert all(SPACE[part][0] <= point[part] <= SPACE[part][1] for part in SPACE)


def test_what_costs_least_gives_way_first():
    cells = {
        ("weights.readout", 4): (19.5, 800.0),
        ("weights.readout", 2): (15.0, 700.0),
        ("state", 4): (12.0, 900.0),
        ("activations.gelu", 4): (19.9, 1000.0),  # saves nothing
    }
    made = report(cells)
    assert allocate(SPACE, made, "paper_bytes", 1000)["weights.readout"] == 8
    some, most = allocate(SPACE, made, "paper_bytes", 800), allocate(SPACE, made, "paper_bytes", 1)
    assert (some["weights.readout"], some["state"]) == (4, 8)
    assert (
        most["weights.readout"],
        most["state"],
        most["activations.gelu"],
        most["transition"],
    ) == (2, 4, 8, 8)


def test_widths_between_those_tried_are_guessed():
    made = report({("state", 4): (10.0, 800.0), ("weights.readout", 2): (19.9, 990.0)})
    # 950 bytes, and 40 of the weights are all that they can give
    assert allocate(SPACE, made, "paper_bytes", 940)["state"] == 7
    assert allocate(SPACE, made, "paper_bytes", 905)["state"] == 6


def test_a_budget_that_nothing_meets(pretended, tmp_path):
    with pytest.raises(
        SsmHdlError,
        match=r"no recipe meets a budget of 31 bytes: the narrowest takes 73 by .*'paper'",
    ):
        search(task(tmp_path, budget=31))
    with pytest.raises(
        SsmHdlError,
        match=r"none of 3 trials met the budget of 80 bytes, the smallest took .*more --trials",
    ):
        search(task(tmp_path, budget=80, trials=3))


def test_widths_that_cannot_work_are_passed_over(tmp_path, monkeypatch, pretended):
    measure = Bench.measure

    def refuse(bench, recipe):
        if recipe.state == 8:
            raise SsmHdlError("states do not fit")
        return measure(bench, recipe)

    monkeypatch.setattr(Bench, "measure", refuse)
    assert all(trial.params["state"] != 8 for trial in search(task(tmp_path, budget=100)).trials)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("no accounting is called 'bits'; there are paper, ours", {"accounting": "bits"}),
        ("'loss' is no objective of digits; there are accuracy and sqnr", {"objective": "loss"}),
        ("0 trials within 650 bytes", {"trials": 0}),
        ("12 trials within -1 bytes", {"budget": -1.0}),
        ("within nan bytes", {"budget": float("nan")}),
    ],
)
def test_bad_tasks_are_refused(tmp_path, message, fields):
    with pytest.raises(SsmHdlError, match=message):
        task(tmp_path, **fields)


def test_bad_storage_is_refused(tmp_path, pretended):
    for storage in (str(tmp_path), "nosuch://base", f"sqlite:///{tmp_path}/not/there.db"):
        with pytest.raises(
            SsmHdlError, match=r"cannot keep a study in .*give a file or the URL of a data base"
        ):
            search(replace(task(tmp_path), storage=storage))
    (tmp_path / "search.journal").write_text("not a journal\n")
    with pytest.raises(SsmHdlError, match=r"cannot keep a study in .*search\.journal"):
        search(task(tmp_path))
    with pytest.raises(SsmHdlError, match="0 processes"):
        search(task(tmp_path), jobs=0)


def test_budgets():
    assert (budget_of("3000"), budget_of("3_000"), budget_of("up5k"), budget_of("lfe5u-25f")) == (
        3000,
        3000,
        15360,
        129024,
    )
    with pytest.raises(
        SsmHdlError, match="'up6k' is no number of bytes, and no device; there are up5k, lfe5u-25f"
    ):
        budget_of("up6k")


def test_the_command(cli, pretended, tmp_path):
    def call(*arguments):
        done = cli("search", CHECKPOINT, *arguments)
        return done.status, done

    words = (
        "--budget",
        100,
        "--trials",
        9,
        "--images",
        20,
        "--samples",
        8,
        "--out",
        tmp_path / "found",
    )
    status, written = call(*words, "--json")
    assert status == 0 and json.loads(written.out)["budget"] == 100
    assert sorted(file.name for file in (tmp_path / "found").iterdir()) == [
        *("front.json", "front.png", "recipe.yaml", "search.journal")
    ]
    assert (
        "--budget 100 --accounting paper --objective accuracy --recipe w8a8x8 --trials 9 --samples "
        "8 --images 20 --seed 0" in ((tmp_path / "found" / "recipe.yaml").read_text())
    )
    status, written = call(*words)
    assert status == 0 and "chosen" in written.out and "bytes in hardware" in written.out
    for wanted, given, message in (
        (1, ("--budget", 5), "no recipe meets a budget of 5 bytes: the narrowest takes"),
        (2, ("--budget", "many"), "'many' is no number of bytes"),
        (2, ("--budget", 90, "--recipe", "w1a1"), "no recipe is called 'w1a1'"),
        (1, ("--budget", 90, "--sensitivity", tmp_path / "none.json"), "cannot read"),
    ):
        status, written = call(*given, "--out", tmp_path / "other")
        assert (
            status == wanted
            and written.out == ""
            and written.err.startswith("ssm-hdl: ")
            and message in written.err
        )
