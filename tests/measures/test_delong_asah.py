"""DeLong on pROC's example data, 113 patients with a subarachnoid bleeding (Turck et al. 2010), to
the figures that pROC 1.18.0 prints for them.

The data come with R's package under the GPL, so they are not ours to pass on. RADLOOP_ASAH names
what `write.csv(pROC::aSAH, "asah.csv")` wrote.
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from radloop.measures.delong import auc_difference, auc_interval, delong

FILE = os.environ.get("RADLOOP_ASAH", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(FILE).is_file(), reason="RADLOOP_ASAH names no table of pROC"),
]
NAMES = ("wfns", "s100b", "ndka")
# roc(outcome, x): auc, var, ci.
CURVES = {
    "wfns": (0.823678861788618, 0.00146991470882363, 0.748534887819453, 0.898822835757783),
    "s100b": (0.731368563685637, 0.00266868245717244, 0.630118211761623, 0.832618915609651),
    "ndka": (0.611957994579946, 0.0031908105493913, 0.501244999271703, 0.722670989888189),
}
# roc.test(a, b): statistic, p, conf.int (of a - b); cov(a, b).
PAIRS = {
    ("wfns", "s100b"): (2.20898359144091, 0.0271757822291882, 0.0104061769564846,
                        0.174214419249478, 0.00119615567376754),
    ("wfns", "ndka"): (2.79777591868904, 0.00514557970691098, 0.0634011709339876,
                       0.360040563483357, -0.000532967856762438),
    ("ndka", "s100b"): (-1.39077002573558, 0.164295175223054, -0.287691744634191,
                        0.0488706064228094, -0.000756164938056579),
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    with Path(FILE).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 113
    scores = [[float(row[name]) for row in rows] for name in NAMES]
    return delong(scores, np.array([row["outcome"] == "Poor" for row in rows]))


@pytest.mark.parametrize("name", NAMES)
def test_curves(found, name):
    k = NAMES.index(name)
    area = auc_interval(found, k, scale="plain")
    measured = (area.value, found.covariance[k, k], area.low, area.high)
    assert measured == pytest.approx(CURVES[name], abs=1e-14)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_differences(found, a, b):
    i, j = NAMES.index(a), NAMES.index(b)
    pair = auc_difference(found, j, i)
    measured = (pair.z, pair.p, pair.low, pair.high, found.covariance[i, j])
    assert measured == pytest.approx(PAIRS[a, b], abs=1e-13)
