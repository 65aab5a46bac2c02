"""What judges answers about whole films, by question.

Columns of a yes-or-no question: `<question>_probability`, `_logit`, `_called`, `_truth`. Of one
with classes: `<question>:<class>_probability` for each, and `<question>_called` and `_truth`, the
numbers of the classes in that order.
"""

from __future__ import annotations

from collections.abc import Sequence

from radloop.measures.classes import auc_of, balanced_accuracy, precision_of, recall_of, share_right
from radloop.measures.classification import (
    accuracy,
    at_threshold,
    auc,
    brier_score,
    expected_calibration_error,
    sensitivity,
    specificity,
    youden,
)
from radloop.measures.spec import ConfusionMatrix, Figure, MeasureSpec, Reliability, Roc
from radloop.systems.films.questions import Question, Questions

_PROBABILITY, _LOGIT = "_probability", "_logit"


def measures_of(questions: Questions) -> tuple[MeasureSpec, ...]:
    """The measures of all questions, in their order."""
    return tuple(
        spec
        for question in questions
        for spec in (_of_classes(question) if question.classes else _of_yes_or_no(question))
    )


def figures_of(questions: Questions) -> tuple[Figure, ...]:
    """ROC and reliability of every yes-or-no question, the confusion of every other."""
    figures: list[Figure] = []
    for question in questions:
        title = question.words.capitalize()
        if question.classes:
            columns = (f"{question.name}_called", f"{question.name}_truth")
            figures.append(ConfusionMatrix(title, *columns, question.classes))
        else:
            columns = (f"{question.name}{_PROBABILITY}", f"{question.name}_truth")
            figures.append(Roc(f"{title}: ROC", f"{question.name}{_LOGIT}", columns[1]))
            figures.append(Reliability(f"{title}: calibration", *columns))
    return tuple(figures)


def questions_in(columns: Sequence[str]) -> list[Question]:
    """The questions that a report with these columns has judged, in their order."""
    found: dict[str, list[str]] = {}
    for column in columns:
        if column.endswith(_LOGIT):
            found.setdefault(column.removesuffix(_LOGIT), [])
        elif column.endswith(_PROBABILITY):
            name, colon, answer = column.removesuffix(_PROBABILITY).partition(":")
            if colon:
                found.setdefault(name, []).append(answer)
    return [Question(name, tuple(classes)) for name, classes in found.items()]


def _of_yes_or_no(question: Question) -> list[MeasureSpec]:
    """The AUC takes logits as the network gave them: a calibration by fold would reorder cases."""
    name, title = question.name, question.words.capitalize()
    truth = f"{name}_truth"
    called, stated = (f"{name}_called", truth), (f"{name}{_PROBABILITY}", truth)
    return [
        MeasureSpec(f"{name}_auc", (f"{name}{_LOGIT}", truth), auc, f"{title}: AUC"),
        *(
            MeasureSpec(f"{name}_{short}", called, at_threshold(measure, 0.5), f"{title}: {words}")
            for short, measure, words in (
                ("sensitivity", sensitivity, "sensitivity"),
                ("specificity", specificity, "specificity"),
                ("youden", youden, "Youden index"),
                ("accuracy", accuracy, "accuracy"),
            )
        ),
        MeasureSpec(f"{name}_ece", stated, expected_calibration_error,
                    f"{title}: expected calibration error", "", "lower"),
        MeasureSpec(f"{name}_brier", stated, brier_score, f"{title}: Brier score", "", "lower"),
    ]  # fmt: skip


def _of_classes(question: Question) -> list[MeasureSpec]:
    name, title = question.name, question.words.capitalize()
    columns = (f"{name}_called", f"{name}_truth")
    specs = [
        MeasureSpec(f"{name}_accuracy", columns, share_right, f"{title}: accuracy"),
        MeasureSpec(f"{name}_balanced_accuracy", columns, balanced_accuracy,
                    f"{title}: balanced accuracy"),
    ]  # fmt: skip
    for k, answer in enumerate(question.classes):
        probability = (f"{name}:{answer}{_PROBABILITY}", f"{name}_truth")
        specs += [
            MeasureSpec(f"{name}:{answer}_recall", columns, recall_of(k),
                        f"{title}, {answer}: recall"),
            MeasureSpec(f"{name}:{answer}_precision", columns, precision_of(k),
                        f"{title}, {answer}: precision"),
            MeasureSpec(f"{name}:{answer}_auc", probability, auc_of(k), f"{title}, {answer}: AUC"),
        ]  # fmt: skip
    return specs
