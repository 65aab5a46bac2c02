"""Intracranial hemorrhage on head CT without contrast: is there a bleed, where, and of which type.

Three families of networks on the same prepared slices: a 3D CNN over the scan, a 2D CNN slice by
slice, and the joint CNN-RNN (Ye et al. 2019, Eur Radiol 29:6191), which reads the slices in
anatomical order. The answer is a calibrated probability of any bleed and of five types, for the
scan and for every slice.

The parts: `head/stack.py` prepares, `head/gate.py` refuses, `networks/scan.py` has the networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.findings.codes import code
from radloop.findings.finding import Finding
from radloop.findings.montage import draw_montage
from radloop.images.image import Image, Reading
from radloop.images.slice_folder import is_slice_folder, read_slice_folder
from radloop.images.verdict import noted, warned
from radloop.images.volume_operations import points_to_original_index
from radloop.measures.spec import Reliability, Roc
from radloop.systems.base import Array, Explain, Interpretation, Look, Preset, System
from radloop.systems.head import gate
from radloop.systems.head.augmentation import ScanAugmentation
from radloop.systems.head.brain import only_brain
from radloop.systems.head.calibration import SENSITIVITY, fit_settings, probabilities
from radloop.systems.head.labels import ANY, KINDS, LABELS, cross_entropy, strongest, truth_of
from radloop.systems.head.measures import measures_of_level
from radloop.systems.head.scale import KNOTS, WINDOWS
from radloop.systems.head.stack import groups_of, head_stack
from radloop.training.recipe import Augmentation, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from radloop.training.data import Sample, StackTransform
    from radloop.training.trainer import Trained, TrainingRun

_AUGMENTATION = Augmentation(
    rotation=15, shear=4, shift=0.05, zoom=1.12, mirror=0.5, gamma=1.12, bias=0.05, noise=0.04,
    blur=1.0,
)  # fmt: skip
_RECIPE = Recipe(
    size=192, cache_scale=1.25, batch=2, learning_rate=2e-3, encoder_rate=0.025, freeze=15,
    weight_decay=2e-2, ema=0.98, epochs=16, validate_every=1000, keep="last", bfloat16=False,
    augmentation=_AUGMENTATION,
)  # fmt: skip
_PROBE = Recipe(
    size=320, cache_scale=1.0, learning_rate=1e-2, weight_decay=0.0, probe=True, bfloat16=False
)


_ENCODER = {"encoder": "tf_efficientnet_lite0", "neighbours": True, "windows": "soft"}
_PROBED = {**_ENCODER, "densities": True}


def _recipe(**changes: Any) -> Recipe:
    return replace(_RECIPE, **changes)


class Hemorrhage(System):
    """Is there a bleed in this head, on which slices, and of which type?"""

    name = "hemorrhage"
    title = "Intracranial hemorrhage"
    question = (
        "Is there a bleed on this head CT without contrast, on which slices, and which of five"
        " types?"
    )
    reads_scans = True
    calibrated_on = ("val",)
    presets = {
        "strong": Preset(
            "strong",
            "CNN-RNN on a frozen EfficientNet-Lite0 and measured densities, three slices, 320 px",
            "cnn_rnn",
            {**_PROBED, "sequence": "leaky"},
            _PROBE,
        ),
        "slice-cnn": Preset(
            "slice-cnn", "`strong` slice by slice, without the sequence", "slice_cnn", _PROBED,
            _PROBE,
        ),
        "finetune": Preset(
            "finetune",
            "`strong` with the upper half of the encoder trained too, 192 px; for a GPU",
            "cnn_rnn",
            _ENCODER,
            _RECIPE,
        ),
        "cnn3d": Preset(
            "cnn3d",
            "3D ResNet-10 over the scan, 128 px, five parallel binary heads and one for any",
            "cnn_3d",
            {"network": "resnet10"},
            _recipe(size=128, slices=24, learning_rate=1e-3, epochs=20),
        ),
        "cnn3d-softmax": Preset(
            "cnn3d-softmax",
            "3D DenseNet-121 over the scan, 96 px, one softmax over no bleed and the types",
            "cnn_3d",
            {"network": "densenet121", "head": "softmax"},
            _recipe(size=96, slices=24, learning_rate=1e-3),
        ),
        "paper": Preset(
            "paper",
            "CNN-RNN as in the paper: ResNet-18, three HU windows, 256 px, geometry alone varied",
            "cnn_rnn",
            {"encoder": "resnet18", "neighbours": False, "windows": "paper", "frozen_norms": False},
            _recipe(
                size=256,
                learning_rate=1e-3,
                augmentation=Augmentation(
                    rotation=15, shear=0, shift=0.05, zoom=1.1, mirror=0.5, gamma=1.0, bias=0.0,
                    noise=0.0, blur=0.0,
                ),
            ),
        ),
        "tiny": Preset(
            "tiny",
            "Seconds on a processor: for tests and first steps, not for use",
            "cnn_rnn",
            {"encoder": "test_efficientnet", "neighbours": True, "frozen_norms": False},
            _recipe(size=64, slices=6, epochs=20, learning_rate=4e-3, encoder_rate=1.0, ema=0.9,
                    bfloat16=False),
        ),
        "tiny-3d": Preset(
            "tiny-3d",
            "as `tiny`, with a 3D network",
            "cnn_3d",
            {"network": "resnet10", "depth": 8, "widths": (4, 8, 8, 8)},
            _recipe(size=32, slices=6, epochs=20, learning_rate=4e-3, ema=0.9, bfloat16=False),
        ),
    }  # fmt: skip
    measures = measures_of_level("scan")
    slice_measures = measures_of_level("slice")
    figures = (
        Roc("Any bleed, by scan", "scan_any_probability", "scan_any_truth"),
        Reliability("Any bleed, by scan", "scan_any_probability", "scan_any_truth"),
    )
    slice_figures = (
        Roc("Any bleed, by slice", "slice_any_probability", "slice_any_truth"),
        Reliability("Any bleed, by slice", "slice_any_probability", "slice_any_truth"),
    )
    operating_point = {
        "column": "scan_any_called",
        "aim": f"sensitivity {SENSITIVITY:g} on the calibration cases",
    }
    threshold_settings = {"scan_any_truth": ("thresholds", "scan")}
    ranked_by = "scan_any_agreement"

    def read(self, path: Path, even_out: bool = False) -> Reading:
        """A folder of pictures, a DICOM series, or a NIfTI file; `(z, y, x)` towards S, P, L."""
        from radloop.images.volume_operations import reorient
        from radloop.images.volumes.read import read_volume

        if is_slice_folder(path):
            reading = read_slice_folder(path)
        else:
            reading = read_volume(path, even_out=even_out)
            if reading.image is not None:
                image = reading.image
                if image.modality == "unknown":  # NIfTI does not say; its values are taken for HU
                    image = image.with_array(image.array, modality="CT")
                reading = Reading(reorient(image, "SPL"), reading.verdict)
        if reading.image is None:
            return reading
        verdict = reading.verdict.merge(gate.examine_file(reading.image))
        return Reading(None if verdict.refused else reading.image, verdict)

    def prepare(self, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """Slices of 5 mm, the head upright in the middle and without its skull, greys of
        `head/scale.py`."""
        return only_brain(head_stack(image).upright(size))

    def target(self, case: Case, image: Image, size: int) -> npt.NDArray[np.float32]:
        """`(1 + z, labels)`, 1, 0 or NaN (unknown): row 0 the scan's, then those of the stack."""
        scan, slices = truth_of(case, image)
        target = np.stack([scan, *_by_group(slices, groups_of(image))]).astype(np.float32)
        if np.isnan(target[:, 0]).all():
            raise InputError(
                f"Case '{case.case_id}' has neither a label '{ANY}' nor slices with one.",
                f"Import it with `--any {ANY}`, or give a column 'label:{ANY}'.",
            )
        return target

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        from radloop.networks.scan import Channels, build_scan

        own = dict(options)
        windows = WINDOWS[own.pop("windows", "brain")]
        neighbours = bool(own.pop("neighbours", False))
        return build_scan(network, Channels(KNOTS, windows, neighbours), len(LABELS), own)

    def deploy(self, network: nn.Module) -> nn.Module:
        from radloop.networks.scan import BothWays, one_encoder

        return BothWays(one_encoder(network))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted cross-entropy of the known labels, a scan's row weighing as two slices."""
        return cross_entropy(logits, target).mean()

    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        return -cross_entropy(logits, target)

    def learn(
        self,
        network: nn.Module,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        recipe: Recipe,
        run: TrainingRun,
    ) -> Trained | None:
        if not recipe.probe:
            return None
        from radloop.systems.head.probing import probe

        return probe(network, train, validation, recipe, run.seed)  # type: ignore[arg-type]

    def augment(self, recipe: Recipe) -> StackTransform:
        return ScanAugmentation(recipe)

    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Interpretation:
        stack = head_stack(image)
        length = None
        if stack.pose is not None and image.geometry.spacing is not None:
            length = stack.pose.side * image.geometry.spacing[-1]
        verdict = gate.examine_head(stack.upright(128), length)
        if verdict.refused:
            return Interpretation(verdict)
        scan = probabilities(output[0], settings, "scan")
        limits = settings.get("thresholds", {})
        threshold, slice_threshold = (float(limits.get(k, 0.5)) for k in ("scan", "slice"))
        slices = [probabilities(row, settings, "slice") for row in output[1:]]
        # A 3D network says nothing of slices.
        by_slab = [_slice_row(one, raw) for one, raw in zip(slices, output[1:], strict=True)]
        rows = [by_slab[k] for k, group in enumerate(stack.groups) for _ in group if slices]
        places = [_slice_of_file(image, group[0]) for group in stack.groups]
        findings = _findings(scan, slices, places, limits)
        values = {f"scan_{label}_probability": p for label, p in scan.items()}
        values |= {f"scan_{label}_logit": float(output[0, k]) for k, label in enumerate(LABELS)}
        values["scan_threshold"] = threshold
        values["slice_threshold"] = slice_threshold
        if scan[ANY] < threshold and scan[ANY] >= 0.5 * threshold:
            verdict = verdict.merge(
                warned(
                    "grey_zone",
                    f"The probability of a bleed ({scan[ANY]:.2f}) is close to the threshold"
                    f" ({threshold:.2f}): a reader should decide.",
                )
            )
        kind = max(KINDS, key=lambda k: scan[k])
        found = [k for k, row in enumerate(slices) if row[ANY] >= slice_threshold]
        caption = f"any bleed {scan[ANY]:.2f} (threshold {threshold:.2f}), most likely {kind}" + (
            f", {len(found)} slices marked" if scan[ANY] >= threshold else ""
        )
        if not settings.get("thresholds"):
            verdict = verdict.merge(noted("The model was never calibrated: thresholds are 0.5."))
        return Interpretation(verdict, findings, values=values, slices=tuple(rows), caption=caption)

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """Scaling of every label's logits and thresholds, on the cases held out of training."""
        scans, slices = [], []
        for case, image, output in judged:
            scan_truth, slice_truth = truth_of(case, image)
            scans.append((output[0], scan_truth))
            rows = _by_group(slice_truth, groups_of(image))
            slices += list(zip(output[1:], rows, strict=True)) if len(output) > 1 else []
        return {"calibration_cases": len(judged), **fit_settings(scans, slices)}

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, float]:
        scan, _ = truth_of(case, image)
        row = dict(interpretation.values)
        for k, label in enumerate(LABELS):
            row[f"scan_{label}_truth"] = float(scan[k])
        for finding in interpretation.findings[: len(LABELS)]:
            row[f"scan_{_label_of(finding.name)}_called"] = float(finding.positive)
        row["scan_any_agreement"] = 1 - abs(row["scan_any_probability"] - row["scan_any_truth"])
        return row

    def judge_slices(
        self, case: Case, image: Image, interpretation: Interpretation
    ) -> list[dict[str, float]]:
        _, truth = truth_of(case, image)
        threshold = interpretation.values["slice_threshold"]
        rows = []
        for k, slice_row in enumerate(interpretation.slices):
            row: dict[str, float] = {"slice": float(k)}
            for j, label in enumerate(LABELS):
                row[f"slice_{label}_probability"] = slice_row[label]
                row[f"slice_{label}_logit"] = slice_row[f"{label}_logit"]
                row[f"slice_{label}_truth"] = float(truth[k, j])
                limit = threshold if label == ANY else 0.5
                row[f"slice_{label}_called"] = float(slice_row[label] >= limit)
            rows.append(row)
        return rows

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The montage of the scan with its positive slices marked, and their heat maps."""
        stack = head_stack(image)
        shown = list(stack.shown())
        names = [str(group[0]) for group in stack.groups]
        marked: dict[int, str] = {}
        positive = bool(read.findings) and read.findings[0].positive
        if positive and read.slices:
            limit = read.values["slice_threshold"]
            for k, group in enumerate(stack.groups):
                row = read.slices[group[0]]
                if row[ANY] >= limit:
                    kind = max(KINDS, key=lambda name: row[name])
                    marked[k] = f"{row[ANY]:.2f} {kind}"
        title = "REFUSED" if refused else ("BLEED SUSPECTED" if positive else "no bleed found")
        caption = read.caption or " ".join(read.verdict.messages)
        pictures = {"": draw_montage(shown, names, marked, title=title, caption=caption)}
        if marked:
            chosen = sorted(marked)
            heat = [stack.onto_slabs(one) for one in explain(chosen)]
            pictures["heat"] = draw_montage(
                [shown[k] for k in chosen], [names[k] for k in chosen],
                {n: marked[k] for n, k in enumerate(chosen)},
                heat=dict(enumerate(heat)), tile=256, columns=5,
                title="Where the network looked (Grad-CAM)", caption=caption,
            )  # fmt: skip
        return pictures


def _by_group(slices: Array, groups: Sequence[range]) -> list[npt.NDArray[np.float32]]:
    """The labels of slabs from those of the file's slices."""
    return [strongest(slices[group[0] : group[-1] + 1]) for group in groups]


def _findings(
    scan: Mapping[str, float],
    slices: Sequence[Mapping[str, float]],
    places: Sequence[int],
    limits: Mapping[str, Any],
) -> tuple[Finding, ...]:
    """The scan's findings, any first, each at its most suspicious slice; then one for each slice
    above its own threshold, where the scan is positive. places: the number of each slice in its
    file. limits: the stored thresholds."""
    findings = []
    for label in LABELS:
        limit = limits.get("scan" if label == ANY else "kinds", 0.5)
        if isinstance(limit, Mapping):
            limit = limit.get(label, 0.5)
        most = max(range(len(slices)), key=lambda k: slices[k][label]) if slices else None
        where = {} if most is None else {"slice": places[most]}
        findings.append(_finding(label, scan[label], float(limit), where))
    if findings[0].positive and slices:
        limit = float(limits.get("slice", 0.5))
        findings += [
            _finding(ANY, row[ANY], limit, {"slice": place})
            for row, place in zip(slices, places, strict=True)
            if row[ANY] >= limit
        ]
    return tuple(findings)


def _slice_of_file(image: Image, k: int) -> int:
    """The file's slice that lies nearest to slice `k` of a volume which may have been resampled."""
    if image.original is None:
        return k
    middle = [(k, *((n - 1) / 2 for n in image.geometry.shape[1:]))]
    return int(np.rint(points_to_original_index(middle, image)[0, 0]))


def _slice_row(probability: Mapping[str, float], logits: Array) -> dict[str, float]:
    return dict(probability) | {
        f"{label}_logit": float(logits[k]) for k, label in enumerate(LABELS)
    }


def _finding(label: str, probability: float, threshold: float, where: Mapping[str, Any]) -> Finding:
    name = "intracranial_hemorrhage" if label == ANY else f"{label}_hemorrhage"
    return Finding(name, code(name), probability, probability >= threshold, threshold, where)


def _label_of(name: str) -> str:
    return ANY if name == "intracranial_hemorrhage" else name.removesuffix("_hemorrhage")
