"""What a report itself says to the items of the checklists, and the limits that it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import radloop
from radloop.evaluation.about import About
from radloop.evaluation.flow import Flow
from radloop.evaluation.judgement import CONFIDENCE, Judgement
from radloop.evaluation.subgroups import FEW, Subgroups

_DEVICES = ("manufacturer", "scanner", "device", "model")
_CENTRES = ("site", "hospital", "centre", "center", "institution")
_FEW_PATIENTS = 100


def checklist_facts(
    *,
    system: str,
    model: Mapping[str, object],
    about: About,
    columns: Mapping[str, Sequence[str]],
    flow: Flow,
    judgements: Sequence[Judgement],
    found: Subgroups | None,
    methods: Sequence[str],
    patients: int,
    has_pictures: bool,
) -> dict[str, str]:
    """The answers by key; see `checklist.Item`. columns: those of `about.about_columns`."""
    refused = sum(flow.refused.values())
    lower = {name.lower(): name for name in columns}
    devices = [lower[name] for name in _DEVICES if name in lower]
    centres = [lower[name] for name in _CENTRES if name in lower]
    identity = ", ".join(f"{key} {str(model[key])[:12]}" for key in ("name", "version", "sha256")
                         if model.get(key))  # fmt: skip
    facts = {
        "table": f"Case table {about.table}, {about.cases} cases" if about.table else "",
        "truth": f"Columns {', '.join(about.truth)}; who gave them: {_author()}"
        if about.truth
        else "",
        "splits": _splits(about),
        "partition_level": "Patient (the table's splits share none)" if about.splits else "",
        "refusal": "The model's own verdicts; see Study flow",
        "refused": f"{refused} refused, in no measure; see Study flow",
        "missing": f"{flow.unknown} judged cases without a known truth, {refused} refused; left"
        " out, not imputed",
        "flow": "Study flow",
        "devices": f"The data ({', '.join(devices)})" if devices else "",
        "centres": f"The data ({', '.join(centres)})" if centres else "",
        "characteristics": "The data" if columns else "",
        "system": f"System '{system}'; its file describes preparation and network",
        "model": identity,
        "training": f"The model's card and model.json: {model.get('name', '')}",
        "software": f"Radloop {radloop.__version__}, Apache-2.0; model {identity}",
        "methods": "; ".join(methods),
        "accuracy": "Measures",
        "automatic": "Automatic: the model sees the image alone",
        "size": f"{flow.judged} cases of {patients} patients judged; why so many: {_author()}",
        "limits": "Limits (what the data show; others: authors)",
        "outputs": "cases.csv has every score and truth",
        "pictures": "Pictures with the model's evidence" if has_pictures else "",
        "updating": "None in this evaluation",
        "evaluation": f"This report: split '{about.split}'" if about.split else "This report",
    }
    if flow.question:
        facts["events"] = f"{flow.positive} of {flow.positive + flow.negative} cases positive"
        facts["question"] = f"{flow.question} (column of the truth)"
        facts["prevalence"] = (
            f"Prevalence {flow.positive / max(1, flow.positive + flow.negative):.1%} here; target"
            f" population: {_author()}"
        )
    if judgements:
        at = judgements[0].question.at
        facts["threshold"] = f"{at}; prespecified or not: {_author()}" if at else ""
        facts["cross_table"] = judgements[0].question.title if judgements[0].at_point else ""
        facts["failures"] = "Failures" if has_pictures else ""
    if found is not None and found.columns():
        facts["subgroups"] = f"Subgroups ({', '.join(found.columns())})"
        clusters = [c for c in found.columns() if c.lower() in (*_CENTRES, *_DEVICES)]
        facts["clusters"] = f"Subgroups ({', '.join(clusters)})" if clusters else ""
    return facts


def limits_of(
    *,
    about: About,
    columns: Mapping[str, Sequence[str]],
    flow: Flow,
    judgements: Sequence[Judgement],
    found: Subgroups | None,
    patients: int,
) -> list[str]:
    """What a reader of these numbers must bear in mind, as far as the data show it."""
    limits = [
        "The intervals tell of other patients like these, not of other hospitals, scanners or"
        " times, nor of another training of the model."
    ]
    if patients < _FEW_PATIENTS:
        limits.append(f"There are {patients} patients: intervals are wide, and subgroups tell"
                      " little.")  # fmt: skip
    if patients < flow.chosen:
        limits.append(
            f"{flow.chosen} cases are of {patients} patients: counts of cases overstate what is"
            " known, the intervals do not."
        )
    refused = sum(flow.refused.values())
    if refused:
        limits.append(
            f"{refused} of {flow.chosen} cases ({refused / flow.chosen:.1%}) were refused and are"
            " in no measure: in use they go to a reader."
        )
    if flow.unknown:
        limits.append(f"The truth of {flow.unknown} judged cases is not known.")
    if about.split in ("train", "val"):
        limits.append(
            f"These are cases of the split '{about.split}': the model was made with them, and looks"
            " better here than on others."
        )
    for one in judgements:
        positive = int(one.answers.truth.sum())
        negative = one.answers.truth.size - positive
        if not positive or not negative:
            kind = "negative" if negative else "positive"
            limits.append(f"{one.question.title}: all cases are {kind}; what needs both classes is"
                          " not measured.")  # fmt: skip
        elif min(positive, negative) < FEW:
            rarer = "positive" if positive < negative else "negative"
            limits.append(
                f"{one.question.title}: only {min(positive, negative)} cases are {rarer}."
            )
        if _is_constant(one):
            limits.append(f"{one.question.title}: the score is the same for all cases.")
    if judgements:
        limits.append(
            "A guaranteed threshold holds for patients exchangeable with these"
            f" (its confidence of {CONFIDENCE:.0%} is over calibration sets), not for each"
            " subgroup, and no longer after the data drift."
        )
        limits.append(
            "Predictive values and net benefit are those at this prevalence; they change with it."
        )
    if found is None or not found.columns():
        known = f" Known here: {', '.join(columns)}." if columns else ""
        limits.append(f"No subgroups were looked at (`radloop evaluate --by COLUMN`).{known}")
    return limits


def _is_constant(one: Judgement) -> bool:
    score: Any = one.answers.score
    return bool(score.size > 1 and score.min() == score.max())


def _splits(about: About) -> str:
    if not about.splits:
        return ""
    return "Cases by split: " + ", ".join(f"{name} {n}" for name, n in about.splits.items())


def _author() -> str:
    return "author must state"
