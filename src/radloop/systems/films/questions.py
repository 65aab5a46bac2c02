"""Questions about a whole film, and where the case table answers them.

A yes-or-no question is one label, `label:<question>`. A question with one of several answers has a
label a class, `label:<question>:<class>`, of which one is 1; zeros alone leave it unknown. A
network has one *output* a label, in this order; the truth of a case is float32 `(outputs,)`, 1, 0,
or NaN where the table does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError

Truth = npt.NDArray[np.float32]

_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD = re.compile(r"(?<![a-z])(left|right|l|r)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """One question. classes: its possible answers; none for yes or no. of_table: it has classes,
    those that the case table has."""

    name: str
    classes: tuple[str, ...] = ()
    of_table: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels that answer it, one output of the network each."""
        return tuple(f"{self.name}:{c}" for c in self.classes) or (self.name,)

    @property
    def words(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")


Questions = Sequence[Question]


def places_of(questions: Questions) -> dict[str, slice]:
    """Question -> the places of its outputs."""
    places, start = {}, 0
    for question in questions:
        places[question.name] = slice(start, start + len(question.outputs))
        start += len(question.outputs)
    return places


def outputs_of(questions: Questions) -> tuple[str, ...]:
    """The labels of all questions, in the order of the network's outputs."""
    return tuple(output for question in questions for output in question.outputs)


def truth_of(case: Case, questions: Questions) -> Truth:
    """What the table says of a case, `(outputs,)`.

    Raises InputError when two classes of one question are 1.
    """
    truth: list[float] = []
    for question in questions:
        known = [case.reference.labels.get(output) for output in question.outputs]
        if question.classes:
            count = known.count(True)
            if count > 1:
                raise InputError(
                    f"Case '{case.case_id}' has {count} answers to '{question.name}'.",
                    f"Of the labels '{question.name}:...' one may be 1: correct the table.",
                )
            truth += [float(k is True) if count else np.nan for k in known]
        else:
            truth.append(np.nan if known[0] is None else float(known[0]))
    return np.array(truth, np.float32)


def labels_of(cases: Sequence[Case]) -> tuple[list[Question], dict[str, str]]:
    """The questions that the labels of some cases can teach, and why the other labels cannot.

    A yes-or-no question needs cases of both kinds, a class a case that has it, and a question with
    classes two of these.
    """
    values: dict[str, set[bool]] = {}
    for case in cases:
        for label, value in case.reference.labels.items():
            values.setdefault(label, set()).add(value)
    groups: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    for label, seen in values.items():
        name, colon, _ = label.partition(":")
        if colon and True not in seen:
            left_out[label] = "no case has it"
        elif not colon and len(seen) < 2:
            left_out[label] = f"every case is {int(seen.pop())}"
        else:
            groups.setdefault(name, []).append(label)
    questions = []
    for name, labels in groups.items():
        classes = tuple(label.partition(":")[2] for label in labels if ":" in label)
        if classes and name in labels:
            raise InputError(
                f"The table has both a label '{name}' and labels '{name}:...'.",
                "Rename one: a question is either yes or no, or one of several classes.",
            )
        if len(classes) == 1:
            left_out[labels[0]] = "its question has no second class"
        else:
            questions.append(Question(name, classes))
    return questions, left_out


def chosen(asked: Questions, found: Questions) -> list[Question]:
    """Of the questions a system asks those the cases answer, with the classes they have.

    A question that states its classes keeps them. Raises InputError for cases that answer none, or
    with a class that the system does not know.
    """
    by_name = {question.name: question for question in found}
    kept = []
    for question in asked:
        given = by_name.get(question.name)
        if given is None:
            continue
        if bool(given.classes) != (bool(question.classes) or question.of_table):
            form = "label:NAME:CLASS" if question.of_table or question.classes else "label:NAME"
            raise InputError(
                f"The labels of '{question.name}' are not of the form that the system asks for.",
                f"Name them {form.replace('NAME', question.name)}.",
            )
        strange = sorted(set(given.classes) - set(question.classes)) if question.classes else []
        if strange:
            raise InputError(
                f"'{strange[0]}' is no answer to '{question.name}'.",
                f"Its answers are {', '.join(question.classes)}: rename the label.",
            )
        kept.append(question if question.classes else given)
    if not kept:
        names = ", ".join(f"label:{question.name}" for question in asked)
        raise InputError(
            "The training cases answer none of the system's questions.",
            f"Give the table at least one of: {names}.",
        )
    return kept


def counterpart(label: str) -> str:
    """The label of the other side: "left_hip" for "right_hip"; the label itself without a side."""

    def other(match: re.Match[str]) -> str:
        word = match[1]
        swapped = _SIDES[word.lower()]
        if word.isupper():
            return swapped.upper()
        return swapped.capitalize() if word[0].isupper() else swapped

    return _WORD.sub(other, label)


def swaps_of(outputs: Sequence[str], mirrored: Mapping[str, str]) -> dict[int, int]:
    """Which outputs change places in a mirrored film: those whose names differ in the side alone,
    and the stated pairs."""
    place = {output: k for k, output in enumerate(outputs)}
    pairs = {output: counterpart(output) for output in outputs}
    pairs |= {a: b for a, b in mirrored.items() if a in place}
    return {place[a]: place[b] for a, b in pairs.items() if b in place and a != b}


def one_sided(outputs: Iterable[str]) -> list[str]:
    """The outputs that name a side of which the other is no output: a mirror cannot answer them."""
    every = set(outputs)
    return [output for output in outputs if counterpart(output) not in every]
