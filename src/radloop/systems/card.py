"""The model card: what a model was trained on, measured on, is fit and unfit for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radloop.systems.base import System


def training_card(system: System, info: Mapping[str, Any]) -> str:
    """The card as `train` can write it; measured results are added by `evaluate --card`."""
    training, recipe = info["training"], info["recipe"]
    notes = system.card_notes(info["settings"])
    cases, patients = training["cases"], training["patients"]
    return f"""# Model card: {info["name"]}

**Research software, not a medical device.** For research, teaching and development; not for
diagnosis or for decisions about patients.

## What it does

{system.question}

Structures in its masks: {", ".join(info["structures"]) or "none"}.

## How it was trained

| | |
|---|---|
| system, preset | {info["system"]}, {info["preset"]} |
| network | {info["network"]} {dict(info["options"]) or ""} |
| input | {recipe["size"]} px |
| training cases (patients) | {cases["train"]} ({patients["train"]}) |
| validation cases (patients) | {cases["val"]} ({patients["val"]}) |
| pre-trained weights | {training["weights"]} |
| members | {info.get("members", 1)} |
| taught by | {len(training.get("teachers", ())) or "no"} other models |
| seed, epochs, minutes | {training["seed"]}, {training["epochs"]}, {training["minutes"]} |
| best validation score | {training["validation_score"]} (epoch {training["best_epoch"]}) |
| data fingerprint (SHA-256) | `{training["data_sha256"][:16]}` |
{notes}""".replace(" \n", "\n")
