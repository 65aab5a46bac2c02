"""`FilmSystem`: one network answers one or several questions about a whole film.

A question is answered with yes or no, or with one of several classes; all share the network, each
has its head. Cases need not answer every question: what the table does not say weighs nothing in
the loss, in the calibration and in the measures. `questions.py` says how a table states answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.findings.codes import code_or_private
from radloop.findings.finding import Finding
from radloop.images.image import Image
from radloop.images.verdict import ACCEPTED, Verdict, noted
from radloop.systems.base import Array, Explain, Interpretation, Look, Preset, System
from radloop.systems.films.calibration import fit_settings, probabilities, threshold_of
from radloop.systems.films.losses import cross_entropies, mean_of_films, mean_of_known
from radloop.systems.films.measures import figures_of, measures_of, questions_in
from radloop.systems.films.picture import draw_answers
from radloop.systems.films.questions import (
    Question,
    Questions,
    Truth,
    chosen,
    labels_of,
    one_sided,
    outputs_of,
    places_of,
    swaps_of,
    truth_of,
)
from radloop.systems.regions.film import Contrast, letterbox, with_contrast

if TYPE_CHECKING:
    from torch import Tensor, nn

_OWN = ("questions", "not_asked", "contrast", "size")
"""Options that are the system's, not the network's."""


class FilmSystem(System):
    """Questions about a whole film.

    asked: the questions; empty for all that the labels of the training cases can teach. One with
    `of_table` has the classes that these cases have. contrast: of every film, unless a preset's
    option `contrast` says otherwise. mirrored: labels that change places in a mirrored film, beside
    those whose names differ in the side alone ("laterality:left", "laterality:right").
    """

    asked: ClassVar[Questions] = ()
    contrast: ClassVar[Contrast] = "none"
    calibrated_on = ("val",)
    ranked_by = "certainty"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options: Mapping[str, Any] = options or {}
        stated = self.options.get("questions", {})
        self.questions: Questions = [Question(name, tuple(c)) for name, c in stated.items()]
        self.measures = measures_of(self.questions)
        self.figures = figures_of(self.questions)
        self.threshold_settings = {
            f"{question.name}_truth": ("questions", question.name, "threshold")
            for question in self.questions
            if not question.classes
        }

    # --- what depends on the model ------------------------------------------------------------

    def declared(self, preset: Preset, cases: Sequence[Case]) -> Preset:
        """The preset with the questions that these cases answer.

        Raises InputError where they answer none, and where the preset mirrors films although a
        question names a side of which the other is not asked.
        """
        found, left_out = labels_of(cases)
        if not self.asked and not found:
            raise InputError(
                "The training cases have no label that can be learned.",
                "Each needs cases with and without it; import some with `radloop import table`.",
            )
        questions = chosen(self.asked, found) if self.asked else found
        outputs = outputs_of(questions)
        lost = [one for one in one_sided(outputs) if one not in self.mirrored]
        if preset.recipe.augmentation.mirror and lost:
            raise InputError(
                f"'{lost[0]}' names a side, and nothing is asked about the other:"
                f" preset '{preset.name}' mirrors films, in which it would be wrong.",
                "Label both sides, or choose a preset that does not mirror.",
            )
        own = {k: v for k, v in self.presets[preset.name].options.items() if k in _OWN}
        options = {
            **own,
            **preset.options,
            "size": preset.recipe.size,
            "questions": {question.name: list(question.classes) for question in questions},
        }
        if not self.asked and left_out:
            options["not_asked"] = left_out
        return replace(preset, options=options)

    def configured(self, options: Mapping[str, Any]) -> System:
        return type(self)(options)

    def reporting(self, columns: Sequence[str]) -> System:
        asked = {question.name: list(question.classes) for question in questions_in(columns)}
        return type(self)({**self.options, "questions": asked})

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels that the network's outputs answer, in their order."""
        return outputs_of(self.questions)

    @property
    def swaps(self) -> dict[int, int]:
        return swaps_of(self.outputs, self.mirrored)

    # --- what the network sees, and what it should answer -------------------------------------

    def prepare(self, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """The film as shown, its proportions kept, in the middle of a black square."""
        contrast = self.options.get("contrast", self.contrast)
        return letterbox(with_contrast(image.as_uint8(), contrast), size)

    def target(self, case: Case, image: Image, size: int) -> Truth:
        """The known answers, float32 `(outputs,)`: 1, 0, or NaN where the table does not say."""
        truth = truth_of(case, self.questions)
        if np.isnan(truth).all():
            names = ", ".join(question.name for question in self.questions)
            raise InputError(
                f"Of case '{case.case_id}' no answer is known ({names}).",
                "Label it, or leave it out.",
            )
        return truth

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        from radloop.networks.classification import build_film_classifier

        own = {name: value for name, value in options.items() if name not in _OWN}
        count = sum(max(1, len(classes)) for classes in options["questions"].values())
        return build_film_classifier(network, count, int(options["size"]), own)

    def deploy(self, network: nn.Module) -> nn.Module:
        """The network as it is: calibration needs the logits."""
        return network

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return mean_of_known(cross_entropies(logits, target, self.questions))

    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        """Minus the mean cross-entropy of each film's known answers."""
        return -mean_of_films(cross_entropies(logits, target, self.questions))

    # --- from logits to findings --------------------------------------------------------------

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """Scaling, temperature and threshold of every question, on cases held out of training."""
        if not judged:
            return {}
        truth = np.stack([truth_of(c, self.questions) for c, _, _ in judged]).astype(np.float64)
        logits = np.stack([np.asarray(output, np.float64) for _, _, output in judged])
        return {"questions": fit_settings(logits, truth, self.questions)}

    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Interpretation:
        measured = settings.get("questions", {})
        findings, values, says = [], {}, []
        for question, place in places(self.questions):
            stated = probabilities(output[place], question, measured)
            if question.classes:
                best = int(stated.argmax())
                answer = question.classes[best]
                findings.append(_class_finding(question, answer, float(stated[best])))
                values[f"{question.name}_called"] = float(best)
                says.append(f"{question.words}: {answer} {stated[best]:.2f}")
            else:
                finding = _finding(question, float(stated[0]), threshold_of(question, measured))
                findings.append(finding)
                values[f"{question.name}_logit"] = float(output[place][0])
                values[f"{question.name}_called"] = float(finding.positive)
                says.append(f"{question.words} {_says(finding)}")
            values |= _stated(question, stated)
        return Interpretation(
            self.verdict(measured), tuple(findings), values=values, caption="; ".join(says)
        )

    def verdict(self, measured: Mapping[str, Any]) -> Verdict:
        """What a reader of all answers should know."""
        if not measured:
            return noted("The model was never calibrated: thresholds are 0.5.")
        return ACCEPTED

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, Any]:
        """Probabilities, calls and truths of every question, and `certainty`: the mean probability
        of what is true, over the questions whose answer is known."""
        row: dict[str, Any] = dict(interpretation.values)
        truth, certain = truth_of(case, self.questions), []
        for question, place in places(self.questions):
            known = truth[place]
            if np.isnan(known).any():
                continue
            if question.classes:
                number = int(known.argmax())
                row[f"{question.name}_truth"] = float(number)
                certain.append(row[f"{question.outputs[number]}_probability"])
            else:
                row[f"{question.name}_truth"] = float(known[0])
                stated = row[f"{question.name}_probability"]
                certain.append(stated if known[0] else 1 - stated)
        if certain:
            row["certainty"] = float(np.mean(certain))
        return row

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The film with its answers, and where the network looked for each that it gave: a "no" has
        no place."""
        shown = []
        for question, place in places(self.questions):
            called = int(read.values[f"{question.name}_called"])
            if not question.classes and not called:
                continue
            at = place.start + (called if question.classes else 0)
            label = self.outputs[at]
            words = label.replace("_", " ").replace(":", ": ")
            shown.append((at, f"{words} {read.values[f'{label}_probability']:.2f}"))
        return draw_answers(image.as_uint8(), read, refused, shown, explain)

    def card_notes(self, settings: Mapping[str, Any]) -> str:
        """What was asked, on how many cases it was calibrated, and what could not be learned."""
        lines = ["## Questions", ""]
        for question in self.questions:
            answers = ", ".join(question.classes) if question.classes else "yes or no"
            measured = settings.get("questions", {}).get(question.name, {})
            text = f"- {question.words}: {answers}; calibrated on {measured.get('cases', 0)} cases"
            if "threshold" in measured:
                text += f", yes from {measured['threshold']:.3f} (greatest Youden index)"
            lines.append(text)
        lines += [
            f"- not asked: {label} ({why})"
            for label, why in self.options.get("not_asked", {}).items()
        ]
        return "\n".join(lines) + "\n"


def places(questions: Questions) -> list[tuple[Question, slice]]:
    """Every question with the places of its outputs."""
    return list(zip(questions, places_of(questions).values(), strict=True))


def _finding(question: Question, probability: float, threshold: float) -> Finding:
    stated = round(probability, 4)
    named = code_or_private(question.name)
    return Finding(question.name, named, stated, probability >= threshold, threshold)


def _class_finding(question: Question, answer: str, probability: float) -> Finding:
    """The likeliest class. It is called whatever its probability, so that no threshold applies."""
    named = code_or_private(f"{question.name}:{answer}")
    return Finding(question.name, named, round(probability, 4), True, 0.0, {"class": answer})


def _says(finding: Finding) -> str:
    word = "likely" if finding.positive else "not seen"
    return f"{word}: {finding.probability:.2f} (called from {finding.threshold:.2f})"


def _stated(question: Question, probability: npt.NDArray[np.float64]) -> dict[str, float]:
    pairs = zip(question.outputs, probability, strict=True)
    return {f"{output}_probability": float(p) for output, p in pairs}
