"""`radloop import`, `split` and `check`: from files to a case table that can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radloop.cli.console import (
    Json,
    Quiet,
    message,
    on_interrupt,
    pairs,
    progress_bar,
    result,
    result_json,
)
from radloop.errors import InputError

if TYPE_CHECKING:
    from radloop.cases.importing import ImportReport

importers = typer.Typer(no_args_is_help=True, help="Make a case table from the files you have.")

Images = Annotated[Path, typer.Option("--images", help="The folder of images.", metavar="DIR")]
Out = Annotated[Path, typer.Option("--out", help="The case table to write.", metavar="CSV")]
PatientFrom = Annotated[
    str | None,
    typer.Option(
        "--patient-from",
        metavar="REGEX",
        help="Which part of a file's name is the patient: its first group, or the whole match."
        " Without it each image is a patient of its own.",
    ),
]


@importers.command("masks")
def import_masks(
    images: Images,
    mask: Annotated[
        list[str],
        typer.Option("--mask", metavar="NAME=DIR", help="A structure and its folder of masks."),
    ],
    out: Out = Path("cases.csv"),
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="CSV", help="Numbers by image: they become values."),
    ] = None,
    patient_from: PatientFrom = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Images with one folder of masks a structure."""
    from radloop.cases import importing

    masks = {name: Path(folder) for name, folder in pairs(mask, "NAME=DIR").items()}
    report = importing.import_masks(images, masks, table, patient_from, out=out)
    _show_import(report, out, quiet, as_json)


@importers.command("table")
def import_table(
    images: Images,
    table: Annotated[Path, typer.Option("--table", metavar="CSV", help="One row an image.")],
    file_column: Annotated[
        str, typer.Option("--file-column", metavar="C", help="The column of file names.")
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=COLUMN[=VALUE]",
            help="A column of 0 and 1, or a column of |-separated lists in which VALUE is looked"
            " for.",
        ),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option("--value", metavar="NAME=COLUMN", help="A column of numbers."),
    ] = None,
    out: Out = Path("cases.csv"),
    patient_from: PatientFrom = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Images with a table of labels or measured values."""
    from radloop.cases import importing

    report = importing.import_table(
        images,
        table,
        file_column,
        pairs(label or [], "NAME=COLUMN[=VALUE]"),
        pairs(value or [], "NAME=COLUMN"),
        patient_from,
        out=out,
    )
    _show_import(report, out, quiet, as_json)


AnyBox = Annotated[
    str | None,
    typer.Option("--any", metavar="NAME", help="Also a label: 1 where an image has any box."),
]


_BY_CLASS = "NAME=CLASS[|CLASS...]"
ByClass = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar=_BY_CLASS,
        help="Also a label: 1 where an image has a box of the class. A NAME of the form"
        " QUESTION:ANSWER stays unknown where no box answers.",
    ),
]


@importers.command("yolo")
def import_yolo(
    images: Images,
    labels: Annotated[Path, typer.Option(metavar="DIR", help="One text file an image.")],
    names: Annotated[Path, typer.Option(metavar="FILE", help="The classes: data.yaml.")],
    out: Out = Path("cases.csv"),
    any_label: AnyBox = None,
    label: ByClass = None,
    patient_from: PatientFrom = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Images with YOLO boxes or polygons."""
    from radloop.cases.boxes import importing

    by_class = pairs(label or [], _BY_CLASS)
    report = importing.import_yolo(
        images, labels, names, patient_from, out=out, label=any_label, labels_by_class=by_class
    )
    _show_import(report, out, quiet, as_json)


@importers.command("voc")
def import_voc(
    images: Images,
    annotations: Annotated[Path, typer.Option(metavar="DIR", help="One XML file an image.")],
    out: Out = Path("cases.csv"),
    any_label: AnyBox = None,
    label: ByClass = None,
    patient_from: PatientFrom = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Images with Pascal VOC boxes (LabelImg)."""
    from radloop.cases.boxes import importing

    by_class = pairs(label or [], _BY_CLASS)
    report = importing.import_voc(
        images, annotations, patient_from, out=out, label=any_label, labels_by_class=by_class
    )
    _show_import(report, out, quiet, as_json)


@importers.command("coco")
def import_coco(
    images: Images,
    annotations: Annotated[Path, typer.Option(metavar="FILE", help="The COCO file.")],
    out: Out = Path("cases.csv"),
    any_label: AnyBox = None,
    label: ByClass = None,
    patient_from: PatientFrom = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Images with a COCO file of boxes."""
    from radloop.cases.boxes import importing

    by_class = pairs(label or [], _BY_CLASS)
    report = importing.import_coco(
        images, annotations, patient_from, out=out, label=any_label, labels_by_class=by_class
    )
    _show_import(report, out, quiet, as_json)


def boxes(
    cases: Annotated[Path, typer.Argument(help="The case table.", metavar="CASES")],
    to: Annotated[str, typer.Option(metavar="FORMAT", help="voc, yolo or coco.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the files.")],
    quiet: Quiet = False,
) -> None:
    """Write the boxes of a case table for other programs."""
    from radloop.cases.boxes.importing import export_boxes
    from radloop.cases.table import read_cases

    count = export_boxes(read_cases(cases), to, out)
    result(f"{out}: boxes of {count} images")
    message("files are named like the images", quiet)


@importers.command("slices")
def import_slices(
    images: Images,
    table: Annotated[Path, typer.Option("--table", metavar="CSV", help="One row a slice.")],
    case_column: Annotated[
        str, typer.Option("--case-column", metavar="C", help="The column that names the scan.")
    ],
    slice_column: Annotated[
        str, typer.Option("--slice-column", metavar="S", help="The column of slice numbers.")
    ],
    label: Annotated[
        list[str], typer.Option("--label", metavar="NAME=COLUMN", help="A column of 0 and 1.")
    ],
    any_label: Annotated[
        str | None,
        typer.Option("--any", metavar="NAME", help="Also a label: 1 where any other one is."),
    ] = None,
    out: Out = Path("cases.csv"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Scans as folders of numbered slices, with a table of labels by slice."""
    from radloop.cases.slices import import_slices as run

    labels = pairs(label, "NAME=COLUMN")
    report = run(images, table, case_column, slice_column, labels, any_label=any_label, out=out)
    _show_import(report, out, quiet, as_json)


@importers.command("nifti")
def import_nifti(
    images: Images,
    channel: Annotated[
        list[str],
        typer.Option(
            "--channel",
            metavar="NAME=GLOB",
            help="Files of a channel below DIR; {case}, or the only *, names the case.",
        ),
    ],
    mask: Annotated[
        list[str] | None,
        typer.Option("--mask", metavar="[NAME=]GLOB", help="Files of masks; NAME is lesion."),
    ] = None,
    out: Out = Path("cases.csv"),
    patient_from: PatientFrom = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """NIfTI volumes, one file a channel."""
    from radloop.cases.scans.nifti import import_nifti as run

    named = [one if "=" in one else f"lesion={one}" for one in mask or []]
    channels, masks = pairs(channel, "NAME=GLOB"), pairs(named, "[NAME=]GLOB")
    _show_import(run(images, channels, masks, patient_from, out=out), out, quiet, as_json)


@importers.command("dicom")
def import_dicom(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Studies, mixed as they are.")],
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            metavar="NAME=REGEX",
            help="Which series descriptions are this channel; otherwise they are recognised.",
        ),
    ] = None,
    out: Out = Path("cases.csv"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """DICOM studies: their series as channels, their segmentations as masks."""
    from radloop.cases.scans.dicom import import_dicom as run

    report = run(folder, pairs(channel or [], "NAME=REGEX"), out=out)
    _show_import(report, out, quiet, as_json)


def _show_import(report: ImportReport, out: Path, quiet: bool, as_json: bool) -> None:
    if as_json:
        result_json(report.to_json())
        return
    patients = len({case.patient_id for case in report.table.cases})
    result(f"{out}: {len(report.table.cases)} cases of {patients} patients")
    for note in report.notes:
        more = f" and {len(note.names) - 3} more" if len(note.names) > 3 else ""
        message(f"note: {note.message} ({', '.join(note.names[:3])}{more})", quiet)


def split(
    cases: Annotated[Path, typer.Argument(help="The case table.", metavar="CASES")],
    folds: Annotated[int | None, typer.Option(metavar="K", help="K equal folds.")] = None,
    fractions: Annotated[
        str | None,
        typer.Option(metavar="F,F[,F]", help="Shares of train, val and test: .7,.15,.15."),
    ] = None,
    stratify: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Keep the share of this label, or value:NAME>X, equal."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, another split.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write here instead of in place.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Divide a case table by patient: all cases of a patient go to one split."""
    from collections import Counter

    from radloop.cases.split import split_cases
    from radloop.cases.table import read_cases, write_cases

    # strict=False: a table whose old splits share a patient is what this command repairs
    table = split_cases(
        read_cases(cases, strict=False),
        folds=folds,
        fractions=None if fractions is None else _numbers(fractions),
        stratify=stratify,
        seed=seed,
    )
    write_cases(table, out or cases)
    counts = dict(sorted(Counter(case.split for case in table.cases).items()))
    if as_json:
        result_json(counts)
        return
    for name, count in counts.items():
        result(f"{name}: {count} cases")
    message(f"written to {out or cases}", quiet)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"'{text}' is not a list of fractions.", "Write it like .7,.15,.15."
        ) from None


def check(
    cases: Annotated[Path, typer.Argument(help="The case table.", metavar="CASES")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For the report; default: check/ beside the table."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Audit a case table: what is unreadable, doubled, leaking, impossible or unusual.

    Ends with 1 when it finds an error.
    """
    from radloop.cases.audit import audit, write_audit
    from radloop.cases.table import read_cases

    folder = out or cases.parent / "check"
    with (
        on_interrupt("No report was written; the table is unchanged."),
        progress_bar("checking", quiet) as progress,
    ):
        report = audit(read_cases(cases, strict=False), progress)
        write_audit(report, folder)
    if as_json:
        result_json(report.to_json())
    else:
        for problem in report.problems:
            result(f"{problem.level}: {problem.message}")
        if not report.problems:
            result("no problem found")
        message(f"the report is {folder / 'check.html'}", quiet)
    if not report.ok:
        raise typer.Exit(1)
