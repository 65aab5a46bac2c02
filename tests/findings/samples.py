"""Predictions to test with, and a hypothesis strategy of all that the contract allows."""

from __future__ import annotations

from hypothesis import strategies as st

from radloop.findings.codes import code
from radloop.findings.finding import Code, Finding, Measurement, ModelRef, Prediction
from radloop.images.verdict import Verdict, refused

MODEL = ModelRef("cardiomegaly", "1", "ab" * 32)


def film(
    case_id: str, probability: float, ctr: float, *, positive: bool | None = None
) -> Prediction:
    """An accepted film with one finding, positive above .5 unless said otherwise."""
    positive = probability >= 0.5 if positive is None else positive
    measured = Measurement("cardiothoracic_ratio", ctr, "1", ctr - 0.02, ctr + 0.02)
    finding = Finding(
        "cardiomegaly", code("cardiomegaly"), probability, positive, 0.5, {}, measured
    )
    return Prediction(case_id, f"patient of {case_id}", "cardiomegaly", MODEL, findings=(finding,))


def refused_film(case_id: str) -> Prediction:
    verdict = refused("lateral", "This is a lateral film. Give a frontal one.")
    return Prediction(case_id, case_id, "cardiomegaly", MODEL, verdict)


_text = st.text(max_size=12)
_number = st.floats(-1e6, 1e6)
_codes = st.builds(Code, _text, _text, _text)
_bounds = st.none() | _number
_measurements = st.builds(Measurement, _text, _number, _text, _bounds, _bounds)
_where = st.fixed_dictionaries(
    {},
    optional={
        "slice": st.integers(0, 500),
        "box": st.lists(_number, min_size=4, max_size=4),
        "mask": _text,
        "tooth": st.integers(11, 48),
        "side": st.sampled_from(["L", "R"]),
    },
)
findings = st.builds(
    Finding, _text, _codes, st.floats(0, 1), st.booleans(), st.floats(0, 1), _where,
    st.none() | _measurements,
)  # fmt: skip
verdicts = st.builds(
    Verdict,
    st.sampled_from(["accepted", "warned", "refused"]),
    st.sampled_from(["ok", "grey_zone", "lateral"]),
    st.lists(_text, max_size=2).map(tuple),
)
predictions = st.builds(
    Prediction, _text, _text, _text, st.builds(ModelRef, _text, _text, _text), verdicts,
    st.lists(findings, max_size=3).map(tuple), st.dictionaries(_text, _text, max_size=2),
    st.dictionaries(_text, st.floats(0, 1e3), max_size=2),
)  # fmt: skip
