"""Search for mixed precision: the widths with the best score within a budget of memory."""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.sw.cluster import workers
from ssm_hdl.sw.quantize.bench import ACCOUNTINGS, Bench, Measured
from ssm_hdl.sw.quantize.parts import to_yaml, with_widths
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.sensitivity import Report
from ssm_hdl.sw.quantize.start import starts
from ssm_hdl.sw.quantize.study import DONE, Task, Trial, measured_in, open_study, take_part

FINALISTS = 3
"""Number of the best trials within the budget,
which are measured again on all validation samples."""


@dataclass(frozen=True)
class Outcome:
    """The result of a search.

    Attributes:
        task: the search task.
        trials: all valid trials.
        front: the Pareto front of score and memory, by rising memory.
        finalists: the best trials within the budget, the chosen one first,
            measured on all validation samples.
        float_score: of the float model on the samples of the trials.
        recipe: of the chosen trial.
    """

    task: Task
    trials: Sequence[Trial]
    front: Sequence[Trial]
    finalists: Sequence[tuple[Trial, Measured]]
    float_score: float
    recipe: Recipe = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The figures, for JSON."""
        task = self.task
        return {
            "model": task.subject.checkpoint.stem,
            **task.subject.identity(),
            "base": task.base.name,
            "budget": task.budget,
            "accounting": task.accounting,
            "objective": task.objective,
            "seed": task.seed,
            f"float_{task.subject.score}": self.float_score,
            "chosen": self.finalists[0][0].number,
            "finalists": [
                {"number": trial.number, **measured.to_json()} for trial, measured in self.finalists
            ],
            "front": [trial.number for trial in self.front],
            "trials": [trial.to_json() for trial in self.trials],
        }


def search(
    task: Task,
    report: Report | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
    cluster: str | None = None,
) -> Outcome:
    """Take part in the study of a task until it has all its trials, then choose a recipe.

    Args:
        task: the search task.
        report: sensitivity of the same model, which suggests the first trials.
        jobs: processes that work side by side.
        progress: called with the number of trials done since the last call.
        cluster: Dask scheduler, on whose workers they do;
            the files of the task have the same paths there.

    Raises:
        SsmHdlError: a budget that no recipe meets, or that none of the trials met;
            a storage that cannot be used.
    """
    if jobs < 1:
        raise SsmHdlError(f"{jobs} processes do no work; give 1 or more")
    bench = Bench(task.subject)
    study = open_study(task)
    _check_budget(task, bench, study)
    begun = [
        trial.system_attrs.get("fixed_params", trial.params)
        for trial in study.get_trials(states=(*DONE, TrialState.WAITING))
    ]
    for params in starts(task.space, task.budget, ACCOUNTINGS[task.accounting], report):
        if params not in begun:  # a running trial does not count: its process may have been stopped
            study.enqueue_trial(params)
    tell = _Progress(study, progress)
    if jobs == 1 and cluster is None:
        take_part(task, 0, bench, tell)
    else:
        with workers(cluster, jobs) as executor:
            parts = {executor.submit(take_part, task, worker) for worker in range(jobs)}
            while wait(parts, timeout=1).not_done:
                tell()
            for part in parts:
                part.result()
    tell()
    return _choose(task, study, bench)


class _Progress:
    """Reports the number of trials that all processes did since the last call."""

    def __init__(self, study: optuna.Study, progress: Callable[[int], None] | None) -> None:
        self.study, self.progress, self.told = study, progress, 0

    def __call__(self) -> None:
        done = len(self.study.get_trials(deepcopy=False, states=DONE))
        if self.progress is not None:
            self.progress(done - self.told)
        self.told = done


def _check_budget(task: Task, bench: Bench, study: optuna.Study) -> None:
    """Raise an error if even the narrowest recipe exceeds the budget;
    the study remembers its memory."""
    if "floor" not in study.user_attrs:
        fields = {"delta": True, "dither": True, "per_channel": False, "state_margin": 1.0}
        narrowest = with_widths(
            task.base, {part: low for part, (low, _) in task.space.items()}, **fields
        )
        study.set_user_attr("floor", task.bytes_of(bench.measure(narrowest)))
    floor = study.user_attrs["floor"]
    if task.budget < floor:
        raise SsmHdlError(
            f"no recipe meets a budget of {task.budget:,.0f} bytes: the narrowest takes "
            f"{floor:,.0f} by the accounting {task.accounting!r}; give at least that, "
            "or train a smaller model"
        )


def _choose(task: Task, study: optuna.Study, bench: Bench) -> Outcome:
    """Measure the best trials within the budget on all validation samples, and choose one."""
    distinct: dict[str, Trial] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        distinct.setdefault(
            json.dumps(trial.params, sort_keys=True),
            Trial(trial.number, trial.params, measured_in(trial)),
        )
    trials = list(distinct.values())
    within = [trial for trial in trials if task.bytes_of(trial.measured) <= task.budget]
    if not within:
        least = min((task.bytes_of(trial.measured) for trial in trials), default=math.nan)
        raise SsmHdlError(
            f"none of {len(trials)} trials met the budget of {task.budget:,.0f} bytes, the "
            f"smallest took {least:,.0f}; give the same command with more --trials, "
            "or a larger budget"
        )

    def rank(measured: Measured) -> tuple[float, float, float]:
        return task.value_of(measured), measured.sqnr_db, -task.bytes_of(measured)

    best = sorted(within, key=lambda trial: rank(trial.measured), reverse=True)[:FINALISTS]
    whole = bench.on_all()
    finalists = [(trial, whole.measure(task.recipe(trial.params))) for trial in best]
    finalists.sort(key=lambda pair: rank(pair[1]), reverse=True)
    name = f"{task.subject.checkpoint.stem}-{task.budget:.0f}b"
    recipe = task.recipe(finalists[0][0].params, name=name, samples=task.subject.samples)
    return Outcome(task, trials, front(task, trials), finalists, bench.float_score, recipe)


def front(task: Task, trials: Sequence[Trial]) -> list[Trial]:
    """The Pareto front of the objective and memory, by rising memory."""
    chosen: list[Trial] = []
    for trial in sorted(
        trials, key=lambda trial: (task.bytes_of(trial.measured), -task.value_of(trial.measured))
    ):
        if not chosen or task.value_of(trial.measured) > task.value_of(chosen[-1].measured):
            chosen.append(trial)
    return chosen


def write(result: Outcome, folder: Path, command: str) -> Path:
    """Write ``recipe.yaml``, with the command of the search, and ``front.json`` into a folder;
    the path of the recipe."""
    trial, whole = result.finalists[0]
    header = (
        f"{command}\ntrial {trial.number} of {len(result.trials)}: {whole.shown} on all validation "
        f"samples, {whole.sqnr_db:.1f} dB,\n{whole.paper_bytes:,.0f} bytes by the paper's count, "
        f"{whole.hardware_bytes:,.0f} bytes in hardware"
    )
    write_atomically(
        folder / "front.json", json.dumps(result.to_json() | {"command": command}, indent=1) + "\n"
    )
    return write_atomically(folder / "recipe.yaml", to_yaml(result.recipe, header))
