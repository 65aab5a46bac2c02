"""Lesions on brain MRI of any declared channels, by a 3D network: what stroke and multiple
sclerosis have in common.

A disease is a subclass of a few lines: its name, its leading channels and its presets. The parts:
`study.py` brings the channels together, `patches.py` draws for training, `windows.py` runs the
network, `calibration.py` chooses the threshold, `lesion.py` measures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.cases.volume_masks import read_volume_mask
from radloop.errors import InputError
from radloop.findings.codes import code
from radloop.findings.finding import Finding, Measurement
from radloop.images.image import Image, Reading
from radloop.images.verdict import ACCEPTED, noted
from radloop.images.volume_operations import block_means, reorient, resample_onto
from radloop.systems.base import Array, Explain, Interpretation, Look, Preset, Run, System
from radloop.systems.lesions.calibration import choose
from radloop.systems.lesions.channels import declared_channels
from radloop.systems.lesions.grids import working_spacing
from radloop.systems.lesions.lesion import Lesion, find_lesions
from radloop.systems.lesions.measures import FIGURES, MEASURES, judge_masks
from radloop.systems.lesions.patches import PatchSampler
from radloop.systems.lesions.picture import draw_study
from radloop.systems.lesions.study import Study, read_study
from radloop.systems.lesions.windows import sliding
from radloop.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from radloop.training.data import StackTransform

LESION = "lesion"
"""The structure of the masks, `mask:lesion` in the case table."""
_OWN = ("channels", "spacing", "patch", "window", "mirrored", "loss", "drop", "finest")
"""The options that are this system's; the others are the network's."""
_DIVISOR = 8
_ASKED_WITHOUT = 8  # cases on which the loss by a missing channel is measured


class LesionSystem(System):
    """Base of the systems that outline lesions of the brain.

    Options of its presets beside the network's: `patch`, (z, y, x), that it learns from; `window`,
    the largest that it reads at a time, the patch by default; `loss`, a name of
    `training.lesion_losses`; `mirrored`, whether the network also reads each channel reflected at
    the plane between the hemispheres; `drop`, how often a channel is missing in training;
    `finest`, mm: the working grid is never finer. `channels` and `spacing` are those of the cases
    it is trained on.
    """

    leading: ClassVar[tuple[str, ...]]
    """The channels on whose grid the mask may lie, the preferred first."""
    finding: ClassVar[str]
    """The name of its finding in the table of codes."""
    reads_scans = True
    in_patches = True
    calibrated_on = ("val",)
    structures = (LESION,)
    measures = MEASURES
    figures = FIGURES
    ranked_by = "dice"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options: Mapping[str, Any] = options or {}

    # --- what depends on the model ------------------------------------------------------------

    def declared(self, preset: Preset, cases: Sequence[Case]) -> Preset:
        """The preset with the channels and the median spacing of the cases."""
        channels = declared_channels(cases, self.leading)
        finest = float(preset.options.get("finest", 1.0))
        spacing = working_spacing(cases, channels, finest)
        options = {**preset.options, "channels": list(channels), "spacing": list(spacing)}
        return replace(preset, options=options)

    def configured(self, options: Mapping[str, Any]) -> System:
        return type(self)(options)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.options["channels"])

    @property
    def patch(self) -> tuple[int, int, int]:
        z, y, x = (int(n) for n in self.options["patch"])
        return z, y, x

    @property
    def mirrored_too(self) -> bool:
        return bool(self.options.get("mirrored", False))

    @property
    def window(self) -> tuple[int, int, int]:
        z, y, x = (int(n) for n in self.options.get("window", self.patch))
        return z, y, x

    def input_shape(self, size: int) -> tuple[int, ...]:
        """(channels, z, y, x), or any z, y and x where windows follow the brain."""
        sides = self.patch if self.window == self.patch else (-1, -1, -1)
        return (len(self.channels) * (2 if self.mirrored_too else 1), *sides)

    # --- reading ------------------------------------------------------------------------------

    def read(self, path: Path, even_out: bool = False) -> Reading:
        """A study of which there is only the leading channel."""
        return self.read_case({self.channels[0]: path}, even_out)

    def read_case(self, images: Mapping[str, Path], even_out: bool = False) -> Reading:
        return read_study(
            images, self.channels, self.options["spacing"], with_mirror=self.mirrored_too,
            even_out=even_out,
        )  # fmt: skip

    def prepare(self, image: Image, size: int) -> npt.NDArray[np.float32]:
        return _study(image).inputs

    def target(self, case: Case, image: Image, size: int) -> npt.NDArray[np.uint8]:
        """The lesions on the working grid: its voxels that are at least half lesion."""
        study = _study(image)
        truth = read_volume_mask(case, LESION, study.geometry)
        on_file = Image(truth.astype(np.float32), study.geometry, original=study.geometry)
        spacing = study.work.spacing or (1.0, 1.0, 1.0)
        means = block_means(reorient(on_file, "SPL"), spacing)
        return (resample_onto(means, study.work).array >= 0.5).astype(np.uint8)

    # --- the network --------------------------------------------------------------------------

    def build(self, network: str, options: Mapping[str, Any]) -> nn.Module:
        from radloop.networks.volumetric import build_volumetric

        own = {name: value for name, value in options.items() if name not in _OWN}
        return build_volumetric(network, self.input_shape(0)[0], 2, own)

    def deploy(self, network: nn.Module) -> nn.Module:
        from radloop.networks.volumetric import LesionProbability

        return LesionProbability(network)

    def answer(self, prepared: Array, run: Run, *stage: str) -> Array:
        window = self.patch
        if self.window != self.patch:  # no larger than the brain
            sides = prepared.shape[1:]
            z, y, x = (min(w, _whole(n)) for w, n in zip(self.window, sides, strict=True))
            window = (z, y, x)
        return sliding(prepared, window, partial(_staged, run, stage))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        from radloop.training.lesion_losses import deep_supervised, lesion_loss

        return deep_supervised(lesion_loss(self.options.get("loss", "ce+dice")), logits, target)

    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        from radloop.training.losses import dice_score

        return dice_score(logits, target)

    def augment(self, recipe: Recipe) -> StackTransform:
        drop = float(self.options.get("drop", 0.0))
        return PatchSampler(recipe, self.patch, len(self.channels), drop=drop)

    def examine(self, recipe: Recipe) -> StackTransform:
        return PatchSampler(recipe, self.patch, len(self.channels), augment=False)

    # --- from probabilities to findings -------------------------------------------------------

    def calibrate(
        self, judged: Sequence[tuple[Case, Image, Array]], preset: Preset, look: Look
    ) -> Mapping[str, Any]:
        """Threshold and smallest lesion of the best Dice, and what is lost without a channel."""
        known = [one for one in judged if LESION in one[0].reference.masks]
        truths = [self.target(case, image, 0) > 0 for case, image, _ in known]
        sizes = [_voxel_ml(image) for _, image, _ in known]
        settings = dict(
            choose([(o[0], t, v) for (_, _, o), t, v in zip(known, truths, sizes, strict=True)])
        )
        few = list(zip(known, truths, strict=True))[:_ASKED_WITHOUT]
        if few and len(self.channels) > 1:
            # An ensemble has no one network to ask again while it is calibrated.
            with contextlib.suppress(InputError):
                settings["dice_without"] = {
                    name: round(self._dice_without(k, few, settings["threshold"], look), 4)
                    for k, name in enumerate(self.channels)
                }
        return settings

    def card_notes(self, settings: Mapping[str, Any]) -> str:
        """What a missing channel costs."""
        without = settings.get("dice_without")
        if not without:
            return ""
        rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in without.items())
        return f"""
## Without a channel

It reads {", ".join(self.channels)}; a case that lacks some of them is read with a warning. The mean
Dice on the validation cases is {settings["calibration_dice"]:.3f} with all, and

| without | Dice |
|---|---|
{rows}
"""

    def _dice_without(
        self,
        channel: int,
        some: Sequence[tuple[tuple[Case, Image, Array], npt.NDArray[np.bool_]]],
        threshold: float,
        look: Look,
    ) -> float:
        from radloop.measures.overlap import dice

        scores = []
        for (_, image, _), truth in some:
            inputs = _study(image).inputs.copy()
            inputs[channel :: len(self.channels)] = 0
            found = look(inputs)[0] >= threshold if inputs.any() else np.zeros_like(truth)
            scores.append(dice(found, truth, both_empty=1.0))
        return float(np.mean(scores))

    def interpret(
        self, image: Image, output: Array, settings: Mapping[str, Any], look: Look
    ) -> Interpretation:
        study = _study(image)
        labels, lesions = find_lesions(study, output[0], settings)
        threshold = float(settings.get("threshold", 0.5))
        total = sum(one.volume_ml for one in lesions)
        sides = {
            side: sum(one.volume_ml for one in lesions if one.side == side)
            for side in ("left", "right", "both")
        }
        weights = [one.volume_ml for one in lesions]
        entropy = np.average([o.entropy for o in lesions], weights=weights) if lesions else 0.0
        values = {
            "total_ml": total,
            "lesion_count": float(len(lesions)),
            "entropy_bits": float(entropy),
            **{f"{side}_ml": volume for side, volume in sides.items()},
        }
        verdict = ACCEPTED
        if "threshold" not in settings:
            verdict = noted("The model was never calibrated: the threshold is 0.5.")
        document = {
            "grid_of": study.leading,
            "channels": list(study.present),
            "threshold": threshold,
            "smallest_ml": float(settings.get("smallest_ml", 0.0)),
            **{name: round(value, 4) for name, value in values.items()},
            "lesions": [one.to_json() for one in lesions],
        }
        return Interpretation(
            verdict, self._findings(lesions, float(output[0].max()), total, threshold), labels,
            values=values, caption=_caption(lesions, total), documents={LESION: document},
        )  # fmt: skip

    def _findings(
        self, lesions: Sequence[Lesion], highest: float, total: float, threshold: float
    ) -> tuple[Finding, ...]:
        """The case's finding, then one for each lesion. A lesion's probability is the mean of its
        voxels; the case's that of its surest lesion, or the highest of any voxel without one."""
        surest = max((one.probability for one in lesions), default=highest)
        coded = code(self.finding)
        where = {"mask": LESION} if lesions else {}
        sides = {one.side for one in lesions}
        if sides:
            where["side"] = sides.pop() if len(sides) == 1 else "both"
        volume = Measurement("total_lesion_volume", total, "ml")
        first = Finding(self.finding, coded, surest, bool(lesions), threshold, where, volume)
        return (
            first,
            *(
                Finding(
                    self.finding, coded, one.probability, True, threshold,
                    {"mask": LESION, "side": one.side, "slice": sum(one.slices) // 2},
                    Measurement("lesion_volume", one.volume_ml, "ml"),
                )
                for one in lesions
            ),
        )  # fmt: skip

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, Any]:
        row: dict[str, Any] = dict(interpretation.values)
        if LESION not in case.reference.masks or interpretation.labels is None:
            return row
        truth = read_volume_mask(case, LESION, image.geometry)
        return row | judge_masks(interpretation.labels > 0, truth, image.geometry)

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        title = "REFUSED" if refused else ("LESIONS FOUND" if read.findings[1:] else "none found")
        caption = read.caption or " ".join(read.verdict.messages)
        return {"": draw_study(_study(image), read.labels, title, caption)}


def _staged(run: Run, stage: tuple[str, ...], inputs: Array) -> Array:
    output: Array = run(inputs, *stage)
    return output


def _whole(side: int) -> int:
    """The side rounded up to what three halvings divide."""
    return -(-side // _DIVISOR) * _DIVISOR


def _study(image: Image) -> Study:
    if not isinstance(image, Study):
        raise InputError("This system reads studies.", "Read the case with `System.read_case`.")
    return image


def _voxel_ml(image: Image) -> float:
    return float(np.prod(_study(image).work.spacing or (1.0,))) / 1000


def _caption(lesions: Sequence[Lesion], total: float) -> str:
    if not lesions:
        return "no lesion found"
    by_side = ", ".join(
        f"{count} {side}"
        for side in ("left", "right", "both")
        if (count := sum(one.side == side for one in lesions))
    )
    return f"{len(lesions)} lesions ({by_side}), {total:.2f} ml in all"
