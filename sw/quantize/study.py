"""A study of mixed precision: its task, and the proposal, measurement and storage of its trials.

Optuna (Akiba et al., arXiv 1907.10902) proposes widths, with tree-structured Parzen estimators for
two objectives, score and memory. A study is in a file or a data base. The same command joins it on
another machine, or continues it later.
"""

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.sw.quantize.bench import ACCOUNTINGS, Bench, Measured, Subject
from ssm_hdl.sw.quantize.parts import with_widths
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.start import Params, Space, space_of, starts

DEVICES = {
    "up5k": 30 * 512,
    "lfe5u-25f": 56 * 2304,
    "lfe5u-45f": 108 * 2304,
    "lfe5u-85f": 208 * 2304,
}
"""Bytes of block RAM: 30 EBR of 4 kbit in an iCE40 UP5K, DP16KD of 18 kbit in the ECP5."""

DONE = (TrialState.COMPLETE, TrialState.FAIL)
"""States of finished trials; a trial fails if its widths cannot work."""


@dataclass(frozen=True)
class Task:
    """A search task.

    Attributes:
        subject: the model and the samples.
        base: the parts that are not searched, and the rules.
        budget: bytes.
        accounting: the count of the bytes, one of ``ACCOUNTINGS``.
        objective: to be maximised: the score of the model by its name, or ``sqnr`` of the logits.
        trials: of the whole study, other processes and earlier runs included.
        storage: file of a journal, or URL of a data base.
        seed: of the proposals.
    """

    subject: Subject
    base: Recipe
    budget: float
    accounting: str
    objective: str
    trials: int
    storage: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.accounting not in ACCOUNTINGS:
            raise UsageError(
                f"no accounting is called {self.accounting!r}; there are {', '.join(ACCOUNTINGS)}"
            )
        if self.objective not in (known := (self.subject.score, "sqnr")):
            stem = self.subject.checkpoint.stem
            raise UsageError(
                f"{self.objective!r} is no objective of {stem}; there are {' and '.join(known)}"
            )
        if self.trials < 1 or not (self.budget > 0 and math.isfinite(self.budget)):
            raise UsageError(
                f"a search of {self.trials} trials within {self.budget:g} bytes finds nothing; "
                "give more than 0 of both"
            )

    @cached_property
    def space(self) -> Space:
        """Fewest and most bits of every searched part."""
        return space_of(self.subject.parts)

    @property
    def study_name(self) -> str:
        """A name with a hash over everything that the figures of a study depend on."""
        fields = [
            self.subject.identity(),
            self.base.model_dump(mode="json", exclude_none=True),
            self.budget,
            self.accounting,
            self.objective,
            self.seed,
        ]
        digest = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        return f"{self.subject.checkpoint.stem}-{digest[:12]}"

    def bytes_of(self, measured: Measured) -> float:
        """Memory, by the accounting of the task."""
        return float(getattr(measured, ACCOUNTINGS[self.accounting]))

    def value_of(self, measured: Measured) -> float:
        """The objective of the task."""
        return measured.sqnr_db if self.objective == "sqnr" else measured.score

    def recipe(self, params: Params, **fields: Any) -> Recipe:
        """The recipe with the widths of a trial."""
        return with_widths(self.base, {part: int(params[part]) for part in self.space}, **fields)


@dataclass(frozen=True)
class Trial:
    """A measured recipe.

    Attributes:
        number: of the trial.
        params: widths by part.
        measured: its figures.
    """

    number: int
    params: Params
    measured: Measured

    def to_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return {"number": self.number, "params": self.params, **self.measured.to_json()}


def budget_of(text: str) -> float:
    """A budget in bytes, from a number or from the name of a device, whose block RAM it is.

    Raises:
        SsmHdlError: neither of the two.
    """
    try:
        return float(DEVICES[text] if text in DEVICES else text.replace("_", ""))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no number of bytes, and no device; there are {', '.join(DEVICES)}"
        ) from error


def open_study(task: Task, worker: int = 0) -> optuna.Study:
    """Open the study of a task; create it if there is none yet."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage: Any = task.storage
        if "://" not in storage:
            Path(storage).parent.mkdir(parents=True, exist_ok=True)
            storage = optuna.storages.JournalStorage(JournalFileBackend(storage))
        study = optuna.create_study(
            storage=storage,
            study_name=task.study_name,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        done = len(study.trials)
    except (OptunaError, SQLAlchemyError, OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise SsmHdlError(
            f"cannot keep a study in {task.storage}: {reason}; "
            "give a file or the URL of a data base"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=len(starts(task.space, task.budget, ACCOUNTINGS[task.accounting])),
            multivariate=True,
            constant_liar=True,  # counts trials of other processes that still run
            # Primes, so that processes and continued runs do not propose the same widths.
            seed=task.seed + 7919 * done + 104729 * worker,
        )
    return study


def take_part(
    task: Task, worker: int, bench: Bench | None = None, tell: Callable[[], None] | None = None
) -> None:
    """Do trials until the study is complete."""
    study, bench = open_study(task, worker), bench or Bench(task.subject)
    space: dict[str, BaseDistribution] = {
        part: IntDistribution(low, high) for part, (low, high) in task.space.items()
    }
    while len(study.get_trials(deepcopy=False, states=DONE)) < task.trials:
        trial = study.ask(space)
        known = _known(study, trial.params)
        try:
            measured = known or bench.measure(task.recipe(trial.params))
        except SsmHdlError as error:
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=TrialState.FAIL)
        else:
            # Optuna prefers trials with a constraint of 0 or below.
            trial.set_constraint("budget", task.bytes_of(measured) - task.budget)
            trial.set_user_attr("measured", measured.to_json())
            study.tell(trial, (task.value_of(measured), task.bytes_of(measured)))
        if tell is not None:
            tell()


def _known(study: optuna.Study, params: Mapping[str, Any]) -> Measured | None:
    """The figures of an earlier trial with the same parameters:
    TPE repeats itself in a small space."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((measured_in(trial) for trial in trials if trial.params == params), None)


def measured_in(trial: FrozenTrial) -> Measured:
    """The figures of a complete trial."""
    return Measured.from_json(trial.user_attrs["measured"])
