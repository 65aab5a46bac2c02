"""A clinical system: a question and its recipe, in one file that reads like a method section.

A system says what it accepts, how a film is prepared, which network and recipe each preset uses,
how the network's output becomes findings, and which measures judge it. It does not know how
training, inference or storage work; they know it only through this class. Writing a subclass and
putting it in `radloop.systems` (or registering it, `registry.register`) is all a new system takes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.findings.finding import Finding
from radloop.findings.picture import Line
from radloop.images.image import Image
from radloop.images.verdict import ACCEPTED, Verdict
from radloop.measures.spec import Figure, MeasureSpec
from radloop.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Preset:
    """A named recipe: which network, with which options, trained how."""

    name: str
    summary: str
    network: str
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Interpretation:
    """What a system makes of one film.

    labels: the label map on the grid of the file, uint8 `(y, x)`, or None. lines: measured lines
    in px of the file, for the picture. values: numbers by name, for the evaluation.
    """

    verdict: Verdict = ACCEPTED
    findings: tuple[Finding, ...] = ()
    labels: npt.NDArray[np.uint8] | None = None
    lines: tuple[Line, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    caption: str = ""


class System(ABC):
    """A clinical question and its recipe.

    structures: what a label map's values 1, 2, ... mean; empty for systems without masks.
    mirrored: which structures change places in a mirrored film; every sided structure must be
    named, since a mirror that does not say what it does to sides is refused.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]]
    default_preset: ClassVar[str] = "strong"
    structures: ClassVar[tuple[str, ...]] = ()
    mirrored: ClassVar[Mapping[str, str]] = {}
    measures: ClassVar[Sequence[MeasureSpec]] = ()
    figures: ClassVar[Sequence[Figure]] = ()
    operating_point: ClassVar[Mapping[str, Any]] = {}
    """A threshold that the question itself sets, with its column and aim; stored in the report."""
    ranked_by: ClassVar[str] = ""
    """The column by which the report picks its best, median and worst cases."""

    @abstractmethod
    def prepare(self, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """The network's input for a film: uint8 `(size, size)`, before any augmentation."""

    @abstractmethod
    def target(self, case: Case, image: Image, size: int) -> Array:
        """What the network should answer: a label map uint8 `(size, size)`, or an int64 number.

        Raises InputError when the case's reference cannot be used for training.
        """

    @abstractmethod
    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        """The untrained network, from input float32 `(n, 1, y, x)` in 0..255 to logits."""

    @abstractmethod
    def deploy(self, network: nn.Module) -> nn.Module:
        """The network with the head that inference runs, whose output `interpret` reads."""

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The training loss, a scalar."""

    @abstractmethod
    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        """The validation score of each film, `(n,)`, larger is better."""

    @abstractmethod
    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Callable[[Array], Array],
    ) -> Interpretation:
        """Findings from the output for one film.

        settings: what `calibrate` measured (thresholds, interval widths, plausible shapes), as
        stored in `model.json`. look: runs the network on another prepared input; a system may take
        a second look at a film that it would otherwise refuse.
        """

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Callable[[Array], Array],
    ) -> Mapping[str, Any]:
        """The settings of a freshly trained model, measured on its cases.

        judged: case (its split is "train" or "val"), image, and the deployed network's output.
        """
        return {}

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, float]:
        """The evaluation's row for one case: what the declared measures and figures need."""
        return dict(interpretation.values)

    @property
    def swaps(self) -> dict[int, int]:
        """`mirrored` as label values."""
        value = {name: k for k, name in enumerate(self.structures, start=1)}
        return {value[a]: value[b] for a, b in self.mirrored.items()}
