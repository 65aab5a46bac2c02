"""Hip fracture on frontal films of the pelvis (Gale et al. 2017, arXiv 1711.06504).

A detector finds both hips. Films on which they do not lie as in a frontal pelvis are refused
(`pelvis.gate`). Each hip is cut out at the film's own resolution, the left one mirrored onto the
right, so that one DenseNet judges both; it says whether there is metal, which excludes the hip, and
whether the hip is broken. The answer is one a side, calibrated, with its threshold; a hip that was
not found is a finding of its own, unless it lies beyond the film's edge. Histograms are equalised;
in training hips are moved, turned and sheared a little.

The table's boxes enclose hips and name the patient's side (`pelvis.labels`); films of other parts,
with an empty file of boxes, teach the detector what is no pelvis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.findings.codes import code
from radloop.findings.finding import Finding
from radloop.findings.picture import Rectangle, draw_film
from radloop.images.image import Geometry, Image
from radloop.images.verdict import ACCEPTED, Verdict, refused, warned
from radloop.measures.detection import box_overlap
from radloop.systems.base import Array, Explain, FoundBox, Interpretation, Look, Preset
from radloop.systems.pelvis.calibration import Said, film_threshold, fit_answers
from radloop.systems.pelvis.gate import (
    FoundHip,
    Scene,
    candidates,
    examine_header,
    learn_geometry,
    read_scene,
)
from radloop.systems.pelvis.labels import SIDES, TrueHip, true_hips
from radloop.systems.pelvis.measures import FIGURES, MEASURES, judge_film
from radloop.systems.pelvis.second_look import ANSWERS, JudgedHip, SecondLook
from radloop.systems.regions.crops import OTHER, SAME, state_of, usual_share
from radloop.systems.regions.film import Corners, Cutting, Film, spare_boxes, to_square
from radloop.systems.regions.system import RegionSystem
from radloop.training.recipe import Augmentation, Recipe

_FILM = Augmentation(
    rotation=10, shear=4, shift=0.08, zoom=1.3, stretch=1.1, elastic=0, mirror=0.5, gamma=1.6,
    bias=0.15, noise=0.03, blur=1.0, equalise=0, blocks=0.1, negatives=0.2,
)  # fmt: skip
_PAPER = Augmentation(  # small translations, rotations and shears, and nothing else
    rotation=10, shear=5, shift=0.06, zoom=1.1, stretch=1.0, elastic=0, mirror=0, gamma=1.0,
    bias=0, noise=0, blur=0, equalise=0, blocks=0, negatives=0,
)  # fmt: skip
_HIP = Augmentation(
    rotation=15, shear=6, shift=0.06, zoom=1.2, stretch=1.1, elastic=0, mirror=0, gamma=1.6,
    bias=0.1, noise=0.03, blur=1.0, equalise=0, clahe=0.1, blocks=0, negatives=0,
)  # fmt: skip
_DETECTOR = Recipe(
    size=320, cache_scale=1.0, batch=8, learning_rate=1e-3, weight_decay=5e-2, epochs=40,
    ema=0.99, validate_every=5, keep="last", encoder_rate=0.3, freeze=15, augmentation=_FILM,
)  # fmt: skip
_JUDGE = Recipe(
    size=224, cache_scale=1.25, batch=16, learning_rate=1e-3, weight_decay=5e-2, epochs=40,
    ema=0.99, validate_every=5, keep="last", encoder_rate=0.2, augmentation=_HIP,
)  # fmt: skip
_TINY = Recipe(
    size=96, cache_scale=1.0, batch=8, learning_rate=5e-3, epochs=30, ema=0.9, validate_every=30,
    keep="last", bfloat16=False, augmentation=replace(_FILM, gamma=1.2, bias=0, blur=0, blocks=0),
)  # fmt: skip

_FAINTEST = 0.01
"""What the detector takes for a hip at this score may teach what is none."""
_SPARE = 4
"""Pieces of each film without hips that teach the same."""
_TURNS = (
    (1, "by 90 degrees clockwise"), (3, "by 90 degrees counter-clockwise"), (2, "upside down"),
)  # fmt: skip


class HipFracture(RegionSystem):
    """Is the right hip broken, is the left?"""

    name = "hip_fracture"
    title = "Hip fracture"
    question = "Is the right or the left hip broken on this frontal film of the pelvis?"
    disease = "hip_fracture"
    region = "hip"
    kinds = SIDES
    answers = ANSWERS
    contrast = "equalise"
    margin = 0.1
    certain = 0.3
    measures = MEASURES
    figures = FIGURES
    threshold_settings = {"positive": ("fracture", "threshold")}
    calibrated_on = ("train", "val")
    presets = {
        "strong": Preset(
            "strong", "YOLOX on EfficientNet-Lite0 finds the hips, EfficientNet-Lite0 judges each",
            "yolox:tf_efficientnet_lite0+tf_efficientnet_lite0", {"crop": 224},
            replace(_DETECTOR, second=_JUDGE),
        ),
        "paper": Preset(
            "paper", "DenseNet-121 judges each hip (Gale et al. 2017); YOLOX on ResNet-18 finds it",
            "yolox:resnet18+densenet121", {"crop": 299},
            replace(_DETECTOR, second=replace(_JUDGE, size=299, augmentation=_PAPER)),
        ),
        "tiny": Preset(
            "tiny", "Seconds on a processor: for tests and first steps, not for use",
            "yolox:mobilenetv3_small_050+cracknet",
            {"detector": {"width": 24, "depth": 1}, "classifier": {"widths": (13, 13, 26)},
             "crop": 48},
            replace(_TINY, second=replace(_TINY, size=48, cache_scale=1.25, batch=16,
                                          augmentation=_PAPER)),
        ),
    }  # fmt: skip

    @property
    def swaps(self) -> dict[int, int]:
        """A mirrored film shows each hip on the other side, in the same state."""
        states = 3 ** len(self.answers)
        return {number: number ^ 1 for number in range(len(SIDES) * states)}

    def target(self, case: Case, image: Image, size: int) -> npt.NDArray[np.float32]:
        hips = true_hips(case)
        if hips is None:
            raise InputError(
                f"Case '{case.case_id}' has no boxes.",
                "Import them with `radloop import voc`, `yolo` or `coco`, or leave the case out.",
            )
        rows = []
        for side, hip in hips.items():
            place = to_square(hip.box.corners, _shape(image), size)[0]
            state = state_of([hip.fracture, hip.metal, True])
            rows.append([*place, float(SIDES.index(side) + len(SIDES) * state)])
        return np.array(rows, np.float32).reshape(-1, 5)

    def face(self, crop: Film, kind: int) -> Film:
        """The left hip as its mirror image, which looks like a right one; the side stays known."""
        return np.ascontiguousarray(crop[:, ::-1]) if SIDES[kind] == "left" else crop

    def interpret(
        self,
        image: Image,
        output: Array,
        settings: Mapping[str, Any],
        look: Look,
    ) -> Interpretation:
        verdict = examine_header(image)
        if verdict.refused:
            return Interpretation(verdict)
        second = self._second_look(image, settings, look)
        scene = read_scene(
            output, _shape(image), settings, lambda hip: second.is_hip(hip, settings)
        )
        if scene.verdict.refused:
            return Interpretation(self._turned(image, settings, look) or scene.verdict)
        judged = {side: second.judge(hip, settings) for side, hip in scene.hips.items()}
        verdict = _metal_in(judged).merge(scene.verdict).merge(_side_of_file(image, scene))
        findings: list[Finding] = []
        for side in SIDES:
            if side in judged:
                findings += _findings_of(judged[side], settings)
            elif not scene.one_hip:
                findings.append(_not_found(side, output))
        return Interpretation(
            verdict, tuple(findings), values=_values(judged, settings),
            caption="; ".join(_says(side, judged.get(side), settings, scene) for side in SIDES),
            boxes=tuple(_box(hip) for hip in judged.values()),
        )  # fmt: skip

    def cutting(self) -> Cutting:
        """What the detector finds far from every hip, and pieces of films without any, teach the
        second stage what is none."""
        return replace(super().cutting(), elsewhere=state_of([None, None, False]), spare=_SPARE)

    def _second_look(self, image: Image, settings: Mapping[str, Any], look: Look) -> SecondLook:
        return SecondLook(image.as_uint8(), self.cutting(), int(settings["crop"]), look)

    def _turned(self, image: Image, settings: Mapping[str, Any], look: Look) -> Verdict | None:
        """The refusal of a film that would be a pelvis if it were turned; None if it would not."""
        if "input" not in settings:
            return None
        size = int(settings["input"])
        for turns, how in _TURNS:
            film = np.ascontiguousarray(np.rot90(image.as_uint8(), turns))
            turned = Image(film, Geometry(film.shape))
            second = self._second_look(turned, settings, look)
            scene = read_scene(
                look(self.prepare(turned, size)), _shape(turned), settings,
                lambda hip, second=second: second.is_hip(hip, settings),  # type: ignore[misc]
            )  # fmt: skip
            if len(scene.hips) == len(SIDES):
                message = f"The film seems to be turned {how}. Turn it upright and send it again."
                return refused("rotated", message)
        return None

    def calibrate(
        self,
        judged: Sequence[tuple[Case, Image, Array]],
        preset: Preset,
        look: Look,
    ) -> Mapping[str, Any]:
        """How hips lie, from the boxes of all films; scaling and thresholds, and from which score
        a film may be a pelvis, from the validation films."""
        settings: dict[str, Any] = {
            "crop": int(preset.options.get("crop", 128)), "input": preset.recipe.size,
            "found": self.certain,
        }  # fmt: skip
        known = [
            (case, image, output, hips)
            for case, image, output in judged
            if (hips := true_hips(case)) is not None
        ]
        settings |= learn_geometry(
            [({side: h.box.corners for side, h in hips.items()}, _shape(image))
             for _, image, _, hips in known]
        )  # fmt: skip
        metal = [hip.metal for *_, hips in known for hip in hips.values()]
        held_out = [one[1:] for one in known if one[0].split == "val"]
        whole = [(rows[rows[:, 5] == len(SIDES)], hips) for _, rows, hips in held_out]
        scored = [(float(rows[0, 4]), bool(hips)) for rows, hips in whole if len(rows)]
        settings |= film_threshold([score for score, _ in scored], [there for _, there in scored])
        usual = usual_share(
            [(np.array([h.box.corners for h in hips.values()]), max(_shape(image)))
             for _, image, _, hips in known]
        )  # fmt: skip
        said: list[Said] = []
        for image, output, hips in held_out:
            second = self._second_look(image, settings, look)
            spare = spare_boxes(_shape(image), usual, 0 if hips else _SPARE, len(said))
            drawn = [FoundHip("right", _corners(box), 0.0) for box in spare]
            for hip in (*candidates(output, _shape(image), _FAINTEST), *drawn):
                true, is_one = _truth_at(hip, hips)
                seen = second(hip if true is None else replace(hip, side=true.side))
                said.append((seen, true, is_one))
        return settings | fit_answers(said, min(metal.count(True), metal.count(False)))

    def card_notes(self, settings: Mapping[str, Any]) -> str:
        metal = (
            "A hip with metal is named and not judged for a fracture."
            if "metal" in settings
            else "**Metal was not in the training table: a hip with a prosthesis is judged as if it"
            " were bone.**"
        )
        geometry = (
            "Films on which the hips do not lie as on the training films are refused."
            if "pair" in settings
            else "**Too few pairs of hips to learn how they lie: what is no pelvis is told by the"
            " detector alone.**"
        )
        return f"""
The left hip is judged as its mirror image. Which side is which follows from the place on the film:
a film that was mirrored before it came here has its sides exchanged. {metal} {geometry}
"""

    def judge(self, case: Case, image: Image, interpretation: Interpretation) -> dict[str, Any]:
        hips = true_hips(case)
        return dict(interpretation.values) if hips is None else judge_film(interpretation, hips)

    def judge_refused(self, case: Case) -> dict[str, Any]:
        hips = true_hips(case)
        return {} if hips is None else {"refused": 1.0, "pelvis": float(bool(hips))}

    def draw(
        self, image: Image, read: Interpretation, refused: bool, explain: Explain
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The film with a box around each hip, and what was said of it; faint where nothing was."""
        rectangles = []
        for box in read.boxes:
            finding = next(f for f in read.findings if f.where["side"] == box.label)
            word = "metal" if finding.name == "hip_metalwork" else f"{finding.probability:.2f}"
            rectangles.append(
                Rectangle(box.corners, f"{box.label} {word}", faint=not finding.positive)
            )
        picture = draw_film(
            image.as_uint8(), {}, (), title="REFUSED" if refused else "",
            caption=read.caption or " ".join(read.verdict.messages),
            sides=None if refused or len(read.boxes) < len(SIDES) else ("R", "L"),
            rectangles=rectangles,
        )  # fmt: skip
        return {"": picture}


def _shape(image: Image) -> tuple[int, int]:
    return int(image.array.shape[0]), int(image.array.shape[1])


def _corners(box: Array) -> Corners:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _truth_at(found: FoundHip, hips: Mapping[str, TrueHip]) -> tuple[TrueHip | None, bool | None]:
    """The true hip at the place of what was found, and whether there is one, None in between."""
    overlaps = {
        side: float(box_overlap([found.corners], [hip.box.corners])[0, 0])
        for side, hip in hips.items()
    }
    side = max(overlaps, key=lambda name: overlaps[name], default="")
    most = overlaps.get(side, 0.0)
    if most >= SAME:
        return hips[side], True
    return None, False if most < OTHER else None


def _threshold(settings: Mapping[str, Any]) -> float:
    return float(settings.get("fracture", {}).get("threshold", 0.5))


def _findings_of(one: JudgedHip, settings: Mapping[str, Any]) -> list[Finding]:
    where = {"side": one.hip.side, "box": [round(v, 1) for v in one.hip.corners]}
    if one.excluded and one.metal is not None:
        name, threshold = "hip_metalwork", float(settings["metal"]["threshold"])
        return [Finding(name, code(name), one.metal, True, round(threshold, 4), where)]
    name, threshold = "hip_fracture", _threshold(settings)
    called = one.fracture >= threshold
    return [Finding(name, code(name), one.fracture, called, threshold, where)]


def _not_found(side: str, output: Array) -> Finding:
    """How sure it is that the hip is not there: 1 - the best score of its class."""
    scores = output[output[:, 5] == SIDES.index(side)][:, 4]
    best = min(float(scores.max(initial=0.0)), 1.0)
    return Finding(
        "hip_not_found", code("hip_not_found"), round(1 - best, 4), True, 0.0, {"side": side}
    )


def _values(judged: Mapping[str, JudgedHip], settings: Mapping[str, Any]) -> dict[str, float]:
    """By side, and of the film the most that a judged hip has."""
    values: dict[str, float] = {}
    threshold = _threshold(settings)
    for side, one in judged.items():
        if one.metal is not None:
            values |= {f"metal_{side}": one.metal, f"metal_called_{side}": float(one.excluded)}
        if not one.excluded:
            called = float(one.fracture >= threshold)
            values |= {f"probability_{side}": one.fracture, f"called_{side}": called}
    decided = [one.fracture for one in judged.values() if not one.excluded]
    if decided:
        values |= {"probability": max(decided), "called": float(max(decided) >= threshold)}
    return values


def _says(side: str, one: JudgedHip | None, settings: Mapping[str, Any], scene: Scene) -> str:
    if one is None:
        return f"{side} hip not on the film" if scene.one_hip else f"{side} hip not found"
    if one.excluded:
        return f"{side} hip has metal, not judged"
    threshold = _threshold(settings)
    word = "fracture likely" if one.fracture >= threshold else "fracture not seen"
    return f"{side} hip: {word}, {one.fracture:.2f} (called from {threshold:.2f})"


def _box(one: JudgedHip) -> FoundBox:
    judged = None if one.excluded else one.fracture
    return FoundBox(one.hip.corners, one.hip.score, judged, one.hip.score, one.hip.side)


def _metal_in(judged: Mapping[str, JudgedHip]) -> Verdict:
    """A warning for each hip that metal excludes."""
    verdict = ACCEPTED
    for side, one in judged.items():
        if one.excluded:
            why = f"There is metal in the {side} hip: it is not judged for a fracture"
            verdict = verdict.merge(warned("metal", f"{why}, and a reader should look at it."))
    return verdict


def _side_of_file(image: Image, scene: Scene) -> Verdict:
    """A warning where the file of a film of one hip names the other side."""
    said = {"R": "right", "L": "left"}.get(str(image.acquisition.get("laterality", "")).upper())
    (side, *others) = scene.hips
    if said is None or others or said == side:
        return ACCEPTED
    return warned(
        "side_contradicts",
        f"The file says that this is the {said} hip, but it looks like a {side} one: a reader must"
        " say which it is.",
    )
