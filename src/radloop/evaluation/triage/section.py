"""The triage's part of a report: the table and the pictures of its own page."""

from __future__ import annotations

from collections.abc import Sequence

from radloop.evaluation.document import Block, Paragraph, Plots, Section, Table

TITLE = "Triage benefit"


def triage_section(
    sentence: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    remarks: Sequence[str],
    method: str,
    pictures: Sequence[tuple[str, str]],
) -> Section:
    """sentence: on the room. pictures: titles with files in the report's folder."""
    blocks: list[Block] = [Paragraph(sentence)]
    blocks += [Paragraph(remark, "warning") for remark in remarks]
    table = tuple(tuple(row) for row in rows)
    blocks += [Table(tuple(headings), table), Paragraph(method, "faint"), Plots(tuple(pictures))]
    return Section("triage", TITLE, tuple(blocks))
