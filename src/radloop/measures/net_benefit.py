"""Is it better to act on the model than on everybody or nobody: decision curves.

The net benefit at a threshold probability t is TP/n - FP/n * t/(1 - t): the true positives, less
the false alarms at the exchange rate that t expresses (who acts at t = 0.1 takes nine false alarms
for one finding). Vickers and Elkin 2006, Med Decis Making 26:565. Treating nobody is 0.

`probability` must be calibrated for t to mean a probability; `truth` is 0/1 or boolean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]

THRESHOLDS = np.arange(1, 100) / 100
_CHUNK = 100


def net_benefit(probability: npt.ArrayLike, truth: npt.ArrayLike, threshold: float) -> float:
    """Of acting on the cases with `probability >= threshold`; NaN without cases.

    ValueError for a threshold outside of [0, 1).
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"a threshold probability of {threshold}")
    p, y = _checked(probability, truth)
    if not p.size:
        return math.nan
    called = p >= threshold
    hits, alarms = float(y[called].sum()), float((1 - y[called]).sum())
    return (hits - alarms * threshold / (1 - threshold)) / p.size


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefits over thresholds `(t,)`, with pointwise intervals.

    model: of acting on the model; all: of acting on everybody. gain: of the model over the better
    of "everybody" and "nobody". Bounds are NaN with one patient only.
    """

    thresholds: Floats
    model: Floats
    low: Floats
    high: Floats
    all: Floats
    gain: Floats
    gain_low: Floats
    gain_high: Floats
    n: int
    method: str

    def useful(self) -> tuple[float, float] | None:
        """The ends of the widest run of thresholds at which the gain's interval lies above 0."""
        runs: list[tuple[float, float]] = []
        start = None
        for t, better in zip(self.thresholds, self.gain_low > 0, strict=True):
            start = t if better and start is None else start if better else None
            if better and start is not None:
                runs.append((float(start), float(t)))
        return max(runs, key=lambda run: run[1] - run[0], default=None)


def decision_curve(
    probability: npt.ArrayLike,
    truth: npt.ArrayLike,
    patients: Sequence[str] | None = None,
    *,
    thresholds: Floats = THRESHOLDS,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> DecisionCurve:
    """The curve of a model, its intervals by a bootstrap of patients (percentiles).

    thresholds: rising, in [0, 1). ValueError for others, and for probabilities outside of [0, 1].
    """
    t = np.asarray(thresholds, np.float64)
    if not t.size or t[0] < 0 or t[-1] >= 1 or (np.diff(t) <= 0).any():
        raise ValueError("thresholds must rise within [0, 1)")
    p, y = _checked(probability, truth)
    method = f"patient bootstrap, {n} resamples, percentile, {level:.0%}"
    if not p.size:
        nothing = np.full(t.size, math.nan)
        return DecisionCurve(t, *(nothing,) * 7, 0, method)
    names = np.arange(p.size) if patients is None else np.asarray(patients)
    _, patient = np.unique(names, return_inverse=True)
    count = int(patient.max()) + 1
    # A case is called at the thresholds up to its probability: the first `place` of them.
    place = np.searchsorted(t, p, side="right")
    weights = t / (1 - t)

    def benefits(hits: Floats, alarms: Floats, size: Floats) -> tuple[Floats, Floats, Floats]:
        """From sums by place `(b, t + 1)`: net benefit of the model, of everybody, the gain."""
        hits, alarms = (np.cumsum(x[:, ::-1], axis=1)[:, ::-1] for x in (hits, alarms))
        model = (hits[:, 1:] - alarms[:, 1:] * weights) / size
        everybody = (hits[:, :1] - alarms[:, :1] * weights) / size
        return model, everybody, model - np.maximum(everybody, 0.0)

    # The sums of every patient by place, so that a resample is a weighted sum of columns. They
    # are sparse: a case is called in one place only.
    shape = (t.size + 1, count)
    hits, alarms = (sparse.csr_array((x, (place, patient)), shape=shape) for x in (y, 1 - y))
    once = np.ones((count, 1))
    model, everybody, gain = benefits(
        (hits @ once).T, (alarms @ once).T, np.array([[float(p.size)]])
    )
    if count < 2:
        nothing = np.full(t.size, math.nan)
        return DecisionCurve(t, model[0], nothing, nothing, everybody[0], gain[0], nothing,
                             nothing, p.size, method)  # fmt: skip
    generator = np.random.default_rng(seed)
    sizes = np.bincount(patient).astype(np.float64)
    models, gains = [], []
    for start in range(0, n, _CHUNK):
        many = min(_CHUNK, n - start)
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=many).T.astype(float)
        one = benefits((hits @ drawn).T, (alarms @ drawn).T, (sizes @ drawn)[:, None])
        models.append(one[0])
        gains.append(one[2])
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(np.concatenate(models), tails, axis=0)
    gain_low, gain_high = np.quantile(np.concatenate(gains), tails, axis=0)
    return DecisionCurve(t, model[0], low, high, everybody[0], gain[0], gain_low, gain_high,
                         p.size, method)  # fmt: skip


def _checked(probability: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    p, y = np.asarray(probability, np.float64), np.asarray(truth, np.float64)
    if p.shape != y.shape or p.ndim != 1:
        raise ValueError(f"expected two lists of one length, got {p.shape}, {y.shape}")
    if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):
        raise ValueError("probabilities must lie in [0, 1]; leave unknown cases (NaN) out first")
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("expected 0 and 1 only; leave unknown cases (NaN) out first")
    return p, y
