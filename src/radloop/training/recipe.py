"""`Recipe`: how a network is trained, as plain numbers that go into `model.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Augmentation:
    """How far a training film may be moved and re-exposed; zero switches a part off.

    rotation, shear: largest angle in degrees. shift: largest shift as a fraction of the side.
    zoom: largest factor either way (1.3 = from 1/1.3 to 1.3); stretch: the same for the ratio of
    the two sides. elastic: standard deviation of the displacement as a fraction of the side, at
    control points `elastic_grid` to a side (Simard 2003; Ronneberger 2015). mirror: probability of
    a left-right flip, at which the labels of paired structures are swapped.
    gamma: largest exponent either way, after stretching the film to its whole range; with gamma 1,
    bias 0, equalise 0 and clahe 0 the exposure is left alone. bias: standard deviation of a smooth
    exposure field. noise, blur: largest standard deviation (fraction of the range; px). equalise:
    probability of histogram equalisation; clahe: of the contrast-limited adaptive one. blocks:
    probability of painting a black or white marker or collimation edge. negatives: probability that
    a film is turned by 90, 180 or 270 degrees, or magnified to a piece without layout, and its
    target emptied: what no system should recognise.
    """

    rotation: float = 8.0
    shear: float = 4.0
    shift: float = 0.08
    zoom: float = 1.3
    stretch: float = 1.12
    elastic: float = 0.012
    elastic_grid: int = 6
    mirror: float = 0.0
    gamma: float = 2.2
    bias: float = 0.25
    noise: float = 0.04
    blur: float = 1.2
    equalise: float = 0.1
    clahe: float = 0.0
    blocks: float = 0.35
    negatives: float = 0.07


@dataclass(frozen=True)
class Recipe:
    """One way of training.

    size: side of the network's input, px. cache_scale: films are kept this much larger than the
    input, so that warping and resampling happen in one step. epochs: used when neither `--epochs`
    nor `--minutes` is given. patience: epochs without a better validation score before training
    stops, 0 = never. ema: decay of the moving average of the weights a step, 0 = none.
    validate_every: epochs between validations. keep: the weights of the "best" validation, or of
    the "last", for which the validation cases decide nothing. slices: of a scan, how many are drawn
    for a step. repeats: how often each case is drawn in an epoch, where a draw is a patch of it.
    optimizer: "adamw", under a cosine after the warm-up, or "adadelta" (Zeiler 2012) at a constant
    rate. probe: leave the encoder as it is and fit the heads on its features, in systems
    that can. encoder_rate: learning rate of the network's `encoder` as a share of the rest's, and
    freeze: its first layers that keep their weights (negative: all but so many), both for an
    encoder that starts pre-trained; thaw: the share of the training after which they learn too,
    0 = never. second: how a second network is trained, in systems that look twice.
    """

    size: int = 256
    cache_scale: float = 1.5
    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: float = 0.03
    epochs: int = 300
    patience: int = 0
    ema: float = 0.998
    validate_every: int = 5
    keep: Literal["best", "last"] = "best"
    slices: int = 12
    repeats: int = 1
    optimizer: Literal["adamw", "adadelta"] = "adamw"
    probe: bool = False
    encoder_rate: float = 1.0
    freeze: int = 0
    thaw: float = 0.0
    bfloat16: bool = True
    augmentation: Augmentation = field(default_factory=Augmentation)
    second: Recipe | None = None
