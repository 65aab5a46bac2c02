"""The whole way from ratings to the figures that MRMCaov prints, for Van Dyke et al. 1993: in its
guide for R and, of the unbiased covariances, in the README of its MATLAB toolbox (five digits).

The ratings are not ours to pass on: `VD.lrc` lies in the repository of RJafroc
(github.com/dpc10ster/RJafroc, inst/MRMCRuns/VD). RADLOOP_VANDYKE names the file.
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from radloop.measures.mrmc.covariance import covariance
from radloop.measures.mrmc.obuchowski_rockette import analyse
from radloop.measures.mrmc.study import ReaderStudy, accuracies
from radloop.measures.mrmc.u_statistics import u_statistics

FILE = os.environ.get("RADLOOP_VANDYKE", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path(FILE).is_file(), reason="RADLOOP_VANDYKE names no file VD.lrc"),
]


@pytest.fixture(scope="module")
def study():
    # After four lines of head: for each reader a name, the negatives, "*", the positives, "*".
    blocks = "\n".join(Path(FILE).read_text().splitlines()[4:]).split("*")[:10]
    tables = [
        [line.split()[:2] for line in block.splitlines() if len(line.split()) > 2]
        for block in blocks
    ]
    scores = np.array([
        [[float(row[m]) for row in tables[2 * r] + tables[2 * r + 1]] for r in range(5)]
        for m in range(2)
    ])  # fmt: skip
    assert scores.shape == (2, 5, 114)
    return ReaderStudy(scores, np.arange(114) >= 69)


# Error, Cov1, Cov2, Cov3; standard error, degrees of freedom and p of the difference.
PRINTED = {
    "jackknife": (0.0008022883, 0.0003466137, 0.0003440748, 0.0002390284, 0.0207486, 15.2597,
                  0.0516657),
    "delong": (0.0007921325, 0.0003420090, 0.0003395265, 0.0002358497, 0.0206825, 15.06611,
               0.05123303),
    "unbiased": (0.00078839, 0.00034167, 0.00033906, 0.00023561, 0.020672, 15.034, 0.051162),
}  # fmt: skip


@pytest.mark.parametrize("method", PRINTED)
def test_random_readers_and_cases(study, method):
    found = analyse(accuracies(study, "auc"), covariance(study, "auc", method))
    parts, difference = found.components, found.differences[0, 1]
    got = (parts.error, parts.cov1, parts.cov2, parts.cov3, difference.se, difference.df,
           difference.p)  # fmt: skip
    assert got == pytest.approx(PRINTED[method], rel=3e-5 if method == "unbiased" else 2e-6)


def test_sensitivity_of_three_and_more(study):
    called = ReaderStudy((study.scores >= 3).astype(float), study.truth)
    found = analyse(
        accuracies(called, "sensitivity"), covariance(called, "sensitivity", "jackknife")
    )
    difference = found.differences[0, 1]
    printed = (0.09777778, 0.03780451, 15.71732, 0.0175185, 0.1780371, 0.02008822)
    assert (difference.value, difference.se, difference.df, difference.low, difference.high,
            difference.p) == pytest.approx(printed, rel=1e-6)  # fmt: skip


@pytest.mark.parametrize(
    ("nested", "printed"),
    [("reader", (8.079682e-04, 0.01484629, 4, 0.04195875)),
     ("modality", (8.058382e-04, 0.03019283, 68.42325, 0.1514363))],
)  # fmt: skip
def test_nested_cases(study, nested, printed):
    copies = 5 if nested == "reader" else 2
    scores = np.full((2, 5, 114 * copies), math.nan)
    for k in range(copies):
        own = (slice(None), k) if nested == "reader" else (k, slice(None))
        scores[own][..., 114 * k : 114 * (k + 1)] = study.scores[own]
    apart = ReaderStudy(scores, np.tile(study.truth, copies))
    found = analyse(accuracies(apart, "auc"), covariance(apart, "auc", "jackknife"))
    difference = found.differences[0, 1]
    got = (found.components.error, difference.se, difference.df, difference.p)
    assert got == pytest.approx(printed, rel=1e-6)


def test_the_u_statistic_has_the_unbiased_standard_error(study):
    assert u_statistics(study, "auc").difference().se == pytest.approx(0.020672, rel=3e-5)
