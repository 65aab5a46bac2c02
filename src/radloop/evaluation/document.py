"""What a report says, before it is a page: sections of a few kinds of block, as plain values.

The page and the PDF are drawn from the same document, so that they cannot differ, and the document
is kept beside them (`document.json`), so that a later command can add its section.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from radloop.errors import InputError

DOCUMENT = "document.json"
FORMAT = 1


@dataclass(frozen=True)
class Paragraph:
    """A few sentences. tone: "faint" for remarks, "warning" for what must not be missed."""

    text: str
    tone: Literal["plain", "faint", "warning"] = "plain"
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    items: tuple[tuple[str, str], ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Table:
    """Rows of text. text_columns: how many columns, from the left, are words; the others are
    numbers. wide: the numbers of columns that hold sentences."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    text_columns: int = 1
    wide: tuple[int, ...] = ()
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Plots:
    """Drawn figures: (title, file in the report's folder)."""

    pictures: tuple[tuple[str, str], ...]
    kind: Literal["plots"] = "plots"


@dataclass(frozen=True)
class Gallery:
    """Pictures of cases: (caption, file in the report's folder)."""

    pictures: tuple[tuple[str, str], ...]
    caption: str = ""
    kind: Literal["gallery"] = "gallery"


Block = Paragraph | Facts | Table | Plots | Gallery
_BLOCKS: dict[str, type] = {
    "paragraph": Paragraph,
    "facts": Facts,
    "table": Table,
    "plots": Plots,
    "gallery": Gallery,
}


@dataclass(frozen=True)
class Section:
    """A part of the report. key: its name for `Document.with_section`."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report. summary: sentences below the title. cases: the table beside it."""

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    cases: str = ""
    format: int = field(default=FORMAT)

    def with_section(self, section: Section, before: Sequence[str] = ()) -> Document:
        """The document with this section in place of the one of its key; a new one comes before
        the first section with a key of `before`, or last."""
        keys = [one.key for one in self.sections]
        sections = list(self.sections)
        if section.key in keys:
            sections[keys.index(section.key)] = section
        else:
            places = [keys.index(key) for key in before if key in keys]
            sections.insert(min(places, default=len(keys)), section)
        return Document(self.title, self.summary, tuple(sections), self.cases)

    def pictures(self) -> Iterator[str]:
        """Every file that the document shows."""
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Plots | Gallery):
                    yield from (file for _, file in block.pictures)

    def to_text(self) -> str:
        """The document as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read_document(folder: Path) -> Document:
    """The document of a report folder; InputError when there is none that can be read."""
    again = "Run `radloop evaluate` again with this version."
    try:
        data = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(f"The {DOCUMENT} of '{folder.name}' is of another format.", again)
        sections = tuple(
            Section(one["key"], one["title"], tuple(_block(block) for block in one["blocks"]))
            for one in data["sections"]
        )
        return Document(data["title"], tuple(data["summary"]), sections, data["cases"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{folder.name}' holds no readable {DOCUMENT}.", again) from error


def _block(data: Mapping[str, Any]) -> Block:
    values = {name: _tupled(value) for name, value in data.items()}
    made: Block = _BLOCKS[data["kind"]](**values)
    return made


def _tupled(value: Any) -> Any:
    return tuple(_tupled(one) for one in value) if isinstance(value, list) else value
