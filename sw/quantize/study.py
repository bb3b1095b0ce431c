"""A study of mixed precision: what is searched for, and how trials are proposed, measured and kept.

Optuna (Akiba et al., arXiv 1907.10902) proposes widths, with tree-structured Parzen estimators for two objectives, accuracy and
memory. A study lives in a file or a data base: the same command on another machine, or again, takes part in the same study.
"""

import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.quantize.bench import ACCOUNTINGS, Bench, Measured, Subject
from ssm_hdl.sw.quantize.parts import with_widths
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.start import Params, Space, space_of, starts

DEVICES = {"up5k": 30 * 512, "lfe5u-25f": 56 * 2304, "lfe5u-45f": 108 * 2304, "lfe5u-85f": 208 * 2304}
"""Bytes of block RAM: 30 EBR of 4 kbit in an iCE40 UP5K, DP16KD of 18 kbit in the ECP5."""

OBJECTIVES = {"accuracy": "accuracy", "sqnr": "sqnr_db"}
"""What may be maximised, and the attribute of `Measured` that it is."""

DONE = (TrialState.COMPLETE, TrialState.FAIL)
"""States of trials that are over; one fails if its widths cannot work."""


@dataclass(frozen=True)
class Task:
    """What is searched for.

    Attributes:
        subject: the model and the samples.
        base: the parts that are not searched, and the rules.
        budget: bytes.
        accounting: how they are counted, one of ``ACCOUNTINGS``.
        objective: what is maximised, one of ``OBJECTIVES``.
        trials: of the whole study, those of other processes and of earlier runs included.
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
            raise SsmHdlError(f"no accounting is called {self.accounting!r}; there are {', '.join(ACCOUNTINGS)}")
        if self.objective not in OBJECTIVES:
            raise SsmHdlError(f"no objective is called {self.objective!r}; there are {', '.join(OBJECTIVES)}")
        if self.trials < 1 or not (self.budget > 0 and math.isfinite(self.budget)):
            raise SsmHdlError(
                f"a search of {self.trials} trials within {self.budget:g} bytes finds nothing; give more than 0 of both"
            )

    @cached_property
    def space(self) -> Space:
        """Least and most bits of each part that is searched."""
        return space_of(self.subject.parts)

    @property
    def study_name(self) -> str:
        """A name for everything that the figures of a study depend on."""
        fields = [
            self.subject.identity(),
            self.base.model_dump(mode="json", exclude_none=True),
            self.budget,
            self.accounting,
            self.objective,
            self.seed,
        ]
        return f"{self.subject.checkpoint.stem}-{sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]}"

    def bytes_of(self, measured: Measured) -> float:
        """Memory by the accounting of the task."""
        return float(getattr(measured, ACCOUNTINGS[self.accounting]))

    def value_of(self, measured: Measured) -> float:
        """What is maximised."""
        return float(getattr(measured, OBJECTIVES[self.objective]))

    def recipe(self, params: Params, **fields: Any) -> Recipe:
        """The recipe that a trial's parameters are."""
        return with_widths(self.base, {part: int(params[part]) for part in self.space}, **fields)


@dataclass(frozen=True)
class Trial:
    """A recipe that was measured.

    Attributes:
        number: of the trial.
        params: widths by part.
        measured: what they come to.
    """

    number: int
    params: Params
    measured: Measured

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"number": self.number, "params": self.params, **self.measured.to_json()}


def budget_of(text: str) -> float:
    """Bytes: a number, or the block RAM of a device.

    Raises:
        SsmHdlError: neither.
    """
    try:
        return float(DEVICES[text] if text in DEVICES else text.replace("_", ""))
    except ValueError as error:
        raise SsmHdlError(f"{text!r} is no number of bytes, and no device; there are {', '.join(DEVICES)}") from error


def open_study(task: Task, worker: int = 0) -> optuna.Study:
    """The study of a task, made if there is none yet."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage: Any = task.storage
        if "://" not in storage:
            storage = optuna.storages.JournalStorage(JournalFileBackend(storage))
        study = optuna.create_study(
            storage=storage, study_name=task.study_name, directions=["maximize", "minimize"], load_if_exists=True
        )
        done = len(study.trials)
    except (OptunaError, SQLAlchemyError, OSError, ValueError, ImportError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise SsmHdlError(f"cannot keep a study in {task.storage}: {reason}; give a file or the URL of a data base") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=len(starts(task.space, task.budget, ACCOUNTINGS[task.accounting])),
            multivariate=True,
            constant_liar=True,
            seed=task.seed + 7919 * done + 104729 * worker,
        )
    return study


def take_part(task: Task, worker: int, bench: Bench | None = None, tell: Callable[[], None] | None = None) -> None:
    """Do trials until the study has them all."""
    study, bench = open_study(task, worker), bench or Bench(task.subject)
    space: dict[str, BaseDistribution] = {part: IntDistribution(low, high) for part, (low, high) in task.space.items()}
    while len(study.get_trials(deepcopy=False, states=DONE)) < task.trials:
        trial = study.ask(space)
        known = _known(study, trial.params)
        try:
            measured = known or bench.measure(task.recipe(trial.params))
        except SsmHdlError as error:
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_constraint("budget", task.bytes_of(measured) - task.budget)
            trial.set_user_attr("measured", measured.to_json())
            study.tell(trial, (task.value_of(measured), task.bytes_of(measured)))
        if tell is not None:
            tell()


def _known(study: optuna.Study, params: Mapping[str, Any]) -> Measured | None:
    """What the same parameters came to before."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((measured_in(trial) for trial in trials if trial.params == params), None)


def measured_in(trial: FrozenTrial) -> Measured:
    """What a trial that is complete came to."""
    return Measured(**trial.user_attrs["measured"])


__all__ = ["DEVICES", "DONE", "OBJECTIVES", "Task", "Trial", "budget_of", "measured_in", "open_study", "take_part"]
