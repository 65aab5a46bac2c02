"""A document as files: a page, a PDF and `document.json`, each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from radloop.errors import InputError
from radloop.evaluation.document import DOCUMENT, Document, Section, read_document
from radloop.evaluation.page import data_uri, render
from radloop.evaluation.pdf import write_pdf
from radloop.images.write import write_text

LAST = ("failures", "gallery", "limits", "checklist")
"""The sections that stay behind those which other commands add."""


def write_pages(out: Path, document: Document, name: str) -> None:
    """Write `<name>.html` and `<name>.pdf` into the folder `out`, where the pictures lie.

    Raises InputError for a picture that cannot be read, WriteError when the disk does not take it.
    """
    pictures = {picture: data_uri(out / picture) for picture in document.pictures()}
    page = render("report.html", document=document, pictures=pictures, pdf=f"{name}.pdf")
    write_text(out / f"{name}.html", page)
    write_pdf(document, out, out / f"{name}.pdf")


def write_document(out: Path, document: Document) -> None:
    """Write `report.html`, `report.pdf` and `document.json`; see `write_pages`."""
    write_pages(out, document, "report")
    write_text(out / DOCUMENT, document.to_text())


def is_report(out: Path) -> bool:
    """Whether the folder holds a report that sections can be added to."""
    return (out / DOCUMENT).is_file()


def add_section(out: Path, section: Section) -> None:
    """Put a section into the report of the folder `out`, or replace it, and write the files again.

    Raises InputError when `out` is no report of this version.
    """
    if not is_report(out):
        raise InputError(
            f"'{out.name}' is no report that a section can be added to.",
            "Give the folder that `radloop evaluate` wrote, or run it again with this version.",
        )
    write_document(out, read_document(out).with_section(section, before=LAST))
