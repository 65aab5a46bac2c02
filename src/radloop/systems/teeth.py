"""Teeth on dental films (Chen et al. 2019, Sci Rep 9:3840).

A detector finds the teeth and numbers them by ISO 3950; three rules put the numbers right: the
filter drops doubles, a small network says where teeth are missing, and the order of an arch says
which tooth must be which (`jaw/`). A second detector finds what is on the teeth: caries, fillings
and crowns, root canal treatments, implants. All of it makes the dental chart.

A table's boxes name teeth ("16") or conditions ("filling"); masks `mask:caries` name caries. Films
are panoramic or intraoral (periapical, bitewing): which, the training films say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.findings.picture import draw_film
from radloop.images.image import Image
from radloop.images.verdict import warned
from radloop.systems.base import (
    Array,
    Explain,
    FoundBox,
    Interpretation,
    Look,
    Preset,
    System,
)
from radloop.systems.jaw.calibration import calibrate_teeth
from radloop.systems.jaw.chart import CONDITIONS, DentalChart, chart_from_json, chart_to_json
from radloop.systems.jaw.conditions import Condition
from radloop.systems.jaw.measures import FIGURES, MEASURES, judge_conditions, judge_teeth
from radloop.systems.jaw.numbering import number_teeth
from radloop.systems.jaw.numbers import NUMBERS, PERMANENT, mirrored
from radloop.systems.jaw.reading import draw_up, findings_of, threshold
from radloop.systems.jaw.reference import targets, true_conditions, true_teeth
from radloop.systems.jaw.tooth import Tooth
from radloop.systems.regions.film import with_contrast
from radloop.training.recipe import Augmentation, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from radloop.training.data import Sample
    from radloop.training.trainer import Trained, TrainingRun

_WIDE = Augmentation(
    rotation=6, shear=4, shift=0.05, zoom=1.2, stretch=1.25, elastic=0, mirror=0.5, gamma=1.8,
    bias=0.15, noise=0.03, blur=1.0, equalise=0.05, clahe=0, blocks=0.1, negatives=0,
)  # fmt: skip
_PAPER = Augmentation(
    rotation=0, shear=0, shift=0, zoom=1, stretch=1, elastic=0, mirror=0.5, gamma=1.5,
    bias=0, noise=0.03, blur=0, equalise=0, clahe=0, blocks=0, negatives=0,
)  # fmt: skip
_TEETH = Recipe(
    size=512, cache_scale=1.0, batch=4, learning_rate=1e-3, weight_decay=5e-2, epochs=60,
    ema=0.998, validate_every=10, keep="last", encoder_rate=0.3, freeze=8, augmentation=_WIDE,
)  # fmt: skip
_CONDITIONS = Recipe(
    size=768, cache_scale=1.0, batch=2, learning_rate=1e-3, weight_decay=5e-2, epochs=150,
    ema=0.99, validate_every=25, keep="last", encoder_rate=0.3, augmentation=_WIDE,
)  # fmt: skip
_TINY = Recipe(
    size=256, cache_scale=1.0, batch=4, learning_rate=5e-3, epochs=60, ema=0.9, validate_every=25,
    keep="last", bfloat16=False, augmentation=_PAPER,
)  # fmt: skip

CANDIDATE = 0.02
"""Boxes with a lower score are not even kept for the evaluation."""


class Teeth(System):
    """Which teeth does a film show, which are missing, and what is on them?"""

    name = "teeth"
    title = "Teeth"
    question = "Which teeth does this dental film show, which are missing, and what is on them?"
    presets = {
        "strong": Preset(
            "strong", "YOLOX on EfficientNet-Lite0, 512 px; teeth alone",
            "yolox:tf_efficientnet_lite0", {"detector": {"places": True}}, _TEETH,
        ),
        "chart": Preset(
            "chart", "The same, and a second detector of what is on the teeth, 768 px",
            "yolox:tf_efficientnet_lite0+yolox:tf_efficientnet_lite0",
            {"detector": {"places": True}, "side": 768}, replace(_TEETH, second=_CONDITIONS),
        ),
        "mixed": Preset(
            "mixed", "As `strong`, with the deciduous teeth (51 to 85)",
            "yolox:tf_efficientnet_lite0",
            {"detector": {"places": True}, "deciduous": True}, _TEETH,
        ),
        "paper": Preset(
            "paper",
            "Faster R-CNN on Inception-ResNet-v2, the sequence slid (Chen et al. 2019), 800 px",
            "faster_rcnn:inception_resnet_v2", {"rule": "slide"},
            Recipe(
                size=800, cache_scale=1.0, batch=2, learning_rate=2e-4, weight_decay=1e-4,
                epochs=40, ema=0.0, validate_every=2, bfloat16=False, augmentation=_PAPER,
            ),
        ),
        "tiny": Preset(
            "tiny", "Seconds on a processor: for tests and first steps, not for use",
            "yolox:mobilenetv3_small_050+yolox:mobilenetv3_small_050",
            {"detector": {"width": 24, "depth": 1, "places": True},
             "conditions": {"width": 24, "depth": 1}, "side": 256},
            replace(_TINY, second=replace(_TINY, epochs=30)),
        ),
    }  # fmt: skip
    measures = MEASURES
    figures = FIGURES
    ranked_by = "f1"
    calibrated_on = ("val",)
    keeps_originals = True
    in_parts = True
    settings_of_stages = ("found", "whole", "missing", "conditions", "thresholds", "side")

    def prepare(self, image: Image, size: int) -> npt.NDArray[np.uint8]:
        return _square(image.as_uint8(), size)

    def target(self, case: Case, image: Image, size: int) -> npt.NDArray[np.float32]:
        """Boxes in px of the square, float32 `(k, 5)`: teeth by their place in `NUMBERS`,
        conditions from `jaw.reference.FIRST_CONDITION` on."""
        return targets(case, (int(image.array.shape[0]), int(image.array.shape[1])), size)

    @property
    def swaps(self) -> dict[int, int]:
        """A mirrored film shows every tooth of the other side."""
        return {k: NUMBERS.index(mirrored(number)) for k, number in enumerate(NUMBERS)}

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        """network: `TEETH` or `TEETH+CONDITIONS`, two detectors. options: `detector`, `conditions`
        (of the two), `deciduous` (whether the first knows deciduous teeth), `side` (of the film
        that the second looks at, px), `rule` (of the sequence: "align" or "slide")."""
        from radloop.networks.charting import Charting, GapNetwork
        from radloop.networks.detection.registry import build_detector
        from radloop.systems.jaw.gaps import FEATURES, MOST

        first, _, second = network.partition("+")
        count = len(NUMBERS if options.get("deciduous") else PERMANENT)
        teeth = build_detector(first, count, options.get("detector", {}))
        conditions = (
            build_detector(second, len(CONDITIONS), options.get("conditions", {}))
            if second
            else None
        )
        gaps = GapNetwork(FEATURES, MOST)
        return Charting(teeth, gaps, conditions, int(options.get("side", 640)))

    def trunk(self, network: nn.Module) -> nn.Module:
        detector: nn.Module = network.teeth  # type: ignore[assignment]
        return detector

    def deploy(self, network: nn.Module) -> nn.Module:
        from radloop.networks.charting import Reading

        return Reading(network)  # type: ignore[arg-type]

    def loss(self, logits: Any, target: Tensor) -> Tensor:
        loss: Tensor = logits.loss(target)
        return loss

    def score(self, logits: Any, target: Tensor) -> Tensor:
        """Of each film the mean overlap of its true boxes with the best box of the same class that
        has a score of .3; of a film without any, whether none was found."""
        import torch
        from torchvision.ops import box_iou

        scores = []
        for rows, true in zip(logits.boxes(), target, strict=True):
            boxes = true[true[:, 4] >= 0].float().cpu()
            found = rows[(rows[:, 4] >= 0.3) & (rows[:, 5] >= 0)]
            found = found[found[:, 5] < logits.detector.classes]
            if not len(boxes) or not len(found):
                scores.append(torch.tensor(float(len(boxes) == len(found))))
                continue
            same = found[:, None, 5] == boxes[None, :, 4]
            scores.append((box_iou(found[:, :4], boxes[:, :4]) * same).amax(0).mean())
        return torch.stack(scores)

    def learn(
        self,
        network: nn.Module,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        recipe: Recipe,
        run: TrainingRun,
    ) -> Trained | None:
        from radloop.networks.charting import Charting
        from radloop.systems.jaw.learning import train_stages

        assert isinstance(network, Charting)
        return train_stages(
            network, train, validation, recipe, run, loss=self.loss, score=self.score,
            swaps=self.swaps, prepare=_square,
        )  # fmt: skip

    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Interpretation:
        shape = (int(image.array.shape[0]), int(image.array.shape[1]))
        candidates = _teeth(output, shape)
        sure = [t for t in candidates if t.score >= float(settings.get("found", 0.5))]
        numbered = number_teeth(sure, shape[1], look, settings.get("rule", "align"))
        conditions = self._conditions(image, settings, look)
        chart = draw_up(numbered.teeth, conditions, settings)
        boxes = {name: tuple(map(_box, teeth)) for name, teeth in numbered.steps.items()}
        boxes["candidates"] = tuple(map(_box, candidates))
        boxes["conditions"] = tuple(map(_condition_box, conditions))
        boxes["called_conditions"] = tuple(
            _condition_box(c) for c in conditions if c.score >= threshold(c.name, settings)
        )
        present = [t for t in chart.teeth.values() if t.status == "present"]
        missing = [n for n, t in chart.teeth.items() if t.status == "missing"]
        read = Interpretation(
            findings=findings_of(chart, settings),
            values={"present": float(len(present)), "missing": float(len(missing))},
            caption=_caption(chart), boxes=tuple(map(_box, numbered.teeth)), steps=boxes,
            documents={"chart": chart_to_json(chart)},
        )  # fmt: skip
        if not sure:
            message = "No tooth was found on this film: a reader should look at it."
            return replace(read, verdict=warned("no_teeth_found", message), caption=message)
        return read

    def _conditions(self, image: Image, settings: Mapping[str, Any], look: Look) -> list[Condition]:
        """What the second detector finds, of the conditions it was trained on."""
        known = settings.get("conditions", ())
        if not known:
            return []
        shape = (int(image.array.shape[0]), int(image.array.shape[1]))
        rows = look(_square(image.as_uint8(), int(settings["side"])), "conditions")
        named = [(CONDITIONS[int(r[5])], r) for r in rows if 0 <= r[5] < len(CONDITIONS)]
        return [
            Condition(name, _corners(row, shape), float(row[4]))
            for name, row in named
            if name in known and row[4] >= CANDIDATE
        ]

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """Thresholds, how often a tooth called missing is, whether films are panoramic, and the
        conditions that were there to learn; from the validation cases."""
        side = int(preset.options.get("side", 640)) if "+" in preset.network else 0
        return calibrate_teeth(
            judged,
            rule=preset.options.get("rule", "align"),
            side=side,
            teeth=lambda image, output: _teeth(output, image.array.shape[:2]),
            conditions=lambda image, settings: self._conditions(image, settings, look),
            look=look,
        )

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, Any]:
        row: dict[str, Any] = dict(interpretation.values)
        steps = dict(interpretation.steps)
        ruled = {box.corners: box.label for box in interpretation.boxes}
        candidates = [
            Tooth(box.corners, box.score, ruled.get(box.corners, box.label))
            for box in steps.pop("candidates")
        ]
        found, called = steps.pop("conditions"), steps.pop("called_conditions")
        true = true_teeth(case)
        if true is not None:
            chart = chart_from_json({**interpretation.documents["chart"], "case_id": ""})
            missing = [n for n, tooth in chart.teeth.items() if tooth.status == "missing"]
            row |= judge_teeth(true, candidates, steps, missing)
        conditions = true_conditions(case)
        if conditions is not None:
            row |= judge_conditions(conditions, found, called)
        return row

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The film with its numbers, and the chart."""
        from radloop.systems.jaw.chart_picture import draw_chart, mark_film

        if refused or "chart" not in read.documents:
            text = " ".join(read.verdict.messages)
            return {"": draw_film(image.as_uint8(), {}, title="REFUSED", caption=text, sides=None)}
        chart = chart_from_json({"case_id": "", **read.documents["chart"]})
        return {
            "": mark_film(image.as_uint8(), chart, caption=read.caption),
            "chart": draw_chart(chart),
        }


def _square(film: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The film with its contrast evened out (CLAHE), stretched to a square: panoramic films are
    twice as wide as high, and half of a letterbox would be black."""
    how = cv2.INTER_AREA if max(film.shape) > size else cv2.INTER_LINEAR
    toned = with_contrast(film, "clahe")
    return np.asarray(cv2.resize(toned, (size, size), interpolation=how), np.uint8)


def _corners(row: Array, shape: Sequence[int]) -> tuple[float, float, float, float]:
    """A box in shares of the square as px of a film of `shape` (rows, columns), within it."""
    sides = np.array([shape[1], shape[0]] * 2)
    x0, y0, x1, y1 = np.clip(np.asarray(row[:4], np.float64), 0, 1) * sides
    return float(x0), float(y0), float(x1), float(y1)


def _teeth(output: Array, shape: Sequence[int]) -> list[Tooth]:
    rows = output[(output[:, 5] >= 0) & (output[:, 5] < len(NUMBERS)) & (output[:, 4] >= CANDIDATE)]
    return [Tooth(_corners(row, shape), float(row[4]), NUMBERS[int(row[5])]) for row in rows]


def _box(tooth: Tooth) -> FoundBox:
    return FoundBox(tooth.corners, tooth.score, score=tooth.score, label=tooth.number)


def _condition_box(one: Condition) -> FoundBox:
    return FoundBox(one.corners, one.score, score=one.score, label=one.name)


def _caption(chart: DentalChart) -> str:
    """ "28 teeth; missing 18, 28; caries 36"."""
    present = sum(tooth.status == "present" for tooth in chart.teeth.values())
    parts = [f"{present} teeth"]
    missing = [n for n, tooth in chart.teeth.items() if tooth.status == "missing"]
    if missing:
        parts.append("missing " + ", ".join(missing))
    for name in CONDITIONS:
        on = [n for n, tooth in chart.teeth.items() if name in tooth.conditions]
        if on:
            parts.append(f"{name.replace('_', ' ')} {', '.join(on)}")
    if chart.extra:
        parts.append(f"{len(chart.extra)} that fit no place")
    return "; ".join(parts)
