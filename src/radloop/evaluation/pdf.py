"""A document as a PDF to file and to print: text that can be searched, tables that break between
rows, the same numbers as the page. The same document gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from radloop.errors import InputError
from radloop.evaluation.document import Block, Document, Facts, Paragraph, Plots, Table
from radloop.images.write import atomic_path

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

INK, FAINT, LINE, TINT, MARK = "#1c2430", "#5b6675", "#dde2e9", "#f4f6f9", "#c2571a"
_MARGIN = 48.0
_SHARPEST = 170
"""Dots an inch that pictures of cases keep; more makes a large file of no use."""
_SHORT = 14
"""Rows of a table that is kept on one page."""
_BEGINNING = 140.0
"""Points of a page that a longer table must find to begin on it, with what stands above it."""
_CELL, _LEAST_CELL = 7.5, 5.5
_DISCLAIMER = "Radloop is research software, not a medical device. Do not base a diagnosis on it."


def write_pdf(document: Document, folder: Path, path: Path) -> None:
    """Write `document`, whose pictures lie in `folder`, to `path`, A4.

    Raises InputError for a picture that cannot be read, WriteError when the disk does not take it.
    """
    from reportlab import rl_config
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import CondPageBreak, KeepTogether, SimpleDocTemplate, Spacer

    rl_config.invariant = 1  # no time and no random identifier in the file
    width = A4[0] - 2 * _MARGIN
    styles = _styles()
    story: list[Flowable] = [_text(document.title, styles["title"])]
    story += [_text(sentence, styles["plain"]) for sentence in document.summary]
    for section in document.sections:
        flowables = [
            flowable
            for block in section.blocks
            for flowable in _block(block, folder, width, styles)
        ]
        heading = _text(section.title, styles["heading"])
        story.append(Spacer(0, 10))
        # A heading never stands alone at the foot of a page.
        if flowables and isinstance(flowables[0], CondPageBreak):
            story.append(flowables.pop(0))
        story.append(KeepTogether([heading, *flowables[:1]]))
        story += flowables[1:]
    while isinstance(story[-1], Spacer):  # alone it could ask for a page of its own
        story.pop()

    def footer(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont(_fonts()[0], 7)
        canvas.setFillColor(FAINT)
        canvas.drawString(_MARGIN, 26, _DISCLAIMER)
        canvas.drawRightString(A4[0] - _MARGIN, 26, str(page.page))
        canvas.restoreState()

    with atomic_path(path) as temporary:
        SimpleDocTemplate(
            str(temporary), pagesize=A4, title=document.title, author="Radloop",
            leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
        ).build(story, onFirstPage=footer, onLaterPages=footer)  # fmt: skip


def _fonts() -> tuple[str, str]:
    """A regular and a bold face that know Greek, arrows and mathematical signs: DejaVu Sans, which
    comes with matplotlib."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    names = ("DejaVuSans", "DejaVuSans-Bold")
    if names[0] not in pdfmetrics.getRegisteredFontNames():
        import matplotlib

        fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
        for name in names:
            pdfmetrics.registerFont(TTFont(name, str(fonts / f"{name}.ttf")))
        pdfmetrics.registerFontFamily(names[0], normal=names[0], bold=names[1])
    return names


def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    regular, bold = _fonts()
    plain = ParagraphStyle("plain", fontName=regular, fontSize=8.5, leading=12, textColor=INK,
                           spaceAfter=5)  # fmt: skip
    cell = ParagraphStyle("cell", parent=plain, fontSize=_CELL, leading=9.5, spaceAfter=0)
    return {
        "plain": plain,
        "faint": ParagraphStyle("faint", parent=plain, textColor=FAINT, fontSize=7.5, leading=10),
        "warning": ParagraphStyle("warning", parent=plain, backColor=TINT, borderColor=MARK,
                                  borderWidth=0.8, borderPadding=5, spaceBefore=7, spaceAfter=11,
                                  leftIndent=6, rightIndent=6),
        "title": ParagraphStyle("title", parent=plain, fontName=bold, fontSize=16, leading=20,
                                spaceAfter=8),
        "heading": ParagraphStyle("heading", parent=plain, fontName=bold, fontSize=12, leading=15,
                                  spaceAfter=5),
        "caption": ParagraphStyle("caption", parent=plain, textColor=FAINT, fontSize=7.5,
                                  leading=9.5, spaceAfter=3),
        "cell": cell,
        "number": ParagraphStyle("number", parent=cell, alignment=2),
        "head": ParagraphStyle("head", parent=cell, textColor=FAINT, fontName=bold),
        "number head": ParagraphStyle("number head", parent=cell, textColor=FAINT, fontName=bold,
                                      alignment=2),
    }  # fmt: skip


def _text(text: str, style: Any) -> Flowable:
    from reportlab.platypus import Paragraph as Text

    return Text(escape(text), style)


def _block(block: Block, folder: Path, width: float, styles: dict[str, Any]) -> Iterator[Flowable]:
    from reportlab.platypus import CondPageBreak, KeepTogether, Spacer

    if isinstance(block, Paragraph):
        yield _text(block.text, styles[block.tone])
    elif isinstance(block, Facts):
        yield _grid(block.items, width, styles)
        yield Spacer(0, 6)
    elif isinstance(block, Table):
        caption = [_text(block.caption, styles["caption"])] if block.caption else []
        grid = _table(block, width, styles)
        # A short table stays on one page; of a long one the caption stays with its beginning.
        if len(block.rows) <= _SHORT:
            yield KeepTogether([*caption, grid])
        else:
            yield from (CondPageBreak(_BEGINNING), *caption, grid)
        yield Spacer(0, 8)
    elif isinstance(block, Plots):
        yield from _pictures(block.pictures, folder, width, styles, 2)
    else:
        rows = list(_pictures(block.pictures, folder, width, styles, 4))
        heading = [_text(block.caption, styles["plain"])] if block.caption else []
        yield KeepTogether([*heading, *rows[:1]])
        yield from rows[1:]


def _grid(items: Sequence[tuple[str, str]], width: float, styles: dict[str, Any]) -> Flowable:
    from reportlab.platypus import Table as Grid
    from reportlab.platypus import TableStyle

    rows = [[_text(name, styles["head"]), _text(value, styles["cell"])] for name, value in items]
    style = TableStyle([("BACKGROUND", (0, 0), (-1, -1), TINT), ("VALIGN", (0, 0), (-1, -1), "TOP"),
                        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5)])  # fmt: skip
    return Grid(rows, colWidths=[0.27 * width, 0.73 * width], style=style, hAlign="LEFT")


def _table(table: Table, width: float, styles: dict[str, Any]) -> Flowable:
    from reportlab.platypus import Table as Grid
    from reportlab.platypus import TableStyle

    def style_of(column: int, kind: str) -> Any:
        numeric = column >= table.text_columns
        return styles[("number " if numeric and kind else "number" if numeric else "") + (
            kind or ("" if numeric else "cell"))]  # fmt: skip

    widths, size = _widths(table, width)
    if size < _CELL:
        styles = {
            name: style.clone(f"small {name}", fontSize=size, leading=1.27 * size)
            for name, style in styles.items()
        }
    rows = [
        [_text(cell, style_of(k, kind)) for k, cell in enumerate(row)]
        for kind, lines in (("head", [table.headings]), ("", table.rows))
        for row in lines
    ]
    style = TableStyle([
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ])  # fmt: skip
    return Grid(rows, colWidths=widths, style=style, repeatRows=1, hAlign="LEFT")


def _widths(table: Table, width: float) -> tuple[list[float], float]:
    """The columns' widths and the size of the letters.

    Every column is at least as wide as its longest word, and as wide as its longest cell where the
    page has room for all; what is left of the page goes to those that want most. Where there is no
    room for the words, the letters are smaller.
    """
    from reportlab.pdfbase.pdfmetrics import stringWidth

    regular, bold = _fonts()
    least, wanted = [], []
    for k, heading in enumerate(table.headings):
        texts = [(heading, bold), *((row[k], regular) for row in table.rows)]
        words = [(word, font) for text, font in texts for word in text.split()]
        least.append(max((stringWidth(w, f, _CELL) for w, f in words), default=0.0) + 7)
        wanted.append(max(stringWidth(text, font, _CELL) for text, font in texts) + 7)
    if sum(wanted) <= width:
        return wanted, _CELL
    spare = width - sum(least)
    if spare <= 0:
        smaller = max(_LEAST_CELL, 0.98 * _CELL * width / sum(least))
        return [one * width / sum(least) for one in least], smaller
    more = sum(wanted) - sum(least)
    both = zip(least, wanted, strict=True)
    return [low + (high - low) * spare / more for low, high in both], _CELL


def _pictures(
    pictures: Sequence[tuple[str, str]], folder: Path, width: float, styles: dict[str, Any],
    columns: int,
) -> Iterator[Flowable]:  # fmt: skip
    """Rows of pictures with their captions below; a very wide one, and one alone, has a row of its
    own."""
    from reportlab.platypus import Table as Grid
    from reportlab.platypus import TableStyle

    style = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                        ("RIGHTPADDING", (0, 0), (-1, -1), 6)])  # fmt: skip
    row: list[list[Flowable]] = []
    for caption, file in pictures:
        across, down = _size(folder / file)
        whole = columns == 2 and (across > 1.45 * down or len(pictures) == 1)
        if row and (whole or len(row) == columns):
            yield Grid([row], colWidths=[width / columns] * len(row), style=style, hAlign="LEFT")
            row = []
        room = (width if whole else width / columns) - 6
        cell: list[Flowable] = [
            _picture(folder / file, room, 300 if columns == 2 else 190),
            _text(caption, styles["caption"]),
        ]
        if whole:
            yield Grid([[cell]], colWidths=[width], style=style, hAlign="LEFT")
        else:
            row.append(cell)
    if row:
        yield Grid([row], colWidths=[width / columns] * len(row), style=style, hAlign="LEFT")


def _picture(path: Path, room: float, highest: float) -> Flowable:
    """The picture within these bounds, in points; a photograph no sharper than is seen."""
    import io

    from PIL import Image as Pillow
    from reportlab.platypus import Image

    across, down = _size(path)
    scale = min(room / across, highest / down)
    points = across * scale, down * scale
    most = int(points[0] / 72 * _SHARPEST)
    if path.suffix.lower() != ".png" and across > most:
        with Pillow.open(path) as picture:
            small = picture.convert("RGB").resize((most, max(1, round(down * most / across))))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=85)
        buffer.seek(0)
        return Image(buffer, *points, hAlign="LEFT")
    return Image(str(path), *points, hAlign="LEFT")


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as picture:
            return picture.size
    except OSError as error:
        raise InputError(f"The picture {path.name} of the report cannot be read.") from error
