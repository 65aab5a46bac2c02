"""The model beside human readers: from made-up tables to numbers that can be counted by hand."""

import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from radloop.errors import CaseTableError, InputError
from radloop.evaluation.readers.against import compare_pair, p_above
from radloop.evaluation.readers.judged import Columns
from radloop.evaluation.readers.picture import PLACES, name_places
from radloop.evaluation.readers.run import beside_counts, beside_readers
from radloop.evaluation.readers.single import majority
from radloop.evaluation.readers.table import read_readings
from radloop.measures.interval import wilson
from radloop.measures.spec import Reliability, Roc

TRUTH = [1] * 10 + [0] * 10
MODEL = [1] * 8 + [0] * 2 + [1] * 3 + [0] * 7  # sensitivity .8, specificity .7
ANNA = [1] * 6 + [0] * 4 + [0] * 9 + [1]  # .6 and .9
BEN = [0] * 3 + [1] * 7 + [1] * 2 + [0] * 8  # .7 and .8


def write_report(folder, truth=TRUTH, called=MODEL, patients=None, score=None):
    folder.mkdir(parents=True, exist_ok=True)
    score = score or [0.6 + k / 1000 if c else 0.2 + k / 1000 for k, c in enumerate(called)]
    patients = patients or [f"p{k}" for k in range(len(truth))]
    about = {"system": "made_up", "model": {"name": "m"}}
    (folder / "report.json").write_text(json.dumps(about))
    rows = [f"c{k},{patients[k]},{score[k]},{called[k]},{truth[k]}" for k in range(len(truth))]
    head = "case_id,patient_id,probability,called,positive"
    (folder / "cases.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def write_table(path, answers, head="case_id,reader,answer", extra=""):
    """answers: name -> one a case; None = no row."""
    rows = [
        f"c{k},{name},{'' if said == '' else said}{extra}"
        for name, column in answers.items()
        for k, said in enumerate(column)
        if said is not None
    ]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.fixture
def report(tmp_path):
    return write_report(tmp_path / "report")


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "readers.csv", {"anna": ANNA, "ben": BEN})


def by_name(found, modality=None):
    return {s.name: s for s in found.singles if modality in (None, s.modality)}


def test_each_reader_by_hand(report, table):
    found = beside_readers(report, table, resamples=50)
    assert (found.n, found.positives, found.patients) == (20, 10, 20)
    single = by_name(found)
    assert list(single) == ["model", "anna", "ben"]
    assert single["anna"].confusion == (6, 1, 9, 4)
    shares = {name: interval.value for name, interval in single["anna"].shares.items()}
    expected = {"sensitivity": 0.6, "specificity": 0.9, "accuracy": 0.75, "youden": 0.5,
                "ppv": 6 / 7, "npv": 9 / 13}  # fmt: skip
    assert shares == pytest.approx(expected)
    sensitivity = single["anna"].shares["sensitivity"]
    assert (sensitivity.low, sensitivity.high) == (wilson(6, 10).low, wilson(6, 10).high)
    # Anna and the model agree on 6 + 2 positives and 6 negatives of 20: both yes 6, both no 8.
    observed, chance = 14 / 20, (7 * 11 + 13 * 9) / 400
    assert single["anna"].kappa_model.value == pytest.approx((observed - chance) / (1 - chance))
    assert single["model"].kappa_model is None
    assert single["anna"].kappa_truth.value == pytest.approx(0.5)


def test_paired_differences_by_hand(report, table):
    found = beside_readers(report, table, margin=0.1, resamples=50)
    pairs = {(pair.a_name, pair.endpoint): pair for pair in found.against}
    pair = pairs["anna", "sensitivity"]
    assert (pair.only_a, pair.only_b, pair.a, pair.b) == (0, 2, 0.6, 0.8)
    assert pair.difference.value == pytest.approx(0.2)
    assert pair.p == pytest.approx(0.25)  # mid-p of 0 in 2: 2 * 0.25 - 0.25
    assert pairs["anna", "specificity"].difference.value == pytest.approx(-0.2)
    assert all(p.p_holm >= p.p for p in found.against)
    assert pair.p_holm == pytest.approx(min(1, 4 * min(p.p for p in found.against)))
    assert {p.verdict for p in found.against} == {"inconclusive"}  # twenty cases show nothing


def test_non_inferiority_p_meets_the_interval():
    for hits in (40, 80, 95):

        def interval(level, hits=hits):
            return wilson(hits, 100, level)

        for bound in (hits / 100 - 0.2, hits / 100 - 0.05, hits / 100 + 0.03):
            p = p_above(interval, bound)
            assert 0 < p < 1
            if p < 0.5:
                assert interval(1 - 2 * p).low == pytest.approx(bound, abs=1e-6)
            else:
                assert interval(2 * p - 1).high == pytest.approx(bound, abs=1e-6)


def test_a_large_study_shows_non_inferiority_and_superiority():
    truth = np.repeat([True, False], 400)
    names = tuple(str(k) for k in range(800))
    reader = np.tile([1.0, 1.0, 1.0, 0.0], 200)
    good = reader.copy()
    good[3:400:4] = 1  # finds what the reader found, and the rest
    pair = compare_pair(("r", "m"), reader, good, truth, names, margin=0.05)[0]
    assert pair.verdict == "superior" and pair.p < 1e-6 and pair.p_within < 1e-6
    same = compare_pair(("r", "m"), reader, reader, truth, names, margin=0.05)
    assert [one.verdict for one in same] == ["non-inferior"] * 2
    worse = compare_pair(("r", "m"), good, reader, truth, names, margin=0.05)[0]
    assert worse.verdict == "inferior" and worse.p_within > 0.999


def test_majority_and_groups(report, tmp_path):
    path = tmp_path / "r.csv"
    extra = {"anna": ANNA, "ben": BEN, "carl": MODEL}
    write_table(path, extra, "case_id,reader,answer,group", ",senior")
    found = beside_readers(report, path, resamples=20)
    votes = np.array([ANNA, BEN, MODEL]).sum(axis=0) >= 2
    single = by_name(found)["majority of senior"]
    assert single.confusion.true_positive == votes[:10].sum()
    assert single.confusion.false_positive == votes[10:].sum()
    means = {(g.group, g.measure): g for g in found.groups}
    mean = means["senior", "sensitivity"]
    assert mean.readers == 3 and mean.mean.value == pytest.approx(0.7)
    assert mean.difference.value == pytest.approx(0.1) and mean.model == pytest.approx(0.8)
    tied = majority(np.array([[1, 1, math.nan], [0, 1, math.nan]]))
    assert math.isnan(tied[0]) and tied[1] == 1 and math.isnan(tied[2])


def test_scores_make_areas(report, tmp_path):
    score = [0.5 + k / 100 for k in range(10)] + [k / 100 for k in range(10)]
    write_table(tmp_path / "r.csv", {"anna": score}, "case_id,reader,score")
    found = beside_readers(report, tmp_path / "r.csv", resamples=20)
    (group,) = [g for g in found.groups if g.measure == "auc"]
    assert group.mean.value == 1.0 and found.readers == []  # no answers without a threshold
    found = beside_readers(report, tmp_path / "r.csv", positive_from=0.55, resamples=20)
    assert by_name(found)["anna"].shares["sensitivity"].value == 0.5
    assert by_name(found)["anna"].shares["specificity"].value == 1.0


def test_the_wide_form_is_the_case_table(report, tmp_path):
    path = tmp_path / "cases.csv"
    rows = [f"c{k},p{k},i.png,{ANNA[k]},{BEN[k]},{k}" for k in range(20)]
    head = "case_id,patient_id,image,reader:anna:hip,reader:ben:hip,reader:anna:knee"
    path.write_text("\n".join([head, *rows]) + "\n")
    found = beside_readers(report, path, finding="hip", resamples=20)
    assert by_name(found)["ben"].confusion == (7, 2, 8, 3)
    with pytest.raises(InputError, match="several findings: hip, knee"):
        read_readings(path)
    with pytest.raises(InputError, match="no readings of 'toe'"):
        read_readings(path, finding="toe")
    assert read_readings(path, finding="knee").with_scores


@pytest.fixture
def helped(tmp_path):
    """Alone, and with the model: Anna takes over what the model found; a third of the time less."""
    rows = ["case_id,reader,modality,answer,seconds"]
    with_model = {"anna": [max(a, m) for a, m in zip(ANNA, MODEL, strict=True)], "ben": BEN}
    for name, alone in (("anna", ANNA), ("ben", BEN)):
        for k in range(20):
            rows.append(f"c{k},{name},with_model,{with_model[name][k]},{20 + k % 3}")
            rows.append(f"c{k},{name},alone,{alone[k]},{30 + k % 3}")
    path = tmp_path / "helped.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_alone_and_with_the_model(report, helped):
    found = beside_readers(report, helped, margin=0.1, resamples=20)
    (together,) = found.together
    assert (together.first, together.second) == ("alone", "with_model")
    changed = {change.reader: change for change in together.changed}
    assert (changed["anna"].to_right, changed["anna"].to_wrong) == (2, 3)
    assert (changed["ben"].to_right, changed["ben"].to_wrong) == (0, 0)
    pooled = {one.measure: one for one in together.pooled}
    assert pooled["sensitivity"].first == pytest.approx(0.65)
    assert pooled["sensitivity"].second == pytest.approx(0.75)
    assert pooled["sensitivity"].random.value == pytest.approx(0.1)
    assert pooled["sensitivity"].u.value == pytest.approx(0.1)
    assert pooled["sensitivity"].fully_crossed and pooled["sensitivity"].readers == 2
    times = {time.reader: time for time in together.times}
    assert times["anna"].difference.value == pytest.approx(-10)
    assert times[""].cases == 40
    # The model is compared with readers alone, not with those whom it helped.
    assert {pair.a for pair in found.against if pair.endpoint == "sensitivity"} == {0.6, 0.7}


def test_split_plot_readings(report, tmp_path):
    rows = ["case_id,reader,modality,answer"]
    for name, answers in (("anna", ANNA), ("ben", BEN), ("carl", MODEL), ("dora", ANNA)):
        own = range(0, 20, 2) if name in ("anna", "ben") else range(1, 20, 2)
        for modality in ("alone", "with_model"):
            rows += [f"c{k},{name},{modality},{answers[k]}" for k in own]
    (tmp_path / "r.csv").write_text("\n".join(rows) + "\n")
    found = beside_readers(report, tmp_path / "r.csv", resamples=20)
    pooled = found.together[0].pooled[0]
    assert not pooled.fully_crossed and pooled.readers == 4 and pooled.u is not None
    assert any("40 of 80 readings" in remark for remark in found.remarks)


def test_patients_with_several_cases(tmp_path, helped):
    patients = [f"p{k // 2}" for k in range(20)]
    report = write_report(tmp_path / "grouped", patients=patients)
    found = beside_readers(report, helped, resamples=20)
    assert found.patients == 10
    assert "clustered" in by_name(found, "alone")["anna"].shares["sensitivity"].method
    assert "clustered" in found.against[0].difference.method
    assert found.together[0].pooled[0].u is None
    assert any("several cases" in remark for remark in found.remarks)


def test_written_files(report, helped, tmp_path):
    found = beside_readers(report, helped, tmp_path / "out", margin=0.1, resamples=20)
    text = (tmp_path / "out" / "readers.json").read_text()
    written = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert written["singles"][0]["confusion"]["true_positive"] == 8
    assert written["margin"] == 0.1 and written["n"] == found.n
    page = (tmp_path / "out" / "readers.html").read_text()
    for words in ("anna", "with_model − alone", "Obuchowski-Rockette", "non-inferior", "ROC"):
        assert words in page
    assert "http://" not in page and "https://" not in page
    assert (tmp_path / "out" / "readers.png").read_bytes().startswith(b"\x89PNG")


def test_counts_alone(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("reader,tp,fp,tn,fn,group\nmodel,135,6,144,15,\nanna,122,20,130,28,senior\n")
    found = beside_counts(path, tmp_path / "out", margin=0.05)
    assert (found.n, found.positives) == (300, 150)
    anna = by_name(found)["anna"].shares
    assert anna["sensitivity"].value == pytest.approx(122 / 150)
    assert by_name(found)["anna"].kappa_truth.value == pytest.approx(0.68)  # balanced: Youden
    sensitivity = found.unpaired[0]
    assert sensitivity.difference.value == pytest.approx(13 / 150)
    assert sensitivity.verdict == "superior"
    assert "unpaired" in (tmp_path / "out" / "readers.html").read_text()


def test_the_figures_told_of_gan_et_al_2019(tmp_path):
    """Accuracy, sensitivity, specificity and Youden index of docs/how-to/readers.md."""
    path = tmp_path / "gan.csv"
    path.write_text(
        "reader,tp,fp,tn,fn\nmodel,135,6,144,15\northopaedists,139,8,142,11\n"
        "radiologists,122,20,130,28\n"
    )
    told = {"model": (0.93, 0.90, 0.96, 0.86), "orthopaedists": (0.94, 0.93, 0.95, 0.87),
            "radiologists": (0.84, 0.81, 0.87, 0.68)}  # fmt: skip
    for single in beside_counts(path).singles:
        names = ("accuracy", "sensitivity", "specificity", "youden")
        got = tuple(round(single.shares[name].value, 2) for name in names)
        assert got == told[single.name]


def test_counts_that_a_paper_leaves_out(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("reader,tp,fp,tn,fn\nmodel,914,83,,86\nanna,95,,,5\n")
    found = beside_counts(path, tmp_path / "out")
    model, anna = found.singles
    assert model.shares["ppv"].value == pytest.approx(914 / 997)
    unknown = [name for name, share in model.shares.items() if math.isnan(share.value)]
    assert unknown == ["specificity", "accuracy", "youden", "npv"]
    assert math.isnan(anna.shares["ppv"].value) and anna.shares["sensitivity"].value == 0.95
    assert math.isnan(model.kappa_truth.value)
    assert [pair.endpoint for pair in found.unpaired] == ["sensitivity"]
    page = (tmp_path / "out" / "readers.html").read_text()
    assert "914, 83, ?, 86" in page
    assert ">PPV<" in page and ">Specificity<" not in page  # what nobody has is no column


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reader,tp,fp,tn\na,1,1,1\n", "no column 'fn'"),
        ("reader,tp,fp,tn,fn\na,1,1,1,1.5\n", "row 2: fn is '1.5'"),
        ("reader,tp,fp,tn,fn\na,1,1,1,-1\n", "fn is '-1'"),
        ("reader,tp,fp,tn,fn\na,1,1,1,\n", "fn is ''"),
        ("reader,tp,fp,tn,fn\na,0,0,0,0\n", "row 2: 0 cases"),
        ("reader,tp,fp,tn,fn\n,1,1,1,1\n", "no reader"),
        ("reader,tp,fp,tn,fn\na,1,1,1,1\na,1,1,1,1\n", "more than once"),
    ],
)
def test_counts_that_cannot_be(tmp_path, text, says):
    path = tmp_path / "counts.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        beside_counts(path)


def test_counts_without_a_model_or_of_other_cases(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("reader,tp,fp,tn,fn\nanna,1,2,3,4\nben,4,2,3,4\n")
    found = beside_counts(path)
    assert found.unpaired == () and len(found.remarks) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("case_id,who,answer\nc1,anna,1\n", "neither a column 'reader'"),
        ("case,reader,answer\nc1,anna,1\n", "no column 'case_id'"),
        ("case_id,reader,said\nc1,anna,1\n", "no column 'answer'"),
        ("case_id,reader,answer\nc1,anna,yes\n", "row 2: answer is 'yes'"),
        ("case_id,reader,answer\nc1,anna,3\n", "--positive-from"),
        ("case_id,reader,answer\nc1,anna,1\nc1,anna,0\n", "row 3: anna read this case"),
        ("case_id,reader,answer\nc1,,1\n", "row 2: case_id or reader is empty"),
        ("case_id,reader,score\nc1,anna,high\n", "not a number"),
        ("case_id,reader,score\nc1,anna,nan\n", "not a number"),
        ("case_id,reader,answer,seconds\nc1,anna,1,-3\n", "negative"),
        ("case_id,reader,answer,group\nc1,anna,1,x\nc2,anna,1,y\n", "row 3: anna is in two groups"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, says):
    path = tmp_path / "readers.csv"
    path.write_text(text)
    with pytest.raises(CaseTableError, match=says):
        read_readings(path)


def test_one_class_only(tmp_path, table):
    report = write_report(tmp_path / "positives", truth=[1] * 20)
    found = beside_readers(report, table, tmp_path / "out", resamples=20)
    assert found.auc is None and any("All judged cases are positive" in r for r in found.remarks)
    anna = by_name(found)["anna"].shares
    assert math.isnan(anna["specificity"].value) and anna["sensitivity"].value == 7 / 20
    assert all(math.isnan(m.difference) for m in found.matched.values())
    assert {g.measure for g in found.groups} == {"sensitivity"}


def test_a_constant_model_and_one_reader(tmp_path):
    report = write_report(tmp_path / "flat", called=[1] * 20, score=[0.5] * 20)
    write_table(tmp_path / "r.csv", {"anna": ANNA})
    found = beside_readers(report, tmp_path / "r.csv", tmp_path / "out", resamples=20)
    assert found.auc.value == 0.5
    # The same threshold for all: it must be silent not to raise more alarms than Anna.
    assert found.matched["anna"].model == 0.0
    assert any("One reader" in remark for remark in found.remarks)
    assert by_name(found)["anna"].kappa_model.value == 0.0


def test_one_patient(tmp_path, table):
    report = write_report(tmp_path / "one", patients=["p"] * 20)
    found = beside_readers(report, table, resamples=20)
    assert math.isnan(by_name(found)["anna"].shares["sensitivity"].low)
    assert math.isnan(found.matched["anna"].low)
    assert math.isnan(found.against[0].difference.low)


def test_missing_answers_and_a_reader_without_positives(report, tmp_path):
    answers = {"anna": ["", *ANNA[1:]], "ben": [None] * 10 + BEN[10:]}
    write_table(tmp_path / "r.csv", answers)
    found = beside_readers(report, tmp_path / "r.csv", tmp_path / "out", resamples=20)
    single = by_name(found)
    assert (single["anna"].unanswered, single["ben"].unanswered) == (1, 10)
    assert math.isnan(single["ben"].shares["sensitivity"].value)
    pairs = {(p.a_name, p.endpoint): p for p in found.against}
    assert math.isnan(pairs["ben", "sensitivity"].p)
    assert pairs["ben", "specificity"].difference.n == 10
    means = {g.measure: g for g in found.groups}
    assert (means["sensitivity"].readers, means["specificity"].readers) == (1, 2)


def test_cases_of_the_one_that_the_other_lacks(report, tmp_path):
    write_table(tmp_path / "r.csv", {"anna": [*ANNA, 1, 0]})
    found = beside_readers(report, tmp_path / "r.csv", resamples=20)
    assert any("2 cases of the readers' table" in remark for remark in found.remarks)
    write_table(tmp_path / "r.csv", {"anna": [None] * 20 + [1]})
    with pytest.raises(InputError, match="no case in common"):
        beside_readers(report, tmp_path / "r.csv")


def test_refused_cases_are_told(tmp_path, table):
    report = write_report(tmp_path / "refused", score=["", *[0.5] * 19], called=["", *MODEL[1:]])
    found = beside_readers(report, table, resamples=20)
    assert found.n == 19 and any("1 cases of the report" in remark for remark in found.remarks)


def test_a_model_that_answered_nothing(tmp_path, table):
    report = write_report(tmp_path / "silent", score=[""] * 20, called=[""] * 20)
    with pytest.raises(InputError, match="has both 'probability' and 'positive'"):
        beside_readers(report, table)


def test_names_in_the_picture_stand_apart(tmp_path):
    path = tmp_path / "counts.csv"
    rows = [f"reader {k},8{k % 2},10,90,1{9 + k % 2}" for k in range(4)]
    path.write_text("\n".join(["reader,tp,fp,tn,fn", *rows]) + "\n")
    readers = list(beside_counts(path).singles)
    axes = Figure().add_subplot()
    axes.set_xlim(0, 0.3)
    axes.set_ylim(0.7, 1)
    places = name_places(axes, readers, "")
    assert set(places) == {f"reader {k}" for k in range(4)} and set(places.values()) <= set(PLACES)
    assert len({(k % 2, places[f"reader {k}"]) for k in range(4)}) == 4  # two marks, two names each
    assert name_places(axes, readers * 4, "") == {}


def test_columns_by_name(report, table):
    columns = Columns("probability", "positive", 0.5)
    found = beside_readers(report, table, columns=columns, resamples=20)
    assert by_name(found)["model"].confusion == (8, 3, 7, 2)
    for wrong, says in (
        (Columns("probability"), "belong together"),
        (Columns("nothing", "positive"), "no column of numbers 'nothing'"),
        (Columns("probability", "probability"), "other values than 0 and 1"),
    ):
        with pytest.raises(InputError, match=says):
            beside_readers(report, table, columns=wrong)


def test_the_threshold_is_of_the_probability(report, table):
    # A question whose curve is drawn from logits, as those of whole films.
    text = (report / "cases.csv").read_text().splitlines()
    logits = [f"{line},{k / 10 - 1}" for k, line in enumerate(text[1:])]
    (report / "cases.csv").write_text("\n".join([f"{text[0]},logit", *logits]) + "\n")
    figures = (Roc("Film: ROC", "logit", "positive"), Reliability("", "probability", "positive"))
    columns = Columns(threshold=0.5)
    found = beside_readers(report, table, figures=figures, columns=columns, resamples=20)
    assert by_name(found)["model"].confusion == (8, 3, 7, 2) and found.column == "logit"


def test_a_margin_is_a_share(report, table):
    for margin in (0.0, 1.0, -0.05, math.nan):
        with pytest.raises(InputError, match="margin"):
            beside_readers(report, table, margin=margin)
