"""The page: complete, escaped, self-contained, and it says what it is."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from samples import film, refused_film

from radloop.findings.finding import Prediction
from radloop.findings.page import render_page, write_page
from radloop.images.verdict import warned
from radloop.images.write import write_png
from radloop.service.worklist import order

EVIL = "<script>alert('x')</script>&\""


class Outline(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Outline:
    outline = Outline()
    outline.feed(html)
    return outline


def page(folder: Path, *predictions: Prediction) -> Outline:
    return parsed(render_page(folder, order(predictions)))


def test_worklist_order_with_the_unread_last(tmp_path: Path) -> None:
    text = page(
        tmp_path,
        film("clear", 0.01, 0.4),
        refused_film("lateral"),
        film("urgent", 0.99, 0.66),
        film("unsure", 0.3, 0.49),
    ).text
    places = [text.index(case) for case in ("urgent", "unsure", "clear", "This is a lateral")]
    assert places == sorted(places)
    assert "0.660 (0.640-0.680)" in text
    assert "1 of 4 cases could not be read" in " ".join(text.split())


def test_everything_of_the_data_is_escaped(tmp_path: Path) -> None:
    bad = replace(
        film(EVIL, 0.9, 0.6),
        patient_id=EVIL,
        system=EVIL,
        verdict=warned("w", EVIL),
        files={"picture": "javascript:alert(1)"},
    )
    refused = replace(refused_film(EVIL), patient_id=EVIL)
    outline = page(tmp_path, bad, refused)
    assert "script" not in {tag for tag, _ in outline.tags}
    assert outline.text.count(EVIL) >= 5
    links = [attrs["href"] or "" for tag, attrs in outline.tags if tag == "a"]
    assert all(link.startswith(("#", "./")) for link in links)


def test_pictures_are_embedded_and_nothing_else_is_fetched(tmp_path: Path) -> None:
    write_png(tmp_path / "pictures" / "a b.png", np.zeros((64, 64, 3), np.uint8))
    with_picture = replace(film("a", 0.9, 0.6), files={"picture": "pictures/a b.png"})
    outline = page(tmp_path, with_picture)
    (image,) = [attrs for tag, attrs in outline.tags if tag == "img"]
    assert (image["src"] or "").startswith("data:image/jpeg;base64,")
    assert "a" in (image["alt"] or "")
    assert ("a", {"href": "./pictures/a%20b.png"}) in outline.tags
    assert not {"link", "iframe", "script"} & {tag for tag, _ in outline.tags}


@pytest.mark.parametrize("name", ["../secret.png", "missing.png", "broken.png", ""])
def test_only_pictures_of_the_folder_are_read(tmp_path: Path, name: str) -> None:
    write_png(tmp_path / "secret.png", np.zeros((64, 64), np.uint8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "broken.png").write_bytes(b"no picture")
    case = replace(film("a", 0.9, 0.6), files={"picture": name} if name else {})
    assert "img" not in {tag for tag, _ in page(tmp_path / "out", case).tags}


def test_it_says_what_it_is_and_has_a_structure(tmp_path: Path) -> None:
    path = write_page(tmp_path, order([film("a", 0.9, 0.6), refused_film("b")]))
    html = path.read_text(encoding="utf-8")
    outline = parsed(html)
    assert path.name == "index.html"
    assert "not a medical device" in outline.text
    assert ("html", {"lang": "en"}) in outline.tags
    assert [tag for tag, _ in outline.tags].count("h1") == 1
    assert "prefers-color-scheme: dark" in html
    assert re.search(r'<th scope="row">a', html)


def test_a_file_name_that_is_no_unicode(tmp_path: Path) -> None:
    assert write_page(tmp_path, order([film("film-\udce9", 0.1, 0.4)])).is_file()


def test_no_cases(tmp_path: Path) -> None:
    assert "no cases" in page(tmp_path).text
