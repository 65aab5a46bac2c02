"""Made-up judged cases of one yes-or-no question with sex, age and site, and what judges them."""

import numpy as np

from radloop.measures.classification import at_threshold, auc, sensitivity
from radloop.measures.spec import MeasureSpec, Reliability, Roc

FIGURES = (
    Roc("Film: ROC", "probability", "positive"),
    Reliability("Film: calibration", "probability", "positive"),
)
MEASURES = (
    MeasureSpec("auc", ("probability", "positive"), auc, "Film: AUC"),
    MeasureSpec("sensitivity", ("called", "positive"), at_threshold(sensitivity, 0.5)),
)


def asked(n: int = 200, seed: int = 0, worse_in: str = "") -> list[dict[str, object]]:
    """`n` rows; two films for every tenth patient; every fortieth is refused. worse_in: a site
    whose positive cases the model does not see."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for i in range(n):
        truth = bool(rng.random() < 0.35)
        site, sex = str(rng.choice(["north", "south"])), str(rng.choice(["F", "M", ""]))
        shift = 0.0 if site == worse_in else 2.5 * truth
        p = float(1 / (1 + np.exp(-rng.normal(shift - 1.2, 1.0))))
        row: dict[str, object] = {
            "case_id": f"film-{i:04}", "patient_id": f"p{i - (i % 10 == 9)}",
            "verdict": "accepted", "code": "ok", "probability": p, "positive": float(truth),
            "called": float(p >= 0.4), "about:site": site, "about:sex": sex,
            "about:age": str(int(rng.integers(15, 95))),
        }  # fmt: skip
        if i % 40 == 5:
            nothing = dict.fromkeys(("probability", "positive", "called"), float("nan"))
            row |= {"verdict": "refused", "code": "cut_off", **nothing}
        rows.append(row)
    return rows
