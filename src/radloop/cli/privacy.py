"""`radloop deidentify`: DICOM files without what names the patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radloop.cli.console import (
    REFUSED,
    Json,
    Quiet,
    message,
    on_interrupt,
    progress_bar,
    result,
    result_json,
)
from radloop.errors import InputError


def deidentify(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN... OUT", help="Folders or files, then the output.")
    ],
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The secret from which pseudonyms are made; made when missing. The same key gives"
            " the same pseudonyms in every run. Without it they are random.",
        ),
    ] = None,
    retain_uids: Annotated[bool, typer.Option("--retain-uids", help="Keep the UIDs.")] = False,
    retain_device: Annotated[
        bool, typer.Option("--retain-device", help="Keep which device it was.")
    ] = False,
    retain_institution: Annotated[
        bool, typer.Option("--retain-institution", help="Keep the institution's name.")
    ] = False,
    retain_patient: Annotated[
        bool, typer.Option("--retain-patient", help="Keep sex, age (up to 90), size and weight.")
    ] = False,
    dates: Annotated[
        str, typer.Option(metavar="HOW", help="remove, shift (by one span a patient) or keep.")
    ] = "remove",
    clean_descriptions: Annotated[
        bool,
        typer.Option("--clean-descriptions", help="Keep the radiological words of descriptions."),
    ] = False,
    retain_safe_private: Annotated[
        bool, typer.Option("--retain-safe-private", help="Keep private diffusion weights.")
    ] = False,
    refuse_burned_in: Annotated[
        bool, typer.Option("--refuse-burned-in", help="Refuse images that may show text.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """De-identify DICOM images (PS3.15 basic profile); it does not replace a privacy review.

    Ends with 3 when files were refused.
    """
    if len(inputs) < 2:
        raise InputError("Give the input and the output folder.")
    *sources, out = inputs
    from radloop.images.deidentify.folder import deidentify_folder
    from radloop.images.deidentify.profile import Options
    from radloop.images.deidentify.pseudonyms import pseudonyms_of, random_pseudonyms

    if dates not in ("remove", "shift", "keep"):
        raise InputError(f"Dates cannot be treated '{dates}'.", "Choose remove, shift or keep.")
    if key is not None and out.resolve() in key.resolve().parents:
        raise InputError("The key lies in the output folder.", "Keep it where nobody else reads.")
    options = Options(
        retain_uids, retain_device, retain_institution, retain_patient,
        "shift" if dates == "shift" else "keep" if dates == "keep" else "remove",
        clean_descriptions, retain_safe_private,
    )  # fmt: skip
    pseudonyms = pseudonyms_of(key) if key else random_pseudonyms()
    with (
        on_interrupt("Run it again with the same key to go on."),
        progress_bar("de-identifying", quiet) as progress,
    ):
        summary = deidentify_folder(
            sources, out, pseudonyms, options, refuse_burned_in=refuse_burned_in, progress=progress
        )
    if as_json:
        result_json(
            {
                "written": summary.written,
                "warned": summary.warned,
                "refused": len(summary.refused),
                "not_dicom": summary.not_dicom,
                "codes": dict(summary.codes),
                "out": str(out),
            }
        )
    else:
        result(
            f"{summary.written} written, {summary.warned} of them with a warning,"
            f" {len(summary.refused)} refused, {summary.not_dicom} not DICOM"
        )
        for code, count in sorted(summary.codes.items()):
            if code != "ok":
                result(f"  {code}: {count}")
        for name, verdict in summary.refused.items():
            message(f"{name}: {' '.join(verdict.messages)}", quiet)
    if summary.refused:
        raise typer.Exit(REFUSED)
