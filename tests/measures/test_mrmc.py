"""Reader studies: published analyses, brute force by the definitions, and what has no answer."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.measures.classification import auc
from radloop.measures.delong import delong
from radloop.measures.mrmc.covariance import covariance
from radloop.measures.mrmc.obuchowski_rockette import analyse, mean_squares, one_against_readers
from radloop.measures.mrmc.study import ReaderStudy, accuracies, contrast, on_logit_scale
from radloop.measures.mrmc.u_statistics import mean_over_readers, u_statistics


def close(got, expected, rel=1e-6):
    assert np.asarray(got, float) == pytest.approx(np.asarray(expected, float), rel=rel, abs=1e-12)


def random_study(seed, t=2, r=3, m=5, n=6, missing=0.0, levels=4):
    rng = np.random.default_rng(seed)
    truth = np.repeat([True, False], [m, n])
    scores = rng.integers(0, levels, (t, r, m + n)).astype(float) + truth
    scores[rng.random(scores.shape) < missing] = math.nan
    return ReaderStudy(scores, truth)


# --- iMRMC 4.0.0 on its example "fakepilot2": 3 readers, 150 + 150 cases, answers of 0 and 1 -----
# (FDA, public domain: github.com/DIDSR/iMRMC). Each reader calls the first so many of each class.

PILOT = [[(150, 21), (150, 54), (138, 0)], [(150, 132), (150, 138), (150, 132)]]


@pytest.fixture(scope="module")
def pilot():
    place = np.arange(150)
    cells = [[np.r_[place < tp, place < fp] for tp, fp in readers] for readers in PILOT]
    return ReaderStudy(np.array(cells, float), np.repeat([1, 0], 150))


def test_imrmc_moments_and_coefficients(pilot):
    found = u_statistics(pilot, "auc").between
    close(found[0, 0].moments, [0.855, 0.825570, 0.848826, 0.819396,
                                0.821667, 0.814150, 0.821667, 0.814150], rel=1e-5)  # fmt: skip
    close(found[0, 1].moments, [0.5042, 0.500374, 0.5042, 0.500374,
                                0.504333, 0.499535, 0.504333, 0.499535], rel=2e-6)  # fmt: skip
    close(found[0, 0].coefficients, [1.48148e-5, 2.20741e-3, 2.20741e-3, 0.328904, 2.96296e-5,
                                     4.41481e-3, 4.41481e-3, -0.342193], rel=2e-6)  # fmt: skip


def test_imrmc_variances_and_intervals(pilot):
    found = u_statistics(pilot, "auc")
    first, second, difference = found.mean(0), found.mean(1), found.difference(1, 0)
    close([first.se**2, second.se**2, difference.se**2],
          [1.86122297e-3, 1.82252051e-4, 1.42393736e-3], rel=3e-9)  # fmt: skip
    close([first.low, first.high], [0.717708748, 1.08895792], rel=3e-9)
    close([second.low, second.high], [0.525722578, 0.580944089], rel=3e-9)
    close([difference.low, difference.high], [0.187638992, 0.512361008], rel=3e-9)
    close(difference.p, 1.14251514e-2, rel=3e-9)
    assert (first.df, second.df, difference.df) == (2, 29, 2)  # of 2.112, 29.428 and 2.399


def test_imrmc_covariances_and_its_obuchowski_rockette_components(pilot):
    table = covariance(pilot, "auc", "unbiased")
    close(table[0, :, 0, :], [[2.02013423e-4, 1.50335570e-4, 0], [1.50335570e-4, 3.86577181e-4, 0],
                              [0, 0, 1.23489933e-4]], rel=3e-9)  # fmt: skip
    close(table[0, :, 1, :], [[2.81879195e-5, 1.87919463e-5, 2.81879195e-5],
                              [7.24832215e-5, 4.83221477e-5, 7.24832215e-5],
                              [0, 0, 0]], rel=3e-9)  # fmt: skip
    found = analyse(accuracies(pilot, "auc"), table)
    parts = found.components
    close([parts.reader, parts.interaction, parts.cov1, parts.cov2, parts.cov3, parts.error],
          [8.39821e-4, 1.83915e-3, 2.55034e-5, 9.39597e-5, 3.19911e-5, 1.98322e-4],
          rel=3e-6)  # fmt: skip
    close(found.differences[0, 1].df, 2.39952379, rel=3e-9)  # dfHillis


# --- Van Dyke et al. 1993 as MRMCaov's guide and OR-DBM MRMC 2.51 print it: 5 readers, 2
# modalities, 114 cases. The analysis from the printed areas and covariances; from the ratings in
# test_mrmc_van_dyke.py.

AREAS = np.array([[0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
                  [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169]])  # fmt: skip


def made_covariance(error, cov1, cov2, cov3):
    """error, cov2: of both modalities."""
    table = np.full((2, 5, 2, 5), cov3)
    for i in range(2):
        table[i, :, i, :] = cov2[i]
    for i, j in product(range(2), range(5)):
        table[i, j, 1 - i, j] = cov1
        table[i, j, i, j] = error[i]
    return table


JACKKNIFE = made_covariance((0.0010141028, 0.0005904738), 0.0003466137,
                            (0.0004839618, 0.0002041879), 0.0002390284)  # fmt: skip
DELONG = made_covariance((0.0007921325,) * 2, 0.0003420090,
                         (0.0004775239, 0.0002015292), 0.0002358497)  # fmt: skip


def test_van_dyke_random_readers_and_cases():
    found = analyse(AREAS, DELONG)
    close(found.mean_squares[0], 0.004796171, rel=1e-6)
    close(found.mean_squares[2], 0.0005510306, rel=1e-6)
    close([found.components.reader, found.components.interaction],
          [0.0015364254, 0.0002045840], rel=1e-6)  # fmt: skip
    difference = found.differences[0, 1]
    close([found.statistic, found.df2, found.p], [4.484854, 15.06611, 0.05123303])
    close([difference.value, difference.se, difference.statistic, difference.df, difference.p],
          [0.04380032, 0.0206825, 2.117747, 15.06611, 0.05123303])  # fmt: skip
    assert difference.low == pytest.approx(-0.0002665519, abs=1e-7)
    assert difference.high == pytest.approx(0.0878671960, abs=1e-7)
    for mean, printed in zip(found.means, (
        (0.8970370, 0.03307642, 12.59597, 0.8253461, 0.9687280),
        (0.9408374, 0.02150464, 12.56530, 0.8942155, 0.9874592),
    ), strict=True):  # fmt: skip
        close([mean.value, mean.se, mean.df, mean.low, mean.high], printed)


def test_van_dyke_fixed_readers():
    found = analyse(AREAS, JACKKNIFE, random_readers=False)
    close([found.statistic, found.p], [5.475953, 0.01927984])
    difference = found.differences[0, 1]
    close([difference.se, difference.low, difference.high], [0.01871748, 0.00711473, 0.08048591])
    close([mean.se for mean in found.means], [0.02428971, 0.01677632])


def test_van_dyke_fixed_cases():
    found = analyse(AREAS, JACKKNIFE, random_cases=False)
    difference = found.differences[0, 1]
    close([found.statistic, found.p], [8.704, 0.04195875])
    close([difference.se, difference.df], [0.01484629, 4])
    close([difference.low, difference.high], [0.00258042, 0.08502022], rel=2e-6)
    close([found.means[0].low, found.means[0].high], [0.8280981, 0.9659760])


def test_van_dyke_cases_nested_within_modalities():
    alone = made_covariance((0.0008058382,) * 2, 0.0, (0.0004861032, 0.0002050913), 0.0)
    found = analyse(AREAS, alone)
    close([found.statistic, found.df2, found.p], [2.104491, 68.42325, 0.1514363])
    close(found.differences[0, 1].se, 0.03019283)


# --- By the definitions ---------------------------------------------------------------------------


def success(positive, negative):
    if math.isnan(positive) or math.isnan(negative):
        return None
    return 1.0 if positive > negative else 0.5 if positive == negative else 0.0


def moments_by_enumeration(study, a, b):
    """Means of products of successes by what two readings share, in the order M1 to M8."""
    pairs = []
    for modality in (a, b):
        rows = []
        for r, scores in enumerate(study.scores[modality]):
            for i, j in product(np.flatnonzero(study.truth), np.flatnonzero(~study.truth)):
                value = success(scores[i], scores[j])
                if value is not None:
                    rows.append((r, i, j, value))
        pairs.append(rows)
    sums, counts = np.zeros(8), np.zeros(8)
    for (r, i, j, x), (s, k, m, y) in product(*pairs):
        place = 4 * (r != s) + 2 * (i != k) + (j != m)
        # iMRMC's order: M2 is "other negative", M3 "other positive".
        sums[place] += x * y
        counts[place] += 1
    total = len(pairs[0]) * len(pairs[1])
    with np.errstate(invalid="ignore"):
        return sums / counts, counts / total, np.mean([x[3] for x in pairs[0]])


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_u_statistics_are_means_over_all_pairs(missing):
    study = random_study(4, missing=missing)
    found = u_statistics(study, "auc")
    for a, b in ((0, 0), (0, 1), (1, 1)):
        moments, shares, value = moments_by_enumeration(study, a, b)
        shares[7] -= 1
        close(found.between[a, b].moments, moments, rel=1e-12)
        close(found.between[a, b].coefficients, shares, rel=1e-12)
        close(found.between[a, b].covariance, np.nansum(shares * moments), rel=1e-9)
        close(found.values[a], value, rel=1e-12)


def test_the_variance_of_a_sensitivity_by_enumeration():
    rng = np.random.default_rng(0)
    truth = np.repeat([True, False], [7, 3])
    study = ReaderStudy((rng.random((1, 4, 10)) < 0.6).astype(float), truth)
    right = study.scores[0][:, truth]
    sums, counts = np.zeros((2, 2)), np.zeros((2, 2))
    for r, s, i, k in product(range(4), range(4), range(7), range(7)):
        sums[int(r != s), int(i != k)] += right[r, i] * right[s, k]
        counts[int(r != s), int(i != k)] += 1
    shares = counts / counts.sum()
    shares[1, 1] -= 1
    found = u_statistics(study, "sensitivity").mean()
    close(found.value, right.mean(), rel=1e-12)
    close(found.se**2, (shares * sums / counts).sum(), rel=1e-9)
    mirrored = ReaderStudy(1 - study.scores, ~truth)
    close(u_statistics(mirrored, "specificity").mean().se, found.se, rel=1e-12)


def test_a_modality_with_one_reader_is_fixed():
    # The variance for cases alone, which the unbiased covariance of that reader is.
    study = random_study(2, t=1, r=1, m=6, n=7)
    own = covariance(study, "auc", "unbiased")[0, 0, 0, 0]
    close(u_statistics(study, "auc").mean().se ** 2, own, rel=1e-9)


def test_readers_of_one_modality_each():
    # Not paired by reader: the variance of the difference by enumeration.
    study = random_study(7, r=4, m=6, n=6)
    study.scores[0, 2:] = math.nan
    study.scores[1, :2] = math.nan
    total = 0.0
    for a, b, sign in ((0, 0, 1), (1, 1, 1), (0, 1, -2)):
        moments, shares, _ = moments_by_enumeration(study, a, b)
        shares[7] -= 1
        total += sign * np.nansum(shares * moments)
    found = u_statistics(study, "auc")
    variance = found.covariance[0, 0] + found.covariance[1, 1] - 2 * found.covariance[0, 1]
    close(variance, total, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_obuchowski_rockette_with_unbiased_covariances_is_the_u_statistic(seed):
    # Of a crossed study, where Cov2 - Cov3 needs no bound at zero (Hillis 2014).
    study = random_study(seed, m=8, n=9)
    found = analyse(accuracies(study, "auc"), covariance(study, "auc", "unbiased"))
    by_moments = u_statistics(study, "auc")
    variance = (
        by_moments.covariance[0, 0] + by_moments.covariance[1, 1] - 2 * by_moments.covariance[0, 1]
    )
    parts = found.components
    error = found.mean_squares[2] + 3 * (parts.cov2 - parts.cov3)
    assert 2 / 3 * error == pytest.approx(variance, abs=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_jackknife_leaves_out_each_case(missing):
    study = random_study(1, m=8, n=9, missing=missing)
    n = study.truth.size
    left = np.empty((n, 6))
    for k in range(n):
        for c, scores in enumerate(study.cells):
            keep = ~np.isnan(scores) & (np.arange(n) != k)
            left[k, c] = auc(scores[keep], study.truth[keep])
    away = left - left.mean(axis=0)
    close(covariance(study, "auc", "jackknife").reshape(6, 6), (n - 1) / n * away.T @ away, 1e-9)


def test_delong_of_a_crossed_study():
    study = random_study(3, m=8, n=9)
    table = covariance(study, "auc", "delong").reshape(6, 6)
    close(table, delong(study.cells, study.truth).covariance, rel=1e-10)


def test_delong_clustered_by_patient():
    study = random_study(3, m=8, n=9)
    patients = tuple(f"p{k % 9}" for k in range(17))
    table = covariance(ReaderStudy(study.scores, study.truth, patients), "auc", "delong")
    expected = delong(study.cells, study.truth, patients).covariance
    close(table.reshape(6, 6), expected, rel=1e-10)
    for method in ("jackknife", "unbiased"):
        with pytest.raises(ValueError, match="independent"):
            covariance(ReaderStudy(study.scores, study.truth, patients), "auc", method)


def test_the_bootstrap_agrees_with_delong():
    study = random_study(3, r=2, m=60, n=60, levels=8)
    drawn = covariance(study, "auc", "bootstrap", resamples=4000).reshape(4, 4)
    exact = covariance(study, "auc", "delong").reshape(4, 4)
    # 4,000 resamples know a variance within some 4 %.
    assert np.abs(drawn - exact).max() < 0.12 * exact.max()


def test_cells_without_a_common_case_do_not_vary_together():
    study = random_study(5, m=8, n=8)
    study.scores[0, :, ::2] = math.nan
    study.scores[1, :, 1::2] = math.nan
    for method in ("delong", "jackknife", "unbiased"):
        assert np.all(covariance(study, "auc", method)[0, :, 1, :] == 0)


def test_mean_squares_are_those_of_a_least_squares_fit():
    values = np.random.default_rng(0).random((3, 4))
    y = values.ravel()
    modality, reader = np.repeat(np.eye(3), 4, axis=0), np.tile(np.eye(4), (3, 1))

    def residual(*blocks):
        design = np.hstack([np.ones((12, 1)), *blocks])
        return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())

    full = residual(modality, reader)
    expected = ((residual(reader) - full) / 2, (residual(modality) - full) / 3, full / 6)
    close(mean_squares(values), expected, rel=1e-9)


def test_one_against_readers_is_the_analysis_of_the_differences():
    study = random_study(8, t=1, r=5, m=20, n=20)
    values = accuracies(study, "auc")[0]
    table = covariance(study, "auc", "delong")[0, :, 0, :]
    found = one_against_readers(values[0], values[1:], table)
    away = np.array([[1.0, *(-(k == j) * 1.0 for k in range(4))] for j in range(4)])
    joint = away @ table @ away.T
    cov2 = max(joint[~np.eye(4, dtype=bool)].mean(), 0)
    square = np.var(values[0] - values[1:], ddof=1)
    close(found.value, values[0] - values[1:].mean(), rel=1e-12)
    close(found.se**2, (square + 4 * cov2) / 4, rel=1e-9)
    close(found.df, (square + 4 * cov2) ** 2 / (square**2 / 3), rel=1e-9)


def test_the_mean_over_readers_of_any_quantity():
    values = np.random.default_rng(2).normal(3, 1, (4, 30))
    found = mean_over_readers(values)
    close(found.value, values.mean(), rel=1e-12)
    # Two-way random effects: E[MS_reader] + E[MS_case] - E[MS_rest], over all readings.
    of_reader, of_case, rest = mean_squares(values)
    close(found.se**2, (of_reader + of_case - rest) / values.size, rel=1e-9)


# --- What has no answer ---------------------------------------------------------------------------


def test_shapes_and_truth_are_checked():
    with pytest.raises(ValueError, match="shape"):
        ReaderStudy(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="0 and 1"):
        ReaderStudy(np.zeros((1, 1, 2)), np.array([0, 2]))
    with pytest.raises(ValueError, match="infinite"):
        ReaderStudy(np.full((1, 1, 2), math.inf), np.array([0, 1]))
    with pytest.raises(ValueError, match="patients"):
        ReaderStudy(np.zeros((1, 1, 2)), np.array([0, 1]), ("a",))
    with pytest.raises(ValueError, match="answers of 0 and 1"):
        accuracies(random_study(0), "sensitivity")


def test_what_cannot_be_inferred_is_refused():
    study = random_study(0, r=1, m=8, n=8)
    table = covariance(study, "auc", "delong")
    with pytest.raises(ValueError, match="one reader"):
        analyse(accuracies(study, "auc"), table)
    assert analyse(accuracies(study, "auc"), table, random_readers=False).differences[0, 1].se > 0
    with pytest.raises(ValueError, match="nothing to infer"):
        analyse(accuracies(study, "auc"), table, random_readers=False, random_cases=False)
    with pytest.raises(ValueError, match="covariance of shape"):
        analyse(np.zeros((2, 2)), table)
    with pytest.raises(ValueError, match="independent"):
        u_statistics(ReaderStudy(study.scores, study.truth, ("a",) * 16), "auc")


def test_a_reader_who_never_read_a_positive_case():
    study = random_study(0, m=6, n=6)
    study.scores[:, 0, study.truth] = math.nan
    assert np.isnan(accuracies(study, "auc")[:, 0]).all()
    with pytest.raises(ValueError, match="no accuracy in some modality"):
        analyse(accuracies(study, "auc"), covariance(study, "auc", "delong"))
    assert math.isfinite(u_statistics(study, "auc").difference().value)  # of the others


def test_one_class_only():
    study = ReaderStudy(np.zeros((2, 3, 4)), np.ones(4))
    assert np.isnan(accuracies(study, "auc")).all()
    assert np.isnan(accuracies(study, "specificity")).all()
    assert np.isnan(covariance(study, "auc", "delong")).all()
    assert math.isnan(u_statistics(study, "auc").mean().se)
    assert (accuracies(study, "sensitivity") == 0).all()


def test_constant_scores_have_no_interval():
    study = ReaderStudy(np.ones((2, 3, 12)), np.repeat([1, 0], 6))
    assert (accuracies(study, "auc") == 0.5).all()
    found = analyse(accuracies(study, "auc"), covariance(study, "auc", "jackknife"))
    difference = found.differences[0, 1]
    assert (difference.value, difference.se, difference.p) == (0.0, 0.0, 1.0)
    assert math.isnan(difference.low) and found.p == 1.0
    assert u_statistics(study, "auc").difference().p == 1.0


def test_readers_who_are_all_alike_leave_the_cases_to_vary():
    study = random_study(0, r=1, m=12, n=12)
    alike = ReaderStudy(np.repeat(study.scores, 3, axis=1), study.truth)
    found = analyse(accuracies(alike, "auc"), covariance(alike, "auc", "delong"))
    alone = analyse(
        accuracies(study, "auc"), covariance(study, "auc", "delong"), random_readers=False
    )
    assert math.isinf(found.differences[0, 1].df)
    close(found.differences[0, 1].se, alone.differences[0, 1].se, rel=1e-9)


def test_bounds_are_values_that_there_are():
    # Two readers as unlike as can be: Student's t with one degree of freedom reaches beyond.
    values, table = np.array([[0.0, 1.0], [0.1, 0.2]]), np.zeros((2, 2, 2, 2))
    found = analyse(values, table)
    assert (found.means[0].low, found.means[0].high) == (0.0, 1.0)
    assert (found.differences[0, 1].low, found.differences[0, 1].high) == (-1.0, 1.0)
    beside = one_against_readers(0.7, values[0], np.zeros((3, 3)))
    assert (beside.value, beside.low, beside.high) == (pytest.approx(0.2), -1.0, 1.0)
    assert beside.se == pytest.approx(0.5)


def test_single_cases():
    study = random_study(0, m=1, n=5)
    assert np.isnan(covariance(study, "auc", "delong")).all()
    assert math.isnan(u_statistics(study, "auc").mean().se)


def test_contrasts():
    assert contrast(1.0, math.nan).se != contrast(1.0, math.nan).se
    assert math.isnan(contrast(1.0, -1.0).low)
    assert math.isnan(contrast(1.0, 0.0).p) and math.isnan(contrast(1.0, 0.0).p_above(0.0))
    found = contrast(0.2, 0.01)
    close([found.low, found.high, found.p], [0.2 - 0.1959963985, 0.2 + 0.1959963985, 0.0455002639])
    close([found.p_above(0.2), found.p_above(0.0)], [0.5, 0.0227501319])
    wide = on_logit_scale(contrast(0.98, 0.01))
    assert 0 < wide.low < 0.98 < wide.high < 1
    assert on_logit_scale(contrast(1.0, 0.01)).high > 1  # as it was
