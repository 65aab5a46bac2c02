"""`ensemble`: the models of a cross-validation as one model, calibrated out of fold.

With few patients none can be spared for validation alone. So each of K models leaves out another
part; together they have learned from all, and every case was judged once by a model that never saw
it. On these answers the ensemble is calibrated (as nnU-Net predicts with its five folds, Isensee et
al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radloop.cases.case import Case
from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.images.image import Image
from radloop.systems.base import Array
from radloop.systems.card import training_card
from radloop.systems.fit import judged_cases
from radloop.systems.model import Model, load_model, save_model

if TYPE_CHECKING:
    from torch import Tensor

_SAME = ("system", "network", "options", "recipe")


@dataclass(frozen=True)
class Ensemble:
    """model: what was written. members: fold -> its model. apart: fold -> settings measured on the
    other folds, with which the members' own cross-validation is judged fairly."""

    model: Model
    members: Mapping[int, Model]
    apart: Mapping[int, Mapping[str, Any]]


def ensemble(names: Sequence[str], table: CaseTable, out: Path) -> Ensemble:
    """Combine the models that were trained with `train --fold K` on `table`; write it to `out`.

    Weights are stored in half precision, for which its members' last digits are noise. Raises
    InputError for fewer than two models, models of different recipes, one that was not trained on a
    fold, a fold twice, and a folder that holds a model already.
    """
    if (out / "model.json").is_file():
        raise InputError(f"'{out.name}' holds a model already.", "Choose another --out.")
    models = [load_model(name) for name in names]
    _check(models)
    by_fold = {int(model.info["training"]["fold"]): model for model in models}
    system, first = models[0].system, models[0]
    judged: dict[int, list[tuple[Case, Image, Array]]] = {}
    for fold, model in sorted(by_fold.items()):
        own = [replace(c, split="val") for c in table.cases if c.split == f"fold{fold}"]
        if not own:
            raise InputError(
                f"{table.path.name} has no cases in split 'fold{fold}'.",
                "Give the table the models were trained on.",
            )
        judged[fold] = judged_cases(system, model.network(), own, model.size)

    def calibrated(without: int | None) -> Mapping[str, Any]:
        cases = [one for fold, some in judged.items() if fold != without for one in some]
        return system.calibrate(cases, system.presets[str(first.info["preset"])], _no_look)

    trainings: list[dict[str, Any]] = [model.info["training"] for model in models]
    patients = {case.patient_id for case in table.cases}
    info = {
        **{key: value for key, value in first.info.items() if key not in ("sha256", "format")},
        "name": out.name,
        "members": len(models),
        "settings": calibrated(None),
        "training": {
            **trainings[0],
            "fold": None,
            "folds": sorted(by_fold),
            "minutes": round(sum(t["minutes"] for t in trainings), 2),
            "epochs": max(t["epochs"] for t in trainings),
            "best_epoch": max(t["best_epoch"] for t in trainings),
            "validation_score": round(
                sum(t["validation_score"] for t in trainings) / len(trainings), 5
            ),
            "cases": {"train": len(table.cases), "val": sum(map(len, judged.values()))},
            "patients": {"train": len(patients), "val": len(patients)},
            "members_sha256": [model.sha256 for model in models],
        },
    }
    model = save_model(out, _weights(models), info, training_card(system, info))
    return Ensemble(model, by_fold, {fold: calibrated(fold) for fold in by_fold})


def _weights(models: Sequence[Model]) -> dict[str, Tensor]:
    """The members' weights; what a later one has in common with the first (a frozen encoder) is
    stored once, see `Model.network`."""
    first = models[0].network().state_dict()
    weights = {f"members.0.{name}": _half(value) for name, value in first.items()}
    for k, model in enumerate(models[1:], start=1):
        for name, value in model.network().state_dict().items():
            if not value.equal(first[name]):
                weights[f"members.{k}.{name}"] = _half(value)
    return weights


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _check(models: Sequence[Model]) -> None:
    if len(models) < 2:
        raise InputError("An ensemble has at least two models.", "Give the model of every fold.")
    if models[0].system.in_parts:
        raise InputError(
            f"Models of '{models[0].system.name}' find boxes, which have no mean.",
            "Judge them together with `radloop pool`.",
        )
    for model in models[1:]:
        for key in _SAME:
            if model.info[key] != models[0].info[key]:
                raise InputError(
                    f"'{model.name}' and '{models[0].name}' differ in their {key}.",
                    "Combine models that were trained alike.",
                )
    folds = [model.info["training"].get("fold") for model in models]
    if None in folds:
        raise InputError(
            f"'{models[folds.index(None)].name}' was not trained with --fold.",
            "Without held-out cases of its own it cannot be calibrated.",
        )
    if len(set(folds)) < len(folds):
        raise InputError("Two models were trained on the same fold.", "Give one a fold.")


def _no_look(film: Array) -> Array:
    raise InputError(
        "This system looks twice at a case, which an ensemble cannot do while it is calibrated.",
        "Combine models by `train --teacher` instead.",
    )
