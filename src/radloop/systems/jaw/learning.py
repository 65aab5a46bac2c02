"""The training of a chart's networks, one after the other: teeth, gaps between them, conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.systems.jaw.gaps import train_gaps
from radloop.systems.jaw.numbers import NUMBERS
from radloop.systems.jaw.reference import FIRST_CONDITION
from radloop.systems.jaw.tooth import Tooth

if TYPE_CHECKING:
    from torch import Tensor

    from radloop.networks.charting import Charting
    from radloop.training.data import Sample
    from radloop.training.recipe import Recipe
    from radloop.training.trainer import Trained, TrainingRun

STAGES = ("teeth", "gaps", "conditions")
SHARE = 0.7
"""Of the minutes, what the teeth take where conditions are trained, too."""
Films = npt.NDArray[np.uint8]


def train_stages(
    network: Charting, train: Sequence[Sample], validation: Sequence[Sample], recipe: Recipe,
    run: TrainingRun, *, loss: Callable[[Any, Tensor], Tensor],
    score: Callable[[Any, Tensor], Tensor], swaps: Mapping[int, int],
    prepare: Callable[[Films, int], Films],
) -> Trained:  # fmt: skip
    """Train what `run.stage` names (all: what the table has boxes of), in place.

    Raises InputError for an unknown stage, and where the table has no boxes for one.
    """
    from radloop.training.trainer import Trained, train_network

    if run.stage not in ("", *STAGES):
        raise InputError(f"Teeth have no stage '{run.stage}'.", f"Its stages: {', '.join(STAGES)}.")
    wanted = _wanted(network, train, run.stage)
    parts: list[Trained] = []
    if "teeth" in wanted:
        both = [_teeth_only(samples) for samples in (train, validation)]
        share = run.minutes * SHARE if run.minutes and "conditions" in wanted else run.minutes
        stage = replace(run, folder=run.folder / "teeth", minutes=share)
        parts.append(
            train_network(network.teeth, *both, loss=loss, score=score, swaps=swaps,
                          recipe=recipe, run=stage)
        )  # fmt: skip
        network.teeth.load_state_dict(parts[-1].weights)
    if "gaps" in wanted:
        right = train_gaps(network.gaps, _as_teeth(train), run.seed)
        if not parts:
            parts.append(Trained(dict(network.state_dict()), right, 1, 1, 0.0))
    if "conditions" in wanted:
        assert network.conditions is not None and recipe.second is not None
        _start_from(network.conditions, network.teeth)
        large = round(recipe.second.size * recipe.second.cache_scale)
        films = [
            _conditions_only(samples, side, prepare)
            for samples, side in ((train, large), (validation, recipe.second.size))
        ]
        share = run.minutes * (1 - SHARE) if run.minutes and "teeth" in wanted else run.minutes
        stage = replace(run, folder=run.folder / "conditions", minutes=share)
        parts.append(
            train_network(network.conditions, *films, loss=loss, score=score, swaps={},
                          recipe=recipe.second, run=stage)
        )  # fmt: skip
        network.conditions.load_state_dict(parts[-1].weights)
    last = parts[-1]
    history = tuple(row for part in parts for row in part.history)
    minutes = sum(part.minutes for part in parts)
    return Trained(
        dict(network.state_dict()), last.best_score, last.best_epoch,
        sum(part.epochs for part in parts), minutes, history,
    )  # fmt: skip


def _wanted(network: Charting, train: Sequence[Sample], stage: str) -> set[str]:
    has = {
        "teeth": any((sample.target[:, 4] < FIRST_CONDITION).any() for sample in train),
        "conditions": any((sample.target[:, 4] >= FIRST_CONDITION).any() for sample in train),
    }
    has["gaps"] = has["teeth"]
    if stage and not has[stage]:
        raise InputError(
            f"No training film has boxes for the stage '{stage}'.",
            "Boxes named like 16 are teeth, like caries or filling conditions.",
        )
    if stage == "conditions" and network.conditions is None:
        raise InputError(
            "This network has no detector of conditions.", "Train with --preset chart."
        )
    wanted = {stage} if stage else {name for name, there in has.items() if there}
    if network.conditions is None:
        wanted.discard("conditions")
    if not wanted:
        raise InputError(
            "No training film has teeth.", "Name their boxes by ISO 3950: 11 to 48, 51 to 85."
        )
    return wanted


def _teeth_only(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(s, target=s.target[s.target[:, 4] < FIRST_CONDITION]) for s in samples]


def _as_teeth(samples: Sequence[Sample]) -> list[tuple[list[Tooth], float]]:
    return [
        (
            [
                Tooth((float(r[0]), float(r[1]), float(r[2]), float(r[3])), 1.0, NUMBERS[int(r[4])])
                for r in sample.target
            ],
            float(sample.film.shape[1]),
        )
        for sample in _teeth_only(samples)
    ]


def _conditions_only(
    samples: Sequence[Sample], side: int, prepare: Callable[[Films, int], Films]
) -> list[Sample]:
    """The films anew, `side` px large, with their conditions alone."""

    def one(sample: Sample) -> Sample:
        assert sample.original is not None
        rows = sample.target[sample.target[:, 4] >= FIRST_CONDITION].copy()
        rows[:, :4] *= side / sample.film.shape[0]
        rows[:, 4] -= FIRST_CONDITION
        return replace(sample, film=prepare(sample.original(), side), target=rows)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, samples))


def _start_from(conditions: Any, teeth: Any) -> None:
    """Let the second detector start from what the first has learned of such films."""
    own = conditions.state_dict()
    given = {k: v for k, v in teeth.state_dict().items() if k in own and v.shape == own[k].shape}
    conditions.load_state_dict(given, strict=False)
