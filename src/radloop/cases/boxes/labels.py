"""Labels of whole images, made of their boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from radloop.cases.boxes.box import FilmBoxes
from radloop.errors import InputError


@dataclass(frozen=True)
class BoxLabels:
    """Which labels to make.

    any_box: the name of one that is 1 where there is a box. by_class: name -> the classes of boxes,
    separated by `|`, of which one makes it 1. A name `QUESTION:ANSWER` is one answer of several,
    which an image without any of the question's boxes does not give.
    """

    any_box: str | None = None
    by_class: Mapping[str, str] = field(default_factory=dict)

    def of_films(
        self, films: Mapping[Path, FilmBoxes], classes: Sequence[str]
    ) -> dict[Path, tuple[dict[str, bool], bool]]:
        """Of every image its labels, and whether its boxes give two answers to one question, which
        is then left unknown. Raises InputError for a class that no box can have."""
        rules = {name: {c.strip() for c in text.split("|")} for name, text in self.by_class.items()}
        for wanted in rules.values():
            for one in sorted(wanted - set(classes)):
                raise InputError(
                    f"No box is of the class '{one}'.", f"There are: {', '.join(classes)}."
                )
        return {image: self._of_film(film, rules) for image, film in films.items()}

    def _of_film(
        self, film: FilmBoxes, rules: Mapping[str, set[str]]
    ) -> tuple[dict[str, bool], bool]:
        has = {box.label for box in film.boxes}
        found = {name: bool(wanted & has) for name, wanted in rules.items()}
        answers: dict[str, int] = {}
        for name, yes in found.items():
            question, colon, _ = name.partition(":")
            if colon:
                answers[question] = answers.get(question, 0) + yes
        known = {n: v for n, v in found.items() if answers.get(n.partition(":")[0], 1) == 1}
        if self.any_box:
            known = {self.any_box: bool(has), **known}
        return known, max(answers.values(), default=0) > 1
