"""The readers' part of a report: the same tables as on their own page."""

from __future__ import annotations

from radloop.evaluation.document import Block, Paragraph, Plots, Section, Table
from radloop.evaluation.readers.beside import Beside
from radloop.evaluation.readers.tables import cells_of, tables_of

BESIDE = "Beside human readers"


def readers_section(found: Beside, facts: str, picture: str) -> Section:
    """facts: a line on the cases. picture: the drawn curve, a file in the report's folder."""
    blocks: list[Block] = [Paragraph(facts)]
    blocks += [Paragraph(remark, "warning") for remark in found.remarks]
    blocks.append(Plots(((BESIDE, picture),)))
    for one in tables_of(found):
        rows = tuple(tuple(row) for row in cells_of(one.rows))
        blocks.append(Table(tuple(one.headings), rows, one.title, text_columns=one.texts))
        blocks += [Paragraph(note, "faint") for note in one.notes]
    return Section("readers", BESIDE, tuple(blocks))
