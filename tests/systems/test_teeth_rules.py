"""Numbers of teeth and the three rules, against arches that are known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr.codedict import codes

from radloop.errors import InputError
from radloop.findings.tooth_codes import tooth_code
from radloop.measures.detection import box_overlap
from radloop.systems.jaw import numbers as n
from radloop.systems.jaw.doubles import drop_doubles
from radloop.systems.jaw.gaps import MOST, gap_features, leave_out, missing_between
from radloop.systems.jaw.numbering import missing_places, number_teeth
from radloop.systems.jaw.sequence import align, slide
from radloop.systems.jaw.tooth import Tooth, split_arches

WIDTHS = {"1": 20, "2": 17, "3": 20, "4": 19, "5": 20, "6": 29, "7": 28, "8": 25}


def perfect_arch(of: n.Arch) -> list[Tooth]:
    """Sixteen teeth side by side, as wide as teeth are."""
    teeth, x = [], 100.0
    level = 100.0 if of == "upper" else 200.0
    for number in n.template(of):
        width = WIDTHS[number[1]]
        teeth.append(Tooth((x, level, x + width - 1, level + 80), 0.9, number))
        x += width
    return teeth


def known_gaps(of: n.Arch, kept: list[Tooth]) -> np.ndarray:
    """What a perfect network would say: the missing teeth between neighbours, for certain."""
    places = [n.template(of).index(tooth.number) for tooth in kept]
    return np.eye(MOST + 1)[np.minimum(np.diff(places) - 1, MOST)]


ARCH = st.sampled_from(n.ARCHES)
SUBSET = st.lists(st.booleans(), min_size=16, max_size=16)


def chosen(of: n.Arch, mask: list[bool]) -> list[Tooth]:
    return [tooth for tooth, keep in zip(perfect_arch(of), mask, strict=True) if keep]


# --- numbers


def test_the_notations_agree_with_the_published_chart() -> None:
    # Corners and middles of the charts in every textbook.
    assert [n.universal(t) for t in ("18", "11", "21", "28", "38", "31", "41", "48")] == [
        "1", "8", "9", "16", "17", "24", "25", "32",
    ]  # fmt: skip
    assert [n.universal(t) for t in ("55", "51", "61", "65", "75", "71", "81", "85")] == [
        "A", "E", "F", "J", "K", "O", "P", "T",
    ]  # fmt: skip
    assert [n.palmer(t) for t in ("16", "23", "37", "45", "54", "81")] == [
        "UR6", "UL3", "LL7", "LR5", "URD", "LRA",
    ]  # fmt: skip
    assert n.tooth_name("46") == "lower right first molar"
    assert n.tooth_name("65") == "upper left deciduous second molar"
    assert len(n.NUMBERS) == 52 == len(set(n.NUMBERS))


def test_the_codes_are_those_of_the_dictionary() -> None:
    for group, numbers in ((4018, n.PERMANENT), (4019, n.DECIDUOUS)):
        known = {getattr(codes.SCT, k).value: k for k in cid_concepts[group]["SCT"]}
        assert len(known) == len(numbers)
        for number in numbers:
            code = tooth_code(number)
            assert code.meaning == getattr(codes.SCT, known[code.value]).meaning
            words = n.tooth_name(number).replace("deciduous ", "").split()
            jaw = {"upper": "maxillary", "lower": "mandibular"}[words[0]]
            assert jaw in code.meaning.lower() and words[1] in code.meaning.lower()
            assert " ".join(words[2:]) in code.meaning.lower() or number == "32"
    for wrong in ("", "1", "19", "56", "00", "a1", "111"):
        with pytest.raises(InputError, match="no number of a tooth"):
            tooth_code(wrong)


@given(st.sampled_from(n.NUMBERS))
def test_a_mirror_is_its_own_inverse_and_keeps_arch_and_tooth(number: str) -> None:
    other = n.mirrored(number)
    assert n.mirrored(other) == number and other[1] == number[1] and other != number
    assert n.arch(other) == n.arch(number)
    places = n.template(n.arch(number), n.deciduous(number))
    assert places.index(other) == len(places) - 1 - places.index(number)


@pytest.mark.parametrize(
    "a, b, alike",
    [
        ("16", "16", 1.0), ("16", "17", 0.9), ("11", "21", 0.9), ("18", "17", 0.8),
        ("14", "13", 0.6), ("14", "12", 0.4), ("15", "11", 0.4), ("13", "12", 0.6),
        ("13", "11", 0.8), ("12", "11", 0.8), ("16", "15", 0.0), ("18", "13", 0.0),
        ("48", "47", 0.7), ("44", "43", 0.5), ("44", "41", 0.3), ("43", "42", 0.5),
        ("41", "42", 0.9), ("41", "32", 0.9), ("46", "44", 0.0), ("16", "46", 0.0),
    ],
)  # fmt: skip
def test_similarity_is_that_of_the_paper(a: str, b: str, alike: float) -> None:
    assert n.similarity(a, b) == n.similarity(b, a) == alike


# --- the filter


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(5, 40), st.integers(5, 40),
                  st.floats(0.01, 1), st.sampled_from(n.PERMANENT)),
        max_size=12,
    )
)  # fmt: skip
def test_the_filter_leaves_no_doubles_and_drops_only_doubles(rows) -> None:
    teeth = [Tooth((x, y, x + w, y + h), score, number) for x, y, w, h, score, number in rows]
    kept = drop_doubles(teeth)
    assert set(kept) <= set(teeth)
    boxes = [tooth.corners for tooth in kept]
    overlap = box_overlap(boxes, boxes) - np.eye(len(kept))
    assert not (overlap > 0.7).any()
    for gone in set(teeth) - set(kept):
        better = [k.corners for k in kept if k.score >= gone.score]
        assert box_overlap([gone.corners], better).max(initial=0) > 0.7


# --- the sequence


@given(ARCH, SUBSET, st.integers(0, 15), st.integers(1, 15))
@settings(max_examples=300, deadline=None)
def test_one_wrong_number_of_any_subset_is_corrected(of, mask, which, shift) -> None:
    kept = chosen(of, mask)
    assume(len(kept) >= 3)  # of two teeth that contradict each other either may be wrong
    which %= len(kept)
    places = n.template(of)
    # Beyond a gap of `MOST` or more, nothing but the numbers says where a tooth stands.
    assume(max(np.diff([places.index(t.number) for t in kept])) <= MOST)
    wrong = places[(places.index(kept[which].number) + shift) % 16]
    seen = [*kept]
    seen[which] = Tooth(kept[which].corners, 0.9, wrong)
    corrected = align(seen, of, known_gaps(of, kept))
    assert [t.number for t in corrected] == [t.number for t in kept]


@given(ARCH, SUBSET)
def test_right_numbers_stay(of, mask) -> None:
    kept = chosen(of, mask)
    assert list(align(kept, of)) == kept
    assert list(align(kept, of, known_gaps(of, kept) if len(kept) > 1 else None)) == kept


@given(ARCH, SUBSET, st.lists(st.sampled_from(n.PERMANENT), min_size=16, max_size=16),
       st.lists(st.floats(0.05, 1), min_size=16, max_size=16))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_number_is_given_twice_and_they_rise(of, mask, labels, scores) -> None:
    kept = chosen(of, mask)
    seen = [Tooth(t.corners, s, x) for t, x, s in zip(kept, labels, scores, strict=False)]
    given_ = [t.number for t in align(seen, of) if t.number]
    places = [n.template(of).index(number) for number in given_]
    assert places == sorted(set(places))


@given(ARCH, st.integers(1, 15))
def test_an_extra_tooth_is_left_out_not_forced(of, after) -> None:
    arch = perfect_arch(of)
    x0, y0, _, y1 = arch[after].corners
    extra = Tooth((x0 - 6, y0, x0 + 6, y1), 0.6, arch[after].number)
    seen = [*arch[:after], extra, *arch[after:]]
    aligned = align(seen, of)
    assert [t.number for t in aligned if t is not extra and t.number] == list(n.template(of))
    assert sum(t.number == "" for t in aligned) == 1 and aligned[after].number == ""


def test_a_number_of_the_other_jaw_is_read_as_its_antagonist() -> None:
    arch = perfect_arch("lower")
    arch[3] = Tooth(arch[3].corners, 0.9, "15")
    assert align(arch, "lower")[3].number == "45"


def test_deciduous_teeth_have_a_template_of_their_own() -> None:
    teeth = [Tooth((30.0 * k, 0, 30.0 * k + 20, 60), 0.9, x) for k, x in
             enumerate(("55", "54", "52", "52", "51", "61"))]  # fmt: skip
    aligned = align(teeth, "upper", first_dentition=True)
    assert [t.number for t in aligned] == ["55", "54", "53", "52", "51", "61"]


def test_the_papers_rule_moves_the_sequence_as_a_whole() -> None:
    # Worked by hand: at the right offset 2 x .9 + .8 x .9 (wisdom for molar); at the next one
    # .9 x (.9 + 1 + 0): 17 read as 16's place is near, 16 is taken at its word one place on.
    numbers = ("18", "18", None, "15")
    assert slide(numbers, (0.9, 0.9, 0.0, 0.9), "upper") == ("18", "17", "16", "15")
    assert slide((None, "48", "47"), (0, 0.5, 0.9), "lower") == (None, "48", "47")
    assert slide((), (), "upper") == ()


# --- arches and gaps


def test_a_tooth_of_the_wrong_arch_is_put_right_by_where_it_stands() -> None:
    upper, lower = perfect_arch("upper"), perfect_arch("lower")
    stray = Tooth(lower[5].corners, 0.8, "13")
    split = split_arches([*upper, *lower[:5], stray, *lower[6:]])
    assert stray in split["lower"] and len(split["upper"]) == 16
    few = split_arches([upper[3], stray])  # of one arch nothing can be said
    assert stray in few["upper"]


def test_gaps_are_counted_from_teeth_that_were_left_out() -> None:
    films = [([*perfect_arch("upper"), *perfect_arch("lower")], 640.0)]
    features, counts = leave_out(films, np.random.default_rng(0), 20)
    assert features.shape == (len(counts), 12) and set(counts) <= set(range(MOST + 1))
    # Wider gaps are wider: the distance of edges tells most of it.
    means = [features[counts == k, 0].mean() for k in range(4)]
    assert means == sorted(means) and means[1] - means[0] > 0.5


def test_features_do_not_depend_on_the_scale_of_the_film() -> None:
    arch = perfect_arch("upper")[2:9]
    large = [Tooth(tuple(3 * v for v in t.corners), t.score, t.number) for t in arch]
    np.testing.assert_allclose(gap_features(arch, 640), gap_features(large, 1920))
    assert gap_features(arch[:1], 640).shape == (0, 12)


def test_more_neighbours_than_the_network_takes_do_no_harm() -> None:
    teeth = [Tooth((5.0 * k, 0, 5.0 * k + 4, 9), 0.5, "11") for k in range(90)]
    sure = missing_between(teeth, 640, lambda rows, stage: np.zeros((64, MOST + 1), np.float32))
    assert sure.shape == (89, MOST + 1) and np.allclose(sure, 0.2)
    assert len(align(teeth, "upper", sure)) == 90


def test_missing_places_between_and_beyond() -> None:
    teeth = [t for t in perfect_arch("upper") if t.number in ("16", "14", "11")]
    assert missing_places(teeth, False) == {"12": "between", "13": "between", "15": "between"}
    whole = missing_places(teeth, True)
    assert whole["18"] == "end" and whole["15"] == "between" and whole["36"] == "end"
    assert len(whole) == 29
    assert missing_places([], True) == {}
    first = [*teeth, Tooth((0, 0, 9, 9), 0.9, "55")]
    assert "15" not in missing_places(first, True)  # its predecessor still stands there


def test_every_step_is_kept_for_comparison() -> None:
    arch = [*perfect_arch("upper"), *perfect_arch("lower")]
    double = Tooth(arch[4].corners, 0.3, "15")
    look = lambda rows, stage: np.eye(MOST + 1)[np.zeros(64, int)] * 20  # noqa: E731
    numbered = number_teeth([*arch, double], 640, look)
    assert len(numbered.steps["detected"]) == 33 and len(numbered.steps["filtered"]) == 32
    assert {t.number for t in numbered.teeth} == set(n.PERMANENT)
    assert number_teeth([*arch, double], 640, look, "slide").teeth == numbered.steps["slid"]
