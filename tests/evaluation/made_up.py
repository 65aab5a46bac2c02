"""Made-up judged cases of a heart measurement, two films for every third patient."""

from collections.abc import Sequence

import numpy as np

from radloop.measures.agreement import bias, mean_absolute_error
from radloop.measures.classification import at_threshold, auc, sensitivity
from radloop.measures.spec import Agreement, Distribution, MeasureSpec, Roc


def mean(x: np.ndarray) -> float:
    return float(np.mean(x))


MEASURES = (
    MeasureSpec("dice_heart", ("dice_heart",), mean, "Heart, Dice"),
    MeasureSpec("hd95_heart", ("hd95_heart",), mean, "Heart, HD95", "mm", "lower"),
    MeasureSpec("ctr_mae", ("ctr", "ctr_reference"), mean_absolute_error, "CTR error", "", "lower"),
    MeasureSpec("ctr_bias", ("ctr", "ctr_reference"), bias, "CTR bias", "", "neither"),
    MeasureSpec("auc", ("ctr", "large"), auc, "AUC"),
    MeasureSpec("sensitivity", ("ctr", "large"), at_threshold(sensitivity, 0.5), "Sensitivity"),
)
FIGURES = (
    Distribution("Overlap", ("dice_heart", "dice_lungs")),
    Agreement("Cardiothoracic ratio", "ctr", "ctr_reference"),
    Roc("CTR above .5", "ctr", "large", 0.5),
)


def judged(n: int = 40, seed: int = 0, noise: float = 0.01) -> list[dict[str, object]]:
    """`n` rows; `seed` changes what the model said, never what is true."""
    truth = np.random.default_rng(99).normal(0.5, 0.06, n)
    model = np.random.default_rng(seed)
    said = truth + model.normal(0.002, noise, n)
    return [
        {
            "case_id": f"film-{i:03}",
            "patient_id": f"patient-{i - (i % 3 == 2)}",
            "verdict": "accepted",
            "dice_heart": 1 - abs(model.normal(0, 4 * noise)),
            "dice_lungs": 1 - abs(model.normal(0, 2 * noise)),
            "hd95_heart": abs(model.normal(0, 400 * noise)),
            "ctr": said[i],
            "ctr_reference": None if i == 3 else truth[i],
            "large": bool(truth[i] > 0.5),
        }
        for i in range(n)
    ]


def without(rows: Sequence[dict[str, object]], name: str) -> list[dict[str, object]]:
    """The rows without one column."""
    return [{key: value for key, value in row.items() if key != name} for row in rows]
