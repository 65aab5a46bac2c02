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
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.findings.codes import private_code
from radloop.findings.finding import Code, Finding
from radloop.findings.picture import Line, draw_film
from radloop.images.image import Image, Reading
from radloop.images.read import read_radiograph
from radloop.images.segmentation import Segment
from radloop.images.verdict import ACCEPTED, Verdict
from radloop.measures.spec import Figure, MeasureSpec
from radloop.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from radloop.training.data import Sample, StackTransform
    from radloop.training.trainer import Trained, TrainingRun

Array = npt.NDArray[Any]
Run = Callable[..., Array]
"""`run(inputs)` or `run(inputs, stage)`: the deployed network's outputs for a batch of inputs."""
Look = Callable[..., Array]
"""`look(film)` or `look(film, stage)`: the deployed network's output for one prepared input."""
Explain = Callable[[Sequence[int]], Array]
"""Where the network looked in the case at hand, float32 `(numbers, y, x)` in 0..1 on the grid of
the input: of a scan by the numbers of its slices, of a film by those of the network's outputs."""


@dataclass(frozen=True)
class Preset:
    """A named recipe: which network, with which options, trained how."""

    name: str
    summary: str
    network: str
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class FoundBox:
    """A region on a film. corners: x0, y0, x1, y1 px of the file. found: the detector's score;
    judged: the second stage's probability of disease, None where there was no second look. score:
    what the two come to. label: what it is, where boxes are of several kinds."""

    corners: tuple[float, float, float, float]
    found: float
    judged: float | None = None
    score: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Interpretation:
    """What a system makes of one film or scan.

    labels: the label map on the grid of the file, uint8 `(y, x)`, or None. lines: measured lines
    in px of the file, for the picture. values: numbers by name, for the evaluation. slices: the
    same for each slice of a scan, in the order of the file. boxes: what was found on a film, by
    falling score, whether it became a finding or not; steps: the same after earlier steps of the
    system, by name. documents: further results by name, as JSON knows them, each a file of its own
    (which also names the case).
    """

    verdict: Verdict = ACCEPTED
    findings: tuple[Finding, ...] = ()
    labels: npt.NDArray[np.uint8] | None = None
    lines: tuple[Line, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    caption: str = ""
    slices: tuple[Mapping[str, float], ...] = ()
    boxes: tuple[FoundBox, ...] = ()
    steps: Mapping[str, tuple[FoundBox, ...]] = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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
    measures: Sequence[MeasureSpec] = ()
    figures: Sequence[Figure] = ()
    operating_point: ClassVar[Mapping[str, Any]] = {}
    """A threshold that the question itself sets, with its column and aim; stored in the report."""
    threshold_settings: Mapping[str, tuple[str, ...]] = {}
    """Column of a truth -> the keys of the setting that holds the threshold on its probability;
    what `radloop operating-point` may change."""
    ranked_by: ClassVar[str] = ""
    """The column by which the report picks its best, median and worst cases."""
    calibrated_on: ClassVar[tuple[str, ...]] = ("train", "val")
    """The splits whose cases `calibrate` is given."""
    reads_scans: ClassVar[bool] = False
    """Whether its inputs are scans (folders of slices, DICOM series, NIfTI files), not films."""
    keeps_originals: ClassVar[bool] = False
    """Whether its training looks at the films at their own resolution, too (`Sample.original`)."""
    in_patches: ClassVar[bool] = False
    """Whether its network reads a case piece by piece (`answer`), and floats instead of bytes."""
    in_parts: ClassVar[bool] = False
    """Whether `deploy` gives a network in parts (`networks.detection.detector.Parts`)."""
    settings_of_stages: ClassVar[tuple[str, ...]] = ()
    """The settings that each belong to one stage: a training of another stage alone takes them over
    from the model it starts from."""
    slice_measures: ClassVar[Sequence[MeasureSpec]] = ()
    slice_figures: ClassVar[Sequence[Figure]] = ()
    """What judges the slices of all scans, by the rows of `judge_slices`."""

    def declared(self, preset: Preset, cases: Sequence[Case]) -> Preset:
        """The preset as these training cases ask for it, where it depends on them (their
        channels, their spacing)."""
        return preset

    def configured(self, options: Mapping[str, Any]) -> System:
        """This system as a model needs it that was trained with these options of a preset."""
        return self

    def reporting(self, columns: Sequence[str]) -> System:
        """This system with the measures for the cases of a report with these columns, where they
        depend on what its model was asked."""
        return self

    def read(self, path: Path, even_out: bool = False) -> Reading:
        """The image at `path`. even_out: let an uneven series be resampled, with a warning."""
        return read_radiograph(path)

    def read_case(self, images: Mapping[str, Path], even_out: bool = False) -> Reading:
        """The image of a case from its files by channel; as here, its only one."""
        return self.read(next(iter(images.values())), even_out)

    def input_shape(self, size: int) -> tuple[int, ...]:
        """One input of the network, `(channels, y, x)` or `(channels, z, y, x)`; -1 for any z."""
        return (1, -1, size, size) if self.reads_scans else (1, size, size)

    def answer(self, prepared: Array, run: Run, *stage: str) -> Array:
        """The network's output for one prepared input; as here, in one piece."""
        output: Array = run(prepared[None, None], *stage)[0]
        return output

    @abstractmethod
    def prepare(self, image: Image, size: int) -> Array:
        """The network's input, before any augmentation: uint8 `(size, size)` for a film,
        `(z, size, size)` for a scan; for a network that reads patches, float32
        `(channels, z, y, x)`."""

    @abstractmethod
    def target(self, case: Case, image: Image, size: int) -> Array:
        """What the network should answer: a label map uint8 `(size, size)`, an int64 number,
        float32 `(outputs,)` with NaN for unknown, or for a scan float32 of any shape, or a label
        map uint8 on the grid of the input.

        Raises InputError when the case's reference cannot be used for training.
        """

    @abstractmethod
    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        """The untrained network, from input float32 in 0..255, `(n, 1, y, x)` or
        `(n, 1, z, y, x)`, to logits."""

    def trunk(self, network: nn.Module) -> nn.Module:
        """The part whose first layers `--freeze` counts."""
        return network

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
        look: Look,
    ) -> Interpretation:
        """Findings from the output for one film.

        settings: what `calibrate` measured (thresholds, interval widths, plausible shapes), as
        stored in `model.json`. look: runs the network, or a later stage of it, on another input; a
        system may take a second look at a film that it would otherwise refuse.
        """

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """The settings of a freshly trained model, measured on its cases.

        judged: case (its split is "train" or "val"), image, and the deployed network's output.
        """
        return {}

    def learn(
        self,
        network: nn.Module,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        recipe: Recipe,
        run: TrainingRun,
    ) -> Trained | None:
        """A training other than the trainer's gradient descent through the whole network, in place;
        None (as here) for the trainer's."""
        return None

    def augment(self, recipe: Recipe) -> StackTransform | None:
        """What augments a scan in training; None for films, whose augmentation is the trainer's."""
        return None

    def examine(self, recipe: Recipe) -> StackTransform | None:
        """What is validated of a scan while it trains; None (as here) for the whole."""
        return None

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Pictures of a case with its evidence, `(y, x, 3)` RGB by name; "" is the main one.

        read: `Interpretation` without labels and lines when the case was refused. explain: see
        `Explain`; it runs the network again, so only what is shown is asked for.
        """
        outlines = {}
        if read.labels is not None:
            outlines = {s: read.labels == k for k, s in enumerate(self.structures, start=1)}
        caption = read.caption or " ".join(read.verdict.messages)
        # Which side is which is known only of a film that was recognised.
        picture = draw_film(
            image.as_uint8(), outlines, read.lines, title="REFUSED" if refused else "",
            caption=caption, sides=None if refused else ("R", "L"),
        )  # fmt: skip
        return {"": picture}

    def card_notes(self, settings: Mapping[str, Any]) -> str:
        """What the card should say besides, in Markdown; of the measured settings."""
        return ""

    def judge_slices(
        self, case: Case, image: Image, interpretation: Interpretation
    ) -> list[dict[str, float]]:
        """The evaluation's rows for the slices of one scan; none for films."""
        return []

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, Any]:
        """The evaluation's row for one case: what the declared measures and figures need, numbers
        and nested lists of them."""
        return dict(interpretation.values)

    def judge_refused(self, case: Case) -> dict[str, Any]:
        """The evaluation's row for a case that was read and refused: what judges refusals."""
        return {}

    def segments(self) -> tuple[Segment, ...]:
        """`structures` as a DICOM segmentation describes them."""
        abnormal = private_code("FOUND", "Region found by software")
        return tuple(
            Segment(name, _triple(abnormal), _triple(private_code(name.upper()[:16], name)))
            for name in self.structures
        )

    @property
    def swaps(self) -> dict[int, int]:
        """`mirrored` as label values."""
        value = {name: k for k, name in enumerate(self.structures, start=1)}
        return {value[a]: value[b] for a, b in self.mirrored.items()}


def _triple(code: Code) -> tuple[str, str, str]:
    return code.value, code.scheme, code.meaning
