"""Cardiomegaly on frontal chest films, by the cardiothoracic ratio (Que et al. 2018, CardioXNet).

A network segments the heart and both lungs; the masks are cleaned; the widest extent of the heart
over the widest extent of the lungs is the cardiothoracic ratio (CTR); above .5 the heart is called
enlarged. The ratio comes with an interval, and a film on which it would mean nothing is refused.

The parts: `chest/masks.py` cleans, `chest/ratio.py` measures, `chest/gate.py` refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.findings.codes import code
from radloop.findings.finding import Finding, Measurement
from radloop.findings.picture import Line
from radloop.images.image import Image
from radloop.images.masks import read_mask
from radloop.images.verdict import Verdict, refused, warned
from radloop.measures.agreement import (
    bias,
    coefficient_of_variation,
    conformal_quantile,
    coverage,
    mean_absolute_error,
)
from radloop.measures.classification import at_threshold, auc, sensitivity, specificity, youden
from radloop.measures.overlap import dice, jaccard, precision, recall
from radloop.measures.spec import Agreement, Distribution, MeasureSpec, Reliability, Roc
from radloop.measures.surface import surface_distances
from radloop.systems.base import Array, Interpretation, Look, Preset, System
from radloop.systems.chest import gate
from radloop.systems.chest.masks import clean, enlarge, prepare_film
from radloop.systems.chest.ratio import Ratio, ensemble_ratio, measure, probability_above
from radloop.training.recipe import Augmentation, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

THRESHOLD = 0.5
"""CTR above which the heart is called enlarged (Danzer 1919; the spec's normal range is .39-.5)."""
COVERAGE = 0.9
"""The CTR interval is made to cover the reader's value in this share of validation films."""

STRUCTURES = ("heart", "left_lung", "right_lung")

_WIDE_AUGMENTATION = Augmentation(rotation=12, shear=6, zoom=1.25, stretch=1.2, elastic=0.016)
_PAPER_AUGMENTATION = Augmentation(
    rotation=5, shear=3, shift=0.05, zoom=1.1, stretch=1.0, elastic=0.01, gamma=1.0, bias=0.0,
    noise=0.0, blur=0.0, equalise=0.0, blocks=0.0, negatives=0.0,
)  # fmt: skip


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(np.mean(values))


def _segmentation_measures() -> list[MeasureSpec]:
    specs = []
    for structure in ("heart", "lungs", "left_lung", "right_lung"):
        shown = structure.replace("_", " ")
        for column, unit, better in (
            ("dice", "", "higher"),
            ("jaccard", "", "higher"),
            ("precision", "", "higher"),
            ("recall", "", "higher"),
            ("hd95", "px", "lower"),
            ("surface_distance", "px", "lower"),
        ):
            name = f"{structure}_{column}"
            title = f"{shown} {column.replace('_', ' ')}".capitalize()
            specs.append(MeasureSpec(name, (name,), _mean, title, unit, better))  # type: ignore[arg-type]
    return specs


class Cardiomegaly(System):
    """Is the heart enlarged, and how wide is it against the chest?"""

    name = "cardiomegaly"
    title = "Cardiomegaly"
    question = "Is the heart enlarged on this frontal chest film (cardiothoracic ratio above .5)?"
    structures = STRUCTURES
    mirrored = {"left_lung": "right_lung", "right_lung": "left_lung"}
    presets = {
        "strong": Preset(
            "strong",
            "Lean U-Net, 256 px, wide exposure and geometry augmentation, moving average",
            "lean_unet",
            {
                "widths": (16, 32, 64, 128, 192),
                "blocks": (1, 1, 2, 2, 2),
                "dropout": 0.15,
                "local_contrast": True,
            },
            Recipe(weight_decay=5e-2, validate_every=10, augmentation=_WIDE_AUGMENTATION),
        ),
        "fcdensenet": Preset(
            "fcdensenet",
            "FC-DenseNet56, 128 px, trained like `strong`",
            "fc_densenet56",
            {"local_contrast": True},
            recipe=Recipe(
                size=128,
                batch=6,
                learning_rate=1.5e-3,
                weight_decay=1e-3,
                ema=0.99,
                augmentation=_WIDE_AUGMENTATION,
            ),
        ),
        "paper": Preset(
            "paper",
            "U-Net of the paper, 256 px, slight geometry augmentation and elastic deformation",
            "unet",
            recipe=Recipe(ema=0.0, learning_rate=1e-3, augmentation=_PAPER_AUGMENTATION),
        ),
        "paper-fcdensenet": Preset(
            "paper-fcdensenet",
            "FC-DenseNet103 as in the paper, 256 px, batch 4",
            "fc_densenet103",
            recipe=Recipe(batch=4, ema=0.0, learning_rate=1e-3, augmentation=_PAPER_AUGMENTATION),
        ),
        "smp": Preset(
            "smp",
            "U-Net++ on an EfficientNet-B0 encoder (segmentation-models-pytorch), 256 px",
            "smp:unetplusplus:efficientnet-b0",
            recipe=Recipe(learning_rate=1e-3),
        ),
        "tiny": Preset(
            "tiny",
            "Seconds on a processor: for tests and first steps, not for use",
            "lean_unet",
            {"widths": (8, 16, 24, 32), "blocks": (0, 1, 1, 1), "stem": 2, "dropout": 0.0},
            recipe=Recipe(
                size=64,
                batch=4,
                epochs=20,
                ema=0.9,
                validate_every=1,
                bfloat16=False,
                learning_rate=5e-3,
                augmentation=_PAPER_AUGMENTATION,
            ),
        ),
    }
    measures = (
        *_segmentation_measures(),
        MeasureSpec("ctr_mae", ("ctr", "ctr_reference"), mean_absolute_error,
                    "CTR mean absolute error", "", "lower"),
        MeasureSpec("ctr_bias", ("ctr", "ctr_reference"), bias, "CTR bias", "", "neither"),
        MeasureSpec("ctr_cv", ("ctr", "ctr_reference"), coefficient_of_variation,
                    "CTR coefficient of variation", "", "lower"),
        MeasureSpec("ctr_coverage", ("ctr_reference", "ctr_low", "ctr_high"), coverage,
                    "CTR interval covers the reference", "", "neither"),
        MeasureSpec("auc", ("ctr", "enlarged"), auc, "AUC for CTR > .5"),
        MeasureSpec("sensitivity", ("ctr", "enlarged"), at_threshold(sensitivity, THRESHOLD),
                    "Sensitivity"),
        MeasureSpec("specificity", ("ctr", "enlarged"), at_threshold(specificity, THRESHOLD),
                    "Specificity"),
        MeasureSpec("youden", ("ctr", "enlarged"), at_threshold(youden, THRESHOLD),
                    "Youden index"),
        MeasureSpec("label_auc", ("ctr", "label"), auc, "AUC for the label 'cardiomegaly'"),
    )  # fmt: skip
    figures = (
        Distribution("Dice by structure", ("heart_dice", "left_lung_dice", "right_lung_dice")),
        Agreement("Cardiothoracic ratio", "ctr", "ctr_reference"),
        Roc("CTR above .5", "ctr", "enlarged", THRESHOLD),
        Reliability("CTR above .5: calibration", "probability", "enlarged"),
    )
    operating_point = {"column": "ctr", "threshold": THRESHOLD, "aim": "the definition of CTR > .5"}
    ranked_by = "heart_dice"

    def prepare(self, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """The film as shown, squeezed to a square: both diameters are horizontal, so the ratio
        survives a change of aspect."""
        return prepare_film(image, size)

    def target(self, case: Case, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """Label map, 0 background; where heart and lung masks overlap the heart wins."""
        missing = [s for s in STRUCTURES if s not in case.reference.masks]
        if missing:
            raise InputError(
                f"Case '{case.case_id}' has no mask of {', '.join(missing)}.",
                "Import it with `--mask NAME=DIR`, or leave it out of the table.",
            )
        import cv2

        masks = self._reference_masks(case, image)
        labels = np.zeros(image.array.shape, np.uint8)
        for value, structure in ((2, "left_lung"), (3, "right_lung"), (1, "heart")):
            labels[masks[structure]] = value
        return np.asarray(cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT))

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        from radloop.networks.registry import Standardised, build_segmentation

        own = dict(options)
        local_contrast = bool(own.pop("local_contrast", False))
        channels = 2 if local_contrast else 1
        inner = build_segmentation(network, channels, 1 + len(STRUCTURES), own)
        return Standardised(inner, local_contrast)

    def deploy(self, network: nn.Module) -> nn.Module:
        from radloop.networks.registry import ProbabilityMaps

        return ProbabilityMaps(network)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        from radloop.training.losses import cross_entropy_dice

        return cross_entropy_dice(logits, target)

    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        from radloop.training.losses import dice_score

        return dice_score(logits, target)

    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Interpretation:
        members = int(settings.get("members", 1))
        if members > 1:
            film = self.prepare(image, output.shape[-1])
            output, ratio, spread = ensemble_ratio(film, output, members, look)
            width = float(settings.get("ensemble_interval", 0.0)) * (spread + gate.FLOOR)
            cleaned = clean(output)
        else:
            cleaned = clean(output)
            ratio = measure(cleaned)
            width = float(settings.get("interval", 0.0)) * (ratio.blur + gate.FLOOR)
        verdict = self._verdict(image, cleaned, ratio, settings, look)
        if verdict.refused:
            return Interpretation(verdict, labels=None, values=_values(ratio, width))
        # Rounded once, so that the finding, the sentence and the picture say the same.
        ctr, low, high = (round(v, 3) for v in (ratio.ctr, ratio.ctr - width, ratio.ctr + width))
        if low <= THRESHOLD <= high:
            verdict = verdict.merge(
                warned(
                    "grey_zone",
                    f"The cardiothoracic ratio {ctr:.3f} ({low:.3f} to {high:.3f}) cannot be told"
                    f" from {THRESHOLD:g}: a reader should measure it.",
                )
            )
        probability = probability_above(ratio.ctr, width, THRESHOLD, COVERAGE)
        findings = (
            Finding(
                "cardiomegaly",
                code("cardiomegaly"),
                round(probability, 4),
                ctr > THRESHOLD,
                THRESHOLD,
                {"mask": "heart"},
                Measurement("cardiothoracic_ratio", ctr, "1", low, high),
            ),
        )
        caption = f"CTR {ctr:.3f} ({low:.3f} to {high:.3f}), one row {ratio.ctr_row:.3f}"
        return Interpretation(
            verdict,
            findings,
            enlarge(cleaned, image.array.shape),
            _lines(ratio, image.array.shape, output.shape[-1]),
            _values(ratio, width),
            caption,
        )

    def _verdict(
        self,
        image: Image,
        cleaned: Array,
        ratio: Ratio,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Verdict:
        view = str(image.acquisition.get("view", "")).upper()
        if view in gate.LATERAL_VIEWS:
            return refused(
                "lateral",
                f"The file says that the film is a lateral one ({view}): the ratio is measured on a"
                " frontal film. Send the PA film.",
            )
        verdict = gate.examine(cleaned, ratio, settings)
        if verdict.code in gate.MAY_BE_TURNED:
            film = self.prepare(image, cleaned.shape[-1])
            for turns, name in ((1, "clockwise"), (3, "counter-clockwise"), (2, "upside down")):
                turned = clean(look(np.ascontiguousarray(np.rot90(film, turns))))
                if not gate.examine(turned, measure(turned), settings).refused:
                    how = name if turns == 2 else f"turned by 90 degrees {name}"
                    return refused(
                        "rotated", f"The film seems to be {how}. Turn it upright and send it again."
                    )
        if view == "AP" and not verdict.refused:
            verdict = verdict.merge(
                warned("ap_view", "AP film: the heart is magnified, the ratio overestimates.")
            )
        return verdict

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """Interval widths by split-conformal prediction, plausible shapes by their spread.

        The intervals come from the validation cases alone; the shapes from all.
        """
        shapes, errors, blurs, ensemble_errors, spreads = [], [], [], [], []
        for case, image, output in judged:
            cleaned = clean(output)
            ratio = measure(cleaned)
            shape = gate.shape_features(cleaned, ratio)
            if shape is not None:
                shapes.append(shape)
            reference = self._reference_ratio(case, image)
            if case.split != "val" or np.isnan(ratio.ctr) or np.isnan(reference):
                continue
            film = self.prepare(image, output.shape[-1])
            _, shifted, spread = ensemble_ratio(film, output, 5, look)
            errors.append(abs(ratio.ctr - reference))
            blurs.append(ratio.blur + gate.FLOOR)
            ensemble_errors.append(abs(shifted.ctr - reference))
            spreads.append(spread + gate.FLOOR)
        settings: dict[str, Any] = {"calibration_cases": len(errors), "coverage": COVERAGE}
        if len(errors) >= 10:
            settings["interval"] = conformal_quantile(np.divide(errors, blurs), COVERAGE)
            settings["ensemble_interval"] = conformal_quantile(
                np.divide(ensemble_errors, spreads), COVERAGE
            )
        return {**settings, **gate.fit_shapes(shapes)}

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, float]:
        row = dict(interpretation.values)
        row["ctr_reference"] = self._reference_ratio(case, image)
        known = not np.isnan(row["ctr_reference"])
        row["enlarged"] = float(row["ctr_reference"] > THRESHOLD) if known else float("nan")
        label = case.reference.labels.get("cardiomegaly")
        row["label"] = float("nan") if label is None else float(label)
        if interpretation.findings:
            row["probability"] = interpretation.findings[0].probability
        if interpretation.labels is None or not case.reference.masks:
            return row
        masks = self._reference_masks(case, image)
        found = {s: interpretation.labels == k for k, s in enumerate(STRUCTURES, start=1)}
        for pairs in (masks, found):
            if "left_lung" in pairs and "right_lung" in pairs:
                pairs["lungs"] = pairs["left_lung"] | pairs["right_lung"]
        for structure, mask in masks.items():
            row.update(_overlap(structure, found[structure], mask))
        return row

    def _reference_masks(self, case: Case, image: Image) -> dict[str, npt.NDArray[np.bool_]]:
        shape = (image.array.shape[0], image.array.shape[1])
        named = {s: m for s, m in case.reference.masks.items() if s in STRUCTURES}
        return {s: read_mask(path, shape) for s, path in named.items()}

    def _reference_ratio(self, case: Case, image: Image) -> float:
        """The reader's value where there is one, the reference masks' ratio otherwise, or NaN."""
        if "ctr" in case.reference.values:
            return case.reference.values["ctr"]
        if not set(STRUCTURES) <= set(case.reference.masks):
            return float("nan")
        masks = self._reference_masks(case, image)
        maps = np.stack([masks[s] for s in STRUCTURES]).astype(np.uint8) * np.uint8(255)
        return measure(maps).ctr


def _values(ratio: Ratio, width: float) -> dict[str, float]:
    return {
        "ctr": ratio.ctr,
        "ctr_low": ratio.ctr - width,
        "ctr_high": ratio.ctr + width,
        "ctr_row": ratio.ctr_row,
    }


def _overlap(structure: str, found: Array, reference: Array) -> dict[str, float]:
    distances = surface_distances(found, reference)
    return {
        f"{structure}_dice": dice(found, reference),
        f"{structure}_jaccard": jaccard(found, reference),
        f"{structure}_precision": precision(found, reference),
        f"{structure}_recall": recall(found, reference),
        f"{structure}_hd95": distances.hausdorff(95),
        f"{structure}_surface_distance": distances.average(),
    }


def _lines(ratio: Ratio, shape: tuple[int, ...], size: int) -> tuple[Line, ...]:
    """The two measured lines, and the midline between them, in px of the file."""
    height, width = shape[0] / size, shape[1] / size

    def point(y: float, x: float) -> tuple[float, float]:
        return ((y + 0.5) * height - 0.5, (x + 0.5) * width - 0.5)

    middle = (ratio.thorax[0] + ratio.thorax[1]) / 2
    (left_y, right_y), (left, right) = ratio.heart_rows, ratio.heart
    return (
        Line(point(left_y, left), point(left_y, middle), "MRD", "heart"),
        Line(point(right_y, middle), point(right_y, right), "MLD", "heart"),
        Line(point(ratio.thorax_row, ratio.thorax[0]), point(ratio.thorax_row, ratio.thorax[1]),
             "thorax"),
        Line(point(0, middle), point(size - 1, middle), guide=True),
    )  # fmt: skip
