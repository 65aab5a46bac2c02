"""The reporting checklists of imaging AI, answered from a report as far as it can answer.

STARD-AI (Sounderajah et al. 2025, Nat Med 31:3283), CLAIM, 2024 update (Tejani et al. 2024, Radiol
Artif Intell 6:e240300) and TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378). The topics are in our
own words and shortened: fill in the official forms for a submission. An item is answered by a fact
of the report (`key`); an empty key is for the authors to state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AUTHOR = "author must state"


@dataclass(frozen=True)
class Item:
    """number: in its guideline. topic: what it asks for, in short. key: of what answers it."""

    number: str
    topic: str
    key: str = ""


def answered(items: tuple[Item, ...], facts: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(number, topic, answer) of every item; facts: sentences by key."""
    return [(one.number, one.topic, facts.get(one.key) or AUTHOR) for one in items]


STARD_AI = (
    Item("1", "Title: an AI diagnostic accuracy study, with a measure of accuracy"),
    Item("2", "Abstract, structured"),
    Item("3", "Background, intended use, place in the workflow"),
    Item("4", "Objectives and hypotheses"),
    Item("5", "Prospective or retrospective"),
    Item("6", "Ethics approval"),
    Item("7", "Eligibility of participants and of data", "refusal"),
    Item("8", "How participants were identified"),
    Item("9", "Setting, places and dates"),
    Item("10", "Consecutive, random or convenience series"),
    Item("11", "Source of the data", "table"),
    Item("12", "Who annotated, how experienced, how", "truth"),
    Item("13", "Devices and software that took the images", "devices"),
    Item("14", "Acquisition and preprocessing", "system"),
    Item("15a", "The index test, to replicate it", "model"),
    Item("15b", "How it was developed: training, tuning and test data", "splits"),
    Item("15c", "Cut-offs, prespecified or explored", "threshold"),
    Item("15d", "Its users and their expertise"),
    Item("16a", "Reference standard, to replicate it", "truth"),
    Item("16b", "Why this reference standard"),
    Item("16c", "Its cut-offs, prespecified or explored", "question"),
    Item("17a", "What the readers of the index test knew", "automatic"),
    Item("17b", "What the assessors of the reference standard knew"),
    Item("18", "Methods for accuracy and its comparison", "methods"),
    Item("19", "Indeterminate results", "refused"),
    Item("20", "Missing data", "missing"),
    Item("21", "Analyses of variability", "subgroups"),
    Item("22", "Intended sample size and why", "size"),
    Item("23", "Bias and fairness: how assessed", "subgroups"),
    Item("24", "Flow of participants, with a diagram", "flow"),
    Item("25", "Characteristics of each data set", "characteristics"),
    Item("26a", "Severity among those with the condition", "severity"),
    Item("26b", "Other diagnoses among those without"),
    Item("27", "Time and treatment between the tests"),
    Item("28", "Is the test set like the target population", "prevalence"),
    Item("29", "External evaluation and its differences", "external"),
    Item("30", "Index test against reference standard, counts", "cross_table"),
    Item("31", "Accuracy with its precision", "accuracy"),
    Item("32", "Adverse events"),
    Item("33", "Limitations", "limits"),
    Item("34", "Implications for practice"),
    Item("35", "Ethics and fairness of use", "subgroups"),
    Item("36", "Registration"),
    Item("37", "Protocol"),
    Item("38", "Funding"),
    Item("39", "Commercial interests"),
    Item("40a", "Availability of data and code", "software"),
    Item("40b", "Outputs for audit", "outputs"),
)

CLAIM = (
    Item("1", "Title: a study of AI, which category"),
    Item("2", "Abstract, structured"),
    Item("3", "Background and intended use"),
    Item("4", "Aims and hypotheses"),
    Item("5", "Prospective or retrospective"),
    Item("6", "Goal of the study"),
    Item("7", "Sources of data", "table"),
    Item("8", "Inclusion and exclusion", "refusal"),
    Item("9", "Preprocessing", "system"),
    Item("10", "Selection of subsets", "splits"),
    Item("11", "De-identification"),
    Item("12", "Missing data", "missing"),
    Item("13", "Acquisition protocol", "devices"),
    Item("14", "How the reference standard was obtained", "truth"),
    Item("15", "Why this reference standard"),
    Item("16", "Source of the annotations", "truth"),
    Item("17", "Annotation of the test set", "truth"),
    Item("18", "Variability between and within annotators", "readers"),
    Item("19", "How cases came into partitions", "splits"),
    Item("20", "Level at which partitions are apart", "partition_level"),
    Item("21", "Intended sample size", "size"),
    Item("22", "The model", "model"),
    Item("23", "Software", "software"),
    Item("24", "Initial parameters", "training"),
    Item("25", "Training", "training"),
    Item("26", "How the final model was chosen", "training"),
    Item("27", "Ensembles", "model"),
    Item("28", "Measures of performance", "methods"),
    Item("29", "Uncertainty and significance", "methods"),
    Item("30", "Robustness", "subgroups"),
    Item("31", "Explainability", "pictures"),
    Item("32", "Evaluation on internal data", "evaluation"),
    Item("33", "Testing on external data", "external"),
    Item("34", "Registration of a trial"),
    Item("35", "Cases included and excluded", "flow"),
    Item("36", "Characteristics of each partition", "characteristics"),
    Item("37", "Performance and its uncertainty", "accuracy"),
    Item("38", "Diagnostic performance and its precision", "cross_table"),
    Item("39", "Failures", "failures"),
    Item("40", "Limitations", "limits"),
    Item("41", "Implications for practice"),
    Item("42", "Protocol or further technical details"),
    Item("43", "Availability of software, model and data", "software"),
    Item("44", "Funding"),
)

TRIPOD_AI = (
    Item("1", "Title: prediction model, population, outcome"),
    Item("2", "Abstract by its own checklist"),
    Item("3a", "Context and existing models"),
    Item("3b", "Target population, purpose, users"),
    Item("3c", "Known inequalities"),
    Item("4", "Objectives"),
    Item("5a", "Sources of data and how representative", "table"),
    Item("5b", "Dates"),
    Item("6a", "Setting and centres", "centres"),
    Item("6b", "Eligibility", "refusal"),
    Item("6c", "Treatments"),
    Item("7", "Data preparation, alike in all groups", "system"),
    Item("8a", "Outcome, how and when assessed", "question"),
    Item("8b", "Who assessed it", "truth"),
    Item("8c", "Blinding of that assessment"),
    Item("9a", "Choice of predictors", "system"),
    Item("9b", "Predictors: definition and measurement", "system"),
    Item("9c", "Who assessed predictors", "automatic"),
    Item("10", "Sample size", "size"),
    Item("11", "Missing data", "missing"),
    Item("12a", "How data were used", "splits"),
    Item("12b", "Handling of predictors", "system"),
    Item("12c", "Type of model, building, internal validation", "training"),
    Item("12d", "Differences between clusters", "clusters"),
    Item("12e", "Measures of performance", "methods"),
    Item("12f", "Updating of the model", "updating"),
    Item("12g", "How predictions were calculated", "model"),
    Item("13", "Class imbalance"),
    Item("14", "Fairness: approach", "subgroups"),
    Item("15", "Output of the model and thresholds", "threshold"),
    Item("16", "Training against evaluation data", "external"),
    Item("17", "Ethics approval"),
    Item("18a", "Funding"),
    Item("18b", "Conflicts of interest"),
    Item("18c", "Protocol"),
    Item("18d", "Registration"),
    Item("18e", "Data sharing"),
    Item("18f", "Code sharing", "software"),
    Item("19", "Involvement of patients and the public"),
    Item("20a", "Flow of participants", "flow"),
    Item("20b", "Characteristics", "characteristics"),
    Item("20c", "Against the development data", "external"),
    Item("21", "Participants and events in each analysis", "events"),
    Item("22", "The full model", "model"),
    Item("23a", "Performance with intervals, also in subgroups", "accuracy"),
    Item("23b", "Differences between clusters", "clusters"),
    Item("24", "Results of updating", "updating"),
    Item("25", "Interpretation"),
    Item("26", "Limitations", "limits"),
    Item("27a", "Use with poor or missing input", "refusal"),
    Item("27b", "What users must do and know"),
    Item("27c", "Next steps"),
)

GUIDELINES: tuple[tuple[str, tuple[Item, ...]], ...] = (
    ("STARD-AI (2025)", STARD_AI),
    ("CLAIM (2024 update)", CLAIM),
    ("TRIPOD+AI (2024)", TRIPOD_AI),
)
