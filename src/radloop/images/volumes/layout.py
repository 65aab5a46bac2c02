"""How the slices of a series lie: in order, even or not, upright or tilted; pure rules.

Nothing is guessed. What can be put right exactly (order, doubled files, the shear of a tilted
gantry) is, and said; what would have to be invented (slices across an uneven gap) waits for the
user's word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from radloop.images.image import Floats, Planes
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, noted, warned
from radloop.images.volumes.slices import Slice, place

_SAME_PLACE = 0.01  # mm: two slices this close lie at one position
_EVEN = 0.02  # of the spacing: what a slice may be off an even grid, besides the rounding of
_ROUNDING = 0.05  # mm, which scanners do when they write positions
_TURN = 1e-3  # largest difference of direction cosines within one orientation
_SHEAR_PX = 0.5  # a drift of the whole stack below half a pixel is no tilt


@dataclass(frozen=True)
class Layout:
    """Slices in order (towards the head in an axial series), and how they lie.

    gaps: mm from each slice to the next, along the way from slice to slice. tilt: degrees between
    that way and the slices' normal. verdict: what to know of it. uneven: a refusal that the user
    may lift by having the volume resampled onto an even grid, or None.
    """

    slices: tuple[Slice, ...]
    planes: Planes
    gaps: tuple[float, ...]
    tilt: float
    verdict: Verdict = ACCEPTED
    uneven: Verdict | None = None


def lay_out(slices: Sequence[Slice]) -> Layout:
    """Order the slices of one series and judge how they lie.

    Raises Refusal: "several_patients", "mixed_size", "no_position", "invalid_orientation",
    "mixed_orientation", "no_spacing", "mixed_spacing", "single_slice", "repeated_positions",
    "shifted_slices". Warns: "duplicate_files", "gantry_tilt". `uneven` is one of
    "missing_slices", "uneven_gaps".
    """
    _check_alike(slices)
    unique, verdict = _without_copies(slices)
    ordered = sorted(unique, key=lambda s: s.depth)
    if len(ordered) < 2:
        raise Refusal(
            "single_slice",
            "A single slice is no volume: its distance to the next is unknown. Give the whole "
            "series.",
        )
    _check_positions(ordered)
    origins = np.array([s.position for s in ordered])
    steps = np.diff(origins, axis=0)
    gaps = np.linalg.norm(steps, axis=1)
    tilt, tilted = _tilt(ordered, origins)
    planes = _planes(ordered)
    return Layout(
        tuple(ordered),
        planes,
        tuple(float(gap) for gap in gaps),
        tilt,
        verdict.merge(tilted),
        _unevenness(ordered, gaps),
    )


def _planes(ordered: Sequence[Slice]) -> Planes:
    first = ordered[0]
    assert first.row is not None and first.column is not None and first.spacing is not None
    origins = tuple(s.position for s in ordered if s.position is not None)
    shape = (len(ordered), first.rows, first.columns)
    return Planes(shape, origins, first.row, first.column, first.spacing)


# --- alike: one patient, one size, one orientation --------------------------------------------


def _check_alike(slices: Sequence[Slice]) -> None:
    _refuse_unlike(
        "several_patients", slices, lambda s: s.patient,
        "{some} belong to another patient than the other {rest}. Sort out which is which before "
        "anything is read.",
    )  # fmt: skip
    _refuse_unlike(
        "mixed_size", slices, lambda s: (s.rows, s.columns),
        "{some} have another number of rows and columns than the other {rest}. Separate them.",
    )  # fmt: skip
    without = [s for s in slices if s.position is None or s.row is None or s.column is None]
    if without:
        raise Refusal(
            "no_position",
            f"Of {len(slices)} slices, {len(without)} do not say where they lie ({place(without)}:"
            " ImagePositionPatient, ImageOrientationPatient). Export the original series.",
        )
    _check_directions(slices)
    unspaced = [s for s in slices if s.spacing is None]
    if unspaced:
        raise Refusal(
            "no_spacing",
            f"{_capital(place(unspaced))}: no valid PixelSpacing, so that nothing can be "
            "measured. Export the original series.",
        )
    _refuse_unlike(
        "mixed_spacing", slices, lambda s: tuple(round(v, 3) for v in s.spacing or ()),
        "{some} have another pixel spacing than the other {rest}. Separate them.",
    )  # fmt: skip


def _refuse_unlike(
    code: str, slices: Sequence[Slice], fact: Callable[[Slice], Hashable], sentence: str
) -> None:
    """Refuse, naming the slices that differ from the majority."""
    counts = Counter(fact(s) for s in slices)
    if len(counts) < 2:
        return
    most = counts.most_common(1)[0][0]
    odd = [s for s in slices if fact(s) != most]
    raise Refusal(code, sentence.format(some=_capital(place(odd)), rest=len(slices) - len(odd)))


def _check_directions(slices: Sequence[Slice]) -> None:
    turns = np.array([[*(s.row or ()), *(s.column or ())] for s in slices])
    rows, columns = turns[:, :3], turns[:, 3:]
    crooked = (
        (np.abs(np.linalg.norm(rows, axis=1) - 1) > _TURN)
        | (np.abs(np.linalg.norm(columns, axis=1) - 1) > _TURN)
        | (np.abs((rows * columns).sum(1)) > _TURN)
    )
    if crooked.any():
        bad = [s for s, is_bad in zip(slices, crooked, strict=True) if is_bad]
        raise Refusal(
            "invalid_orientation",
            f"{_capital(place(bad))}: the direction cosines are no right angle of unit vectors. "
            "Export the original series.",
        )
    off = np.abs(turns - np.median(turns, axis=0)).max(1) > _TURN
    if off.any():
        odd = [s for s, is_off in zip(slices, off, strict=True) if is_off]
        raise Refusal(
            "mixed_orientation",
            f"{_capital(place(odd))} lie in another orientation than the other "
            f"{len(slices) - len(odd)}. Separate them into series of their own.",
        )


# --- copies and repeated positions ------------------------------------------------------------


def _without_copies(slices: Sequence[Slice]) -> tuple[list[Slice], Verdict]:
    """Each SOP instance and frame once."""
    unique = list({(s.sop_uid or s.path, s.frame, s.tile): s for s in slices}.values())
    copies = len(slices) - len(unique)
    if not copies:
        return unique, ACCEPTED
    return unique, warned(
        "duplicate_files",
        f"{copies} of {len(slices)} slices are second copies of the same file and were left out.",
    )


def _check_positions(ordered: Sequence[Slice]) -> None:
    depth = np.array([s.depth for s in ordered])
    again = np.flatnonzero(np.diff(depth) < _SAME_PLACE)
    if not len(again):
        return
    doubled = [ordered[int(k) + 1] for k in again]
    differing = sorted(
        name
        for name in {key for s in ordered for key in s.stacks}
        if len({s.stacks.get(name) for s in ordered}) > 1
    )
    reason = f" They differ in {', '.join(differing)}." if differing else ""
    raise Refusal(
        "repeated_positions",
        f"{_capital(place(doubled))} lie where another slice lies already.{reason} Separate the "
        "volumes, or remove the slices that do not belong.",
    )


# --- gaps -------------------------------------------------------------------------------------


def _unevenness(ordered: Sequence[Slice], gaps: Floats) -> Verdict | None:
    """A refusal that names and locates the gaps, or None on an even grid."""
    depth = np.array([s.depth for s in ordered])
    index = np.arange(len(depth))
    slope, start = np.polyfit(index, depth, 1)
    if np.abs(depth - (start + slope * index)).max() <= _ROUNDING + _EVEN * slope:
        return None
    typical = float(np.median(gaps))
    times = gaps / typical
    whole = np.maximum(np.rint(times), 1)
    if (np.abs(times - whole) * typical <= 2 * _ROUNDING + _EVEN * typical).all():
        wide = np.flatnonzero(whole > 1)
        missing = int((whole - 1).sum())
        where = "; ".join(_between(ordered, int(k), gaps) for k in wide[:4])
        return _liftable(
            "missing_slices",
            f"{missing} {'slice is' if missing == 1 else 'slices are'} missing where the others "
            f"lie {typical:.2f} mm apart: {where}{_more(len(wide) - 4)}.",
            "Fetch the whole series, or allow the gaps to be interpolated.",
        )
    return _liftable(
        "uneven_gaps",
        f"The slices lie unevenly: {_kinds(ordered, gaps)}.",
        "Allow them to be resampled onto an even grid, or read the parts as series of their own.",
    )


def _liftable(code: str, what: str, remedy: str) -> Verdict:
    """A refusal whose remedy stands apart, since it falls away when the user follows it."""
    return Verdict("refused", code, (what, remedy))


def _kinds(ordered: Sequence[Slice], gaps: Floats) -> str:
    """The gaps in runs: "4.22 mm between slices 1 and 14, 1.14 mm between slices 14 and 15"."""
    runs: list[list[int]] = []
    for k in range(len(gaps)):
        if runs and abs(gaps[k] - gaps[runs[-1][0]]) <= 2 * _ROUNDING:
            runs[-1].append(k)
        else:
            runs.append([k])
    named = [
        f"{np.median(gaps[run]):.2f} mm from slice {ordered[run[0]].where} to "
        f"{ordered[run[-1] + 1].where}"
        for run in runs[:6]
    ]
    return ", ".join(named) + _more(len(runs) - 6)


def _between(ordered: Sequence[Slice], k: int, gaps: Floats) -> str:
    return f"{gaps[k]:.2f} mm between slices {ordered[k].where} and {ordered[k + 1].where}"


def _more(count: int) -> str:
    return f" and {count} more places" if count > 0 else ""


# --- tilt -------------------------------------------------------------------------------------


def _tilt(ordered: Sequence[Slice], origins: Floats) -> tuple[float, Verdict]:
    """Degrees by which the way from slice to slice leans from their normal.

    Raises Refusal when the slices are shifted against each other without following a line.
    """
    normal = ordered[0].normal
    depth = origins @ normal
    drift = (origins - origins[0]) - np.outer(depth - depth[0], normal)
    # Medians, so that the slices that follow the line say which ones do not.
    rate = np.median(np.diff(drift, axis=0) / np.diff(depth)[:, None], axis=0)
    aside = drift - np.outer(depth - depth[0], rate)
    pixel = min(ordered[0].spacing or (1.0, 1.0))
    off = np.linalg.norm(aside - np.median(aside, axis=0), axis=1)
    if off.max() > max(_SHEAR_PX * pixel, 2 * _ROUNDING):
        odd = [s for s, d in zip(ordered, off, strict=True) if d > _SHEAR_PX * pixel]
        raise Refusal(
            "shifted_slices",
            f"{_capital(place(odd or list(ordered)))} lie sideways of the line of the others. "
            "Separate the parts into series of their own.",
        )
    angle = float(np.degrees(np.arctan(np.linalg.norm(rate))))
    stated = ordered[0].facts.get("tilt_stated")
    if np.linalg.norm(drift[-1]) <= _SHEAR_PX * pixel:
        if isinstance(stated, float) and abs(stated) > 0.5:
            return 0.0, noted(
                f"The header states a gantry tilt of {stated:+.1f} degrees, but the slices lie "
                "straight above each other: they were taken as they lie."
            )
        return 0.0, ACCEPTED
    header = f" (the header states {stated:+.1f})" if isinstance(stated, float) else ""
    return angle, warned(
        "gantry_tilt",
        f"The gantry was tilted: the slices lean {angle:.1f} degrees from the way along which "
        f"they follow each other{header}. The volume is sheared upright.",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
