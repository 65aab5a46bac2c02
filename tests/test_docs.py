"""The documentation is tried: what it shows runs, and what it lists is what there is.

A fenced block after the comment `<!-- run -->` is executed, with made-up films in a folder that all
pages share. Every `radloop ...` line of every page is held against the commands' real options.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer

import radloop
from radloop.cli.main import app
from radloop.findings.forms import prediction_from_json, prediction_to_json
from radloop.images.dicom_write import write_radiograph_dicom
from radloop.images.image import Geometry, Image

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
# In this order: each page goes on with the files of those before it.
RUN = [
    "start/first-run.md",
    "how-to/train.md",
    "how-to/audit.md",
    "how-to/dicom.md",
    "how-to/volumes.md",
    "how-to/predict.md",
    "how-to/findings-out.md",
    "how-to/hemorrhage.md",
    "how-to/fractures.md",
    "how-to/hips.md",
    "how-to/classify-films.md",
    "how-to/label.md",
    "how-to/teeth.md",
    "how-to/lesions.md",
    "how-to/cross-validate.md",
    "how-to/transfer.md",
    "how-to/compare.md",
    "how-to/evaluate.md",
    "how-to/readers.md",
    "how-to/triage-benefit.md",
    "how-to/add-a-system.md",
]
FENCE = re.compile(r"^(<!-- run -->\n)?```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[bool, str, str]]:
    """(marked to run, language, text) of each fenced block."""
    for mark, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        yield bool(mark), language, text


# What is marked runs.


def draw_chest(seed: int) -> dict[str, np.ndarray]:
    """A made-up film and its masks, uint8 `(96, 96)`: two dark lungs, and a heart to the right."""
    rng = np.random.default_rng(seed)
    masks = {name: np.zeros((96, 96), np.uint8) for name in ("right_lung", "left_lung", "heart")}
    dx, dy = (int(v) for v in rng.integers(-3, 4, 2))
    width = int(rng.integers(13, 20))
    cv2.ellipse(masks["right_lung"], (28 + dx, 48 + dy), (16, 34), 0, 0, 360, 255, -1)
    cv2.ellipse(masks["left_lung"], (68 + dx, 48 + dy), (16, 34), 0, 0, 360, 255, -1)
    cv2.ellipse(masks["heart"], (52 + dx, 60 + dy), (width, 17), 0, 0, 360, 255, -1)
    film = np.full((96, 96), 170.0)
    film[(masks["left_lung"] | masks["right_lung"]) > 0] = 70
    film[masks["heart"] > 0] = 210
    noisy = film + rng.normal(0, 6, film.shape)
    return {"film": np.clip(noisy, 0, 255).astype(np.uint8), **masks}


def write_heads(folder: Path) -> None:
    """`scans/<patient>/<slice>.png` and `slices.csv`: rings of bone, every second with a bleed."""
    kinds = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
    rows = ["patient,slice," + ",".join(kinds)]
    rng = np.random.default_rng(0)
    for patient in range(6):
        turn = int(rng.integers(-12, 13))
        for number in range(1, 10):
            film = np.zeros((96, 96), np.uint8)
            cv2.ellipse(film, (48, 48), (34, 42), turn, 0, 360, 255, -1)
            cv2.ellipse(film, (48, 48), (30, 38), turn, 0, 360, 100 + number, -1)
            film += rng.integers(0, 9, film.shape, np.uint8) * (film < 200)
            for _ in range(6):
                sulcus = [int(v) for v in rng.integers(26, 70, 2)]
                cv2.circle(film, sulcus, int(rng.integers(2, 6)), 40, -1)
            bleeds = patient % 2 == 1 and 3 < number < 7
            if bleeds:
                cv2.circle(film, (60, 50), 8, 190, -1)
            path = folder / "scans" / f"{patient:02}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), film)
            rows.append(f"{patient},{number},0,{int(bleeds)},0,0,0")
    (folder / "slices.csv").write_text("\n".join(rows) + "\n")


def write_limbs(folder: Path) -> None:
    """`images/`, LabelImg's `boxes/` and `films.csv`: a bone with a joint, every second broken."""
    rng = np.random.default_rng(1)
    rows = ["film,broken,part,side"]
    for number in range(20):
        film = np.full((120, 90), 30, np.uint8)
        y, broken = int(rng.integers(40, 80)), number % 2
        cv2.line(film, (45, 0), (45, 120), 160, 18)
        cv2.ellipse(film, (45, y), (20, 12), 0, 0, 360, 190, -1)
        if broken:
            cv2.line(film, (25, y - 4), (65, y + 4), 40, 4)
        film += rng.integers(0, 9, film.shape, np.uint8)
        for kind in ("images", "boxes"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"images/w{number:02}.png"), film)
        part = "wrist" if y < 60 else "elbow"
        rows.append(f"w{number:02}.png,{broken},{part},{('L', '', 'R')[number % 3]}")
        name = "fractured wrist" if broken else "normal wrist"
        (folder / f"boxes/w{number:02}.xml").write_text(
            "<annotation><size><width>90</width><height>120</height></size><object>"
            f"<name>{name}</name><bndbox><xmin>20</xmin><ymin>{y - 16}</ymin><xmax>70</xmax>"
            f"<ymax>{y + 16}</ymax></bndbox></object></annotation>"
        )
    (folder / "films.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`films/`, `masks/<structure>/` and `ctr.csv`, as the pages name them."""
    folder = tmp_path_factory.mktemp("docs")
    rows = ["id,ctr"]
    for patient in range(10):
        name = f"p{patient:02}_film1.png"
        for kind, array in draw_chest(patient).items():
            path = folder / ("films" if kind == "film" else f"masks/{kind}") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), array)
        rows.append(f"{name},0.{42 + patient}")
    (folder / "ctr.csv").write_text("\n".join(rows) + "\n")
    film = draw_chest(0)["film"]
    write_radiograph_dicom(folder / "film.dcm", Image(film, Geometry(film.shape)))
    write_heads(folder)
    write_limbs(folder / "limbs")
    # Exit code 3 is a finished command: a network after one epoch refuses films.
    program = folder / "bin" / "radloop"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n"{sys.executable}" -m radloop.cli.main "$@"\n'
        'code=$?\n[ "$code" -eq 3 ] && exit 0\nexit "$code"\n'
    )
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("name", RUN)
def test_marked_blocks_run(name: str, workspace: Path) -> None:
    marked = [(language, text) for run, language, text in blocks(DOCS / name) if run]
    python = "".join(text for language, text in marked if language == "python")
    commands = [["bash", "-euo", "pipefail", "-c", t] for kind, t in marked if kind == "bash"]
    if python:
        commands.append([sys.executable, "-c", python])
    assert commands
    for command in commands:
        run = subprocess.run(
            command,
            cwd=workspace,
            env={
                **os.environ,
                "PATH": f"{workspace / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "src"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,  # a command that hangs is a failure, not a night of waiting
        )
        assert run.returncode == 0, f"{command[-1]}\n{run.stdout}\n{run.stderr}"


def test_every_marked_page_is_in_the_list() -> None:
    marked = [page for page in PAGES if any(run for run, _, _ in blocks(page))]
    assert {page.relative_to(DOCS).as_posix() for page in marked} == set(RUN)


# What is listed is what there is.


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """(page, words after `radloop`) of every command line in a fenced block."""
    for page in PAGES:
        for _, language, text in blocks(page):
            if language in ("bash", "console"):
                for line in text.replace("\\\n", " ").splitlines():
                    words = shlex.split(line.removeprefix("$ "), comments=True)
                    if words[:1] == ["radloop"]:
                        yield page.name, words[1:]


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


@pytest.mark.parametrize(
    ("page", "words"), list(command_lines()), ids=lambda value: str(value)[:60]
)
def test_command_lines_name_real_options(page: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: radloop has no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    used = {word.split("=")[0] for word in words if word.startswith("--")}
    assert used <= options_of(command)


def test_every_command_is_in_the_reference() -> None:
    def names(command: Any, path: str = "radloop") -> Iterator[str]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from (
                names(inner, f"{path} {name}") if hasattr(inner, "commands") else [f"{path} {name}"]
            )

    text = (DOCS / "reference/commands.md").read_text(encoding="utf-8")
    missing = [name for name in names(typer.main.get_command(app)) if f"\n{name}" not in text]
    assert missing == []


MAKES_A_VERDICT = ("refused", "warned", "Refusal", "_refuse_unlike", "_liftable")


def codes_in_source() -> set[str]:
    """The first argument of every verdict that the source makes."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in MAKES_A_VERDICT
            ):
                constants = (c for c in ast.walk(node.args[0]) if isinstance(c, ast.Constant))
                found |= {c.value for c in constants if isinstance(c.value, str)}
    return found


def test_every_verdict_code_is_in_the_reference() -> None:
    text = (DOCS / "reference/verdicts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == codes_in_source()


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {radloop.__version__}\n" in text


def test_the_example_prediction_is_one() -> None:
    (text,) = [t for _, kind, t in blocks(DOCS / "reference/files.md") if kind == "json"]
    example = json.loads(text)
    assert prediction_to_json(prediction_from_json(example)) == example


# The built pages stand alone.


class Loaded(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") != "canonical":
            self.addresses.append(given.get("href", ""))
        elif tag != "a":
            self.addresses.append(given.get("src", ""))


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert pages
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        assert [a for a in parser.addresses if re.match(r"(https?:)?//", a)] == []


def test_links_between_files_of_the_repository_exist() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (ROOT / target).exists(), f"{page.name}: {target}"
