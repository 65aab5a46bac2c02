"""What judges a model of hemorrhage: measures of scans and of slices, any bleed and each type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radloop.measures.calibration import weighted_log_loss
from radloop.measures.classification import (
    at_threshold,
    auc,
    brier_score,
    expected_calibration_error,
    sensitivity,
    specificity,
    youden,
)
from radloop.measures.spec import MeasureSpec
from radloop.systems.head.labels import KINDS, LABELS, WEIGHTS


def _binary(prefix: str, title: str) -> list[MeasureSpec]:
    """What judges one label. The AUC takes logits as the network gave them: calibrated ones know
    the cases they were calibrated on, which in a cross-validation are the ones that are judged."""
    logit, truth, called = f"{prefix}_logit", f"{prefix}_truth", f"{prefix}_called"
    return [
        MeasureSpec(f"{prefix}_auc", (logit, truth), auc, f"{title}: AUC"),
        MeasureSpec(f"{prefix}_sensitivity", (called, truth), at_threshold(sensitivity, 0.5),
                    f"{title}: sensitivity"),
        MeasureSpec(f"{prefix}_specificity", (called, truth), at_threshold(specificity, 0.5),
                    f"{title}: specificity"),
        MeasureSpec(f"{prefix}_youden", (called, truth), at_threshold(youden, 0.5),
                    f"{title}: Youden index"),
    ]  # fmt: skip


def _calibrated(prefix: str, title: str) -> list[MeasureSpec]:
    columns = (f"{prefix}_probability", f"{prefix}_truth")
    return [
        MeasureSpec(f"{prefix}_ece", columns, expected_calibration_error,
                    f"{title}: expected calibration error", "", "lower"),
        MeasureSpec(f"{prefix}_brier", columns, brier_score, f"{title}: Brier score", "", "lower"),
    ]  # fmt: skip


def _log_loss(*columns: npt.NDArray[np.float64]) -> float:
    """Columns: the probabilities of all labels, then their truths."""
    probability, truth = np.stack(columns[:6], axis=1), np.stack(columns[6:], axis=1)
    return weighted_log_loss(probability, truth, WEIGHTS)


def measures_of_level(level: str) -> tuple[MeasureSpec, ...]:
    """level: "scan" or "slice". Columns: `<level>_<label>_probability`, `_truth` and `_called`."""
    every = [f"{level}_{label}" for label in LABELS]
    columns = (*(f"{name}_probability" for name in every), *(f"{name}_truth" for name in every))
    title = "Scan" if level == "scan" else "Slice"
    specs = [*_binary(every[0], f"{title}, any bleed"), *_calibrated(every[0], f"{title}, any")]
    for kind in KINDS:
        specs += _binary(f"{level}_{kind}", f"{title}, {kind}")
    return (
        *specs,
        MeasureSpec(f"{level}_log_loss", columns, _log_loss, f"{title}: weighted log loss", "",
                    "lower"),
    )  # fmt: skip
