"""`RegionSystem`: a detector finds regions, a classifier judges what is cut out of them.

Where the boxes of a table are the lesions themselves, the detector's word can be final (one stage),
or the classifier judges its candidates anew (two stages). Where they are anatomical regions, the
classifier decides, and a region that nobody found is a finding of its own, never a silent negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from radloop.cases.boxes.coco import case_boxes
from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.findings.codes import code
from radloop.findings.finding import Finding
from radloop.findings.picture import Rectangle, draw_film
from radloop.images.image import Image
from radloop.images.verdict import ACCEPTED, warned
from radloop.measures.detection import best_overlap, match_film
from radloop.measures.spec import Figure
from radloop.systems.base import Array, Explain, FoundBox, Interpretation, Look, Preset, System
from radloop.systems.regions.decision import fit_decision, logit, probability
from radloop.systems.regions.film import (
    Contrast,
    Cutting,
    Film,
    cut,
    letterbox,
    to_film,
    to_square,
    with_contrast,
    within,
)
from radloop.systems.regions.measures import DECISION, FIGURES, REGIONS
from radloop.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from radloop.training.data import Sample
    from radloop.training.trainer import Trained, TrainingRun

LISTED = 10
"""Regions a film that become findings, at most."""


class RegionSystem(System):
    """A question that is answered by looking at regions of a film.

    disease: the finding, and the name of the table's label. region: what the boxes of a table
    enclose; the same as `disease` where they enclose the lesions themselves. kinds: the kinds of
    regions that the detector tells apart, those of two sides exchanged by `swaps`. answers: what
    the second stage says of a region. contrast: of the film, before both stages. margin: around a
    region when it is cut out, as a share of its longer side. certain: the score from which a found
    box counts as the region.
    """

    disease: ClassVar[str]
    region: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = ("region",)
    answers: ClassVar[tuple[str, ...]] = ("disease",)
    contrast: ClassVar[Contrast] = "none"
    margin: ClassVar[float] = 0.25
    certain: ClassVar[float] = 0.5
    measures = (*DECISION, *REGIONS)
    figures: Sequence[Figure] = FIGURES
    threshold_settings = {"positive": ("threshold",)}
    ranked_by = "certainty"
    calibrated_on: ClassVar[tuple[str, ...]] = ("val",)
    keeps_originals = True
    in_parts = True

    @property
    def encloses_lesions(self) -> bool:
        """Whether the boxes are the lesions, so that a film without any has none."""
        return self.region == self.disease

    def diseased(self, label: str) -> bool | None:
        """What the class of a box says of what it encloses; None when it says nothing."""
        return True if self.encloses_lesions else None

    def prepare(self, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """The film as shown, its proportions kept, in the middle of a black square."""
        return letterbox(with_contrast(image.as_uint8(), self.contrast), size)

    def target(self, case: Case, image: Image, size: int) -> npt.NDArray[np.float32]:
        """Boxes in px of the square, float32 `(k, 5)`; the last column is a region's number: 1 for
        a diseased region, 0 for a healthy one, 2 where that is not known. (In general it is
        `kind + len(kinds) * crops.state_of(answers)`.)"""
        boxes = case_boxes(case)
        if boxes is None:
            raise InputError(
                f"Case '{case.case_id}' has no boxes.",
                "Import them with `radloop import voc`, `yolo` or `coco`, or leave the case out.",
            )
        shape = (int(image.array.shape[0]), int(image.array.shape[1]))
        corners = to_square([box.corners for box in boxes], shape, size)
        rows = []
        for box, place in zip(boxes, corners, strict=True):
            sick = self.diseased(box.label)
            if sick is None:
                sick = case.reference.labels.get(self.disease)
            rows.append([*place, 2.0 if sick is None else float(sick)])
        return np.array(rows, np.float32).reshape(-1, 5)

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        """network: `DETECTOR` or `DETECTOR+CLASSIFIER`. options: `detector`, `classifier` (of the
        two), `crop` (side of the second stage's input, px)."""
        from radloop.networks.classification import build_classifier
        from radloop.networks.detection.registry import build_detector
        from radloop.networks.two_stage import TwoStage

        first, _, second = network.partition("+")
        detector = build_detector(first, len(self.kinds), options.get("detector", {}))
        judge = None
        if second:
            judge = build_classifier(second, len(self.answers), options.get("classifier", {}))
        return TwoStage(detector, judge, int(options.get("crop", 128)))

    def trunk(self, network: nn.Module) -> nn.Module:
        detector: nn.Module = network.detector  # type: ignore[assignment]
        return detector

    def deploy(self, network: nn.Module) -> nn.Module:
        from radloop.networks.two_stage import Reading

        return Reading(network)  # type: ignore[arg-type]

    def loss(self, logits: Any, target: Tensor) -> Tensor:
        """The detector's, which knows kinds alone, not what is in a region."""
        loss: Tensor = logits.loss(self._of_kinds(target))
        return loss

    def _of_kinds(self, target: Tensor) -> Tensor:
        """The target with kinds in place of regions' numbers."""
        kinds = target.clone()
        real = kinds[..., 4] >= 0
        kinds[..., 4] = (kinds[..., 4] % len(self.kinds)).where(real, kinds[..., 4])
        return kinds

    def score(self, logits: Any, target: Tensor) -> Tensor:
        """Of each film the mean overlap of its true boxes with the best-scoring boxes, as many as
        there are, of their kind; where there is none, 1 - the highest score."""
        import torch
        from torchvision.ops import box_iou

        scores = []
        for rows, true in zip(logits.boxes(), self._of_kinds(target), strict=True):
            found = rows[(rows[:, 5] >= 0) & (rows[:, 5] < len(self.kinds))]
            boxes = true[true[:, 4] >= 0].float().cpu()
            if not len(boxes):
                scores.append(1 - found[:1, 4].sum())
            elif not len(found):
                scores.append(torch.zeros(()))
            else:
                found = found[: len(boxes)]
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
        from radloop.networks.two_stage import TwoStage
        from radloop.systems.regions.crops import train_both

        assert isinstance(network, TwoStage)
        if network.classifier is None:
            return None
        return train_both(
            network, train, validation, recipe, run, loss=self.loss, score=self.score,
            swaps=self.swaps, cutting=self.cutting(), answers=len(self.answers),
        )  # fmt: skip

    def cutting(self) -> Cutting:
        """How regions are cut out for the second stage."""
        return Cutting(
            lambda film: with_contrast(film, self.contrast), self.face, len(self.kinds),
            self.margin, 0 if self.encloses_lesions else None,
        )  # fmt: skip

    def face(self, crop: Film, kind: int) -> Film:
        """A crop as the second stage sees it; here as it is, elsewhere one side as the other."""
        return crop

    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Interpretation:
        evidence, boxes = self.evidence(image, output, settings, look)
        if not self.encloses_lesions and (not boxes or boxes[0].found < self.certain):
            return self._not_found(boxes)
        p = probability(evidence, settings)
        threshold = float(settings.get("threshold", 0.5))
        positive = p >= threshold
        overall = Finding(self.disease, code(self.disease), round(p, 4), positive, threshold)
        listed = [box for box in boxes if self._likely(box) >= min(threshold, 0.5)]
        regions = tuple(
            Finding(
                self.disease, code(self.disease), round(self._likely(box), 4), True,
                round(threshold, 4),
                {"box": [round(v, 1) for v in box.corners]},
            )
            for box in (listed or boxes[:1])[: LISTED * positive]
        )  # fmt: skip
        says = "likely" if positive else "not seen"
        words = self.disease.replace("_", " ")
        return Interpretation(
            ACCEPTED, (overall, *regions), values=self._values(p, positive),
            caption=f"{words} {says}: {p:.2f} (called from {threshold:.2f})", boxes=tuple(boxes),
        )  # fmt: skip

    def evidence(
        self, image: Image, output: Array, settings: Mapping[str, Any], look: Look
    ) -> tuple[dict[str, float], list[FoundBox]]:
        """What both stages say of a film, and its regions in px of the file, by falling score."""
        shape = (int(image.array.shape[0]), int(image.array.shape[1]))
        rows = output[(output[:, 5] == 0) & (output[:, 4] > 0)]
        whole = output[output[:, 5] == 1]
        evidence = {"region": logit(float(rows[0, 4]) if len(rows) else 0.0)}
        if len(whole):
            evidence["film"] = logit(float(whole[0, 4]))
        side = settings.get("crop")
        film = with_contrast(image.as_uint8(), self.contrast) if side else None
        boxes = []
        for rank, (row, place) in enumerate(zip(rows, to_film(rows[:, :4], shape, 1), strict=True)):
            corners = within(place, shape)
            found, judged = float(row[4]), None
            if film is not None and rank < int(settings.get("judged", 3)):
                piece = cut(film, corners, self.margin, int(side))  # type: ignore[arg-type]
                judged = float(1 / (1 + np.exp(-float(look(piece, "regions")[0]))))
            boxes.append(FoundBox(corners, found, judged))
        if film is not None:
            evidence["judgement"] = logit(max((b.judged or 0.0 for b in boxes), default=0.0))
            if not self.encloses_lesions:  # the region's own score says nothing of the disease
                evidence = {"judgement": evidence["judgement"]}
        scored = [replace(box, score=self._score(box, evidence)) for box in boxes]
        return evidence, sorted(scored, key=lambda box: -box.score)

    def _score(self, box: FoundBox, evidence: Mapping[str, float]) -> float:
        """The detector's word; of a lesion that a second stage judges, the geometric mean of both
        (where it did not look, as if it had said half of the detector's)."""
        if not self.encloses_lesions or "judgement" not in evidence:
            return box.found
        judged = box.found / 2 if box.judged is None else box.judged
        return math.sqrt(box.found * judged)

    def _likely(self, box: FoundBox) -> float:
        """How likely it is that what a box encloses is diseased."""
        return box.score if self.encloses_lesions else box.judged or 0.0

    def _not_found(self, boxes: Sequence[FoundBox]) -> Interpretation:
        name = f"{self.region}_not_found"
        best = boxes[0].found if boxes else 0.0
        words = self.region.replace("_", " ")
        finding = Finding(name, code(name), round(1 - best, 4), True, 1 - self.certain)
        message = f"No {words} was found on this film: a reader should look at it."
        return Interpretation(
            warned("region_not_found", message), (finding,), values={"region_found": 0.0},
            caption=message, boxes=tuple(boxes),
        )  # fmt: skip

    def _values(self, p: float, positive: bool) -> dict[str, float]:
        return {"probability": p, "called": float(positive), "region_found": 1.0}

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """The weights of the evidence and the threshold, from the validation cases."""
        settings: dict[str, Any] = {}
        if "+" in preset.network:
            settings = {"crop": int(preset.options.get("crop", 128)), "judged": 3}
        evidence, truth = [], []
        for case, image, output in judged:
            known = self.positive(case)
            said, boxes = self.evidence(image, output, settings, look)
            if known is not None and (self.encloses_lesions or boxes):
                evidence.append(said)
                truth.append(known)
        fitted = fit_decision(evidence, truth)
        return {**settings, **fitted, "calibration_cases": len(truth)}

    def positive(self, case: Case) -> bool | None:
        """Whether a film is positive: by its label, or by the classes of its boxes."""
        if self.disease in case.reference.labels:
            return case.reference.labels[self.disease]
        boxes = case_boxes(case)
        if boxes is None:
            return None
        said = [self.diseased(box.label) for box in boxes]
        if any(said):
            return True
        return False if self.encloses_lesions or (said and None not in said) else None

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, Any]:
        row: dict[str, Any] = dict(interpretation.values)
        known = self.positive(case)
        if known is not None:
            row["positive"] = float(known)
            if "probability" in row:
                row["certainty"] = row["probability"] if known else 1 - row["probability"]
        boxes = case_boxes(case)
        if boxes is not None:
            found = [[*b.corners, b.score, 0.0] for b in interpretation.boxes]
            true = [[*b.corners, 0.0] for b in boxes]
            matched, truth = match_film(found, true)
            row |= {"found": matched.tolist(), "truth": truth.tolist()}
            row["best_overlap"] = best_overlap(found, true)
        return row

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The film with the regions that became findings, or the best one, faint."""
        shown = [f.where["box"] for f in read.findings if f.where.get("box")]
        rectangles = [Rectangle(tuple(box), self._score_of(box, read)) for box in shown]
        if not rectangles and read.boxes:
            best = read.boxes[0]
            rectangles = [Rectangle(best.corners, f"{best.score:.2f}", faint=True)]
        caption = read.caption or " ".join(read.verdict.messages)
        picture = draw_film(
            image.as_uint8(), {}, (), title="REFUSED" if refused else "", caption=caption,
            sides=None, rectangles=rectangles,
        )  # fmt: skip
        return {"": picture}

    def _score_of(self, box: Sequence[float], read: Interpretation) -> str:
        found = next(f for f in read.findings if f.where.get("box") == box)
        return f"{found.probability:.2f}"
