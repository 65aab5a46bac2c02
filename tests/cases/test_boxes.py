"""Boxes in and out: three formats there and back, and every kind of bad row, listed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.cases.boxes.audit import box_problems
from radloop.cases.boxes.box import BAD_ROWS, Box, FilmBoxes
from radloop.cases.boxes.coco import case_boxes, coco_text, parse_coco
from radloop.cases.boxes.importing import export_boxes, import_coco, import_voc, import_yolo
from radloop.cases.boxes.voc import parse_voc, voc_text
from radloop.cases.boxes.yolo import names_yaml, parse_yolo, read_names, yolo_text
from radloop.cases.table import read_cases
from radloop.errors import CaseTableError, InputError

NAMES = ["elbow", "wrist & hand"]


@st.composite
def films(draw: st.DrawFn) -> FilmBoxes:
    width, height = draw(st.integers(8, 3000)), draw(st.integers(8, 3000))
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x0 = draw(st.floats(0, width - 2))
        y0 = draw(st.floats(0, height - 2))
        x1 = draw(st.floats(x0 + 1, width))
        y1 = draw(st.floats(y0 + 1, height))
        label = draw(st.sampled_from(NAMES))
        outline = ((x0, y0), (x1, (y0 + y1) / 2), ((x0 + x1) / 2, y1))
        boxes.append(Box(x0, y0, x1, y1, label, outline if draw(st.booleans()) else ()))
    once = {(tuple(round(c, 3) for c in box.corners), box.label): box for box in boxes}
    return FilmBoxes(width, height, tuple(once.values()))


def same(a: FilmBoxes, b: FilmBoxes, polygons: bool = True) -> None:
    assert (a.width, a.height, len(a.boxes)) == (b.width, b.height, len(b.boxes))
    for ours, theirs in zip(a.boxes, b.boxes, strict=True):
        assert ours.label == theirs.label
        assert ours.corners == pytest.approx(theirs.corners, abs=1e-4)
        if polygons:
            assert np.allclose(ours.polygon, theirs.polygon, atol=1e-4)


@given(films())
@settings(max_examples=60, deadline=None)
def test_yolo_there_and_back(film: FilmBoxes) -> None:
    bad: list = []
    names = dict(enumerate(NAMES))
    again = parse_yolo(yolo_text(film, NAMES), names, film.width, film.height, "f.txt", bad)
    assert bad == []
    same(film, again)


@given(films())
@settings(max_examples=60, deadline=None)
def test_voc_there_and_back(film: FilmBoxes) -> None:
    bad: list = []
    text = voc_text(film, "a&b.png").encode()
    again = parse_voc(text, film.width, film.height, "f.xml", bad)
    assert bad == []
    assert again is not None
    same(film, again, polygons=False)


@given(films())
@settings(max_examples=60, deadline=None)
def test_coco_there_and_back(tmp_path_factory: pytest.TempPathFactory, film: FilmBoxes) -> None:
    path = tmp_path_factory.getbasetemp() / "coco.json"
    path.write_text(coco_text({"a.png": film, "none.png": FilmBoxes(5, 5)}, NAMES))
    collected = parse_coco(path)
    assert collected.bad == []
    assert collected.films["none.png"].boxes == ()
    same(film, collected.films["a.png"])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("0 0.5 0.5 0.2", "malformed_box"),
        ("0 0.5 0.5 0.2 0.2 0.9", "malformed_box"),  # six numbers: a prediction with its score
        ("0 0.5 a 0.2 0.2", "malformed_box"),
        ("0 nan 0.5 0.2 0.2", "box_not_a_number"),
        ("0 0.5 0.5 inf 0.2", "box_not_a_number"),
        ("7 0.5 0.5 0.2 0.2", "unknown_class"),
        ("0.5 0.5 0.5 0.2 0.2", "unknown_class"),
        ("0 0.5 0.5 0 0.2", "empty_box"),
        ("0 0.5 0.5 -0.1 0.2", "empty_box"),
        ("0 1.5 0.5 0.2 0.2", "box_outside"),
        ("0 0.1 0.1 0.1 0.1 0.1 0.1", "empty_box"),
    ],
)
def test_a_bad_row_is_listed_and_left_out(row: str, code: str) -> None:
    bad: list = []
    film = parse_yolo(row + "\n0 0.5 0.5 0.1 0.1\n", {0: "a"}, 100, 100, "f.txt", bad)
    assert [(one.code, one.where) for one in bad] == [(code, "f.txt, row 1")]
    assert code in BAD_ROWS
    assert len(film.boxes) == 1


def test_a_box_that_reaches_out_is_cut_and_said() -> None:
    bad: list = []
    film = parse_yolo("0 0.95 0.5 0.3 0.2\n", {0: "a"}, 100, 100, "f.txt", bad)
    assert [one.code for one in bad] == ["box_cut"]
    assert film.boxes[0].corners == pytest.approx((80, 40, 100, 60))
    bad.clear()
    parse_yolo("0 0.95 0.5 0.105 0.2\n", {0: "a"}, 100, 100, "f.txt", bad)  # a quarter of a px
    assert bad == []


def test_a_box_twice_is_taken_once() -> None:
    bad: list = []
    film = parse_yolo("0 0.5 0.5 0.2 0.2\n" * 2, {0: "a"}, 100, 100, "f.txt", bad)
    assert len(film.boxes) == 1
    assert [one.code for one in bad] == ["box_doubled"]


LABELIMG = b"""<annotation>
	<folder>films</folder><filename>w1.jpg</filename><path>C:\\films\\w1.jpg</path>
	<source><database>Unknown</database></source>
	<size><width>400</width><height>600</height><depth>3</depth></size>
	<segmented>0</segmented>
	<object><name>wrist</name><pose>Unspecified</pose><truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox><xmin>101</xmin><ymin>202</ymin><xmax>303</xmax><ymax>404</ymax></bndbox>
	</object>
</annotation>
"""


def test_a_file_of_labelimg() -> None:
    bad: list = []
    film = parse_voc(LABELIMG, 400, 600, "w1.xml", bad)
    assert film == FilmBoxes(400, 600, (Box(101, 202, 303, 404, "wrist"),))
    assert bad == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((b"<width>400", b"<width>401"), "size_differs"),
        ((b"</annotation>", b""), "unreadable_annotation"),
        ((b"<annotation>", b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>'), "unreadable_annotation"),
        ((b"<name>wrist</name>", b"<name> </name>"), "unknown_class"),
        ((b"<xmin>101</xmin>", b""), "malformed_box"),
        ((b"<xmin>101</xmin>", b"<xmin>x</xmin>"), "malformed_box"),
        ((b"<xmin>101</xmin>", b"<xmin>nan</xmin>"), "box_not_a_number"),
        ((b"<xmin>101</xmin>", b"<xmin>350</xmin>"), "empty_box"),
        ((b"<xmin>101</xmin>", b"<xmin>303</xmin>"), "empty_box"),
        ((b"<xmin>101</xmin><ymin>202</ymin><xmax>303</xmax>",
          b"<xmin>410</xmin><ymin>202</ymin><xmax>450</xmax>"), "box_outside"),
    ],
)  # fmt: skip
def test_a_bad_object_is_listed(change: tuple[bytes, bytes], code: str) -> None:
    bad: list = []
    assert change[0] in LABELIMG
    film = parse_voc(LABELIMG.replace(*change), 400, 600, "w1.xml", bad)
    assert [one.code for one in bad] == [code]
    assert film is None or film.boxes == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image_id": 9}, "boxes_without_image"),
        ({"category_id": 9}, "unknown_class"),
        ({"bbox": [1, 2, 3]}, "malformed_box"),
        ({"bbox": None}, "malformed_box"),
        ({"bbox": [1, 2, float("nan"), 4]}, "box_not_a_number"),
        ({"bbox": [1, 2, 0, 4]}, "empty_box"),
        ({"bbox": [1, 2, -3, 4]}, "empty_box"),
        ({"bbox": [100, 2, 3, 4]}, "box_outside"),
    ],
)
def test_a_bad_annotation_is_listed(tmp_path: Path, change: dict, code: str) -> None:
    row = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 60}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [{**row, **change}],
    }
    (tmp_path / "c.json").write_text(json.dumps(data))
    collected = parse_coco(tmp_path / "c.json")
    assert [(one.code, one.where) for one in collected.bad] == [(code, "c.json, annotation 5")]
    assert collected.films["a.png"].boxes == ()


def test_run_length_masks_and_several_polygons_keep_their_box(tmp_path: Path) -> None:
    rows = [
        {"id": k, "image_id": 1, "category_id": 1, "bbox": [1 + k, 2, 3, 4], "segmentation": s}
        for k, s in enumerate(({"counts": [1], "size": [2, 2]}, [[1, 2, 3, 4, 5, 6], [1, 1, 2, 2]]))
    ]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 60}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": rows,
    }
    (tmp_path / "c.json").write_text(json.dumps(data))
    boxes = parse_coco(tmp_path / "c.json").films["a.png"].boxes
    assert [box.corners for box in boxes] == [(1, 2, 4, 6), (2, 2, 5, 6)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', "\xff", '{"images": [{}]}'])
def test_what_is_no_coco_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="not a COCO file"):
        parse_coco(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("data.yaml", "nc: 2\nnames: [a, b]\n", {0: "a", 1: "b"}),
        ("data.yml", "names:\n  3: c\n  1: a\n", {3: "c", 1: "a"}),
        ("classes.txt", "a\n\nb\n", {0: "a", 1: "b"}),
    ],
)
def test_class_names(tmp_path: Path, name: str, text: str, expected: dict) -> None:
    (tmp_path / name).write_text(text)
    assert read_names(tmp_path / name) == expected


@pytest.mark.parametrize("text", ["", "names: []", "names: [a, a]", "x: 1", "names: {a: b}", "{["])
def test_bad_class_names_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError):
        read_names(tmp_path / "data.yaml")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Three films, two with a file of boxes (one empty), and a file of a film that is not there."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a", (60, 80)), ("b", (90, 70)), ("c", (64, 64))):
        film = rng.integers(0, 255, shape, dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{name}.png"), film)
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.4 0.1 0.2 0.3\n")
    (tmp_path / "labels/b.txt").write_text("")
    (tmp_path / "labels/gone.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text(names_yaml(NAMES))
    return tmp_path


def test_import_tells_what_has_no_partner(collection: Path) -> None:
    report = import_yolo(
        collection / "images", collection / "labels", collection / "data.yaml",
        out=collection / "cases.csv", label="fracture",
    )  # fmt: skip
    notes = {note.code: note.names for note in report.notes}
    assert notes == {"boxes_without_image": ("gone.txt",), "images_without_boxes": ("c.png",)}
    cases = {case.case_id: case for case in read_cases(collection / "cases.csv").cases}
    assert cases["a"].reference.labels == {"fracture": True}
    assert cases["b"].reference.labels == {"fracture": False}
    assert cases["c"].reference.labels == {}
    boxes = case_boxes(cases["a"])
    assert boxes is not None
    assert boxes[0].corners == pytest.approx((30, 15, 50, 45))
    assert np.allclose(boxes[1].polygon, ((8, 6), (32, 6), (16, 18)))
    assert case_boxes(cases["b"]) == ()
    assert case_boxes(cases["c"]) is None


@pytest.mark.parametrize("format", ["voc", "yolo", "coco"])
def test_a_table_there_and_back(collection: Path, format: str) -> None:
    images = collection / "images"
    import_yolo(
        images, collection / "labels", collection / "data.yaml", out=collection / "cases.csv"
    )
    out = collection / "exported"
    assert export_boxes(read_cases(collection / "cases.csv"), format, out) == 2
    again = collection / "again.csv"
    if format == "voc":
        report = import_voc(images, out, out=again)
    elif format == "yolo":
        report = import_yolo(images, out / "labels", out / "data.yaml", out=again)
    else:
        report = import_coco(images, out / "annotations.json", out=again)
    assert {note.code for note in report.notes} == {"images_without_boxes"}
    for before, after in zip(
        read_cases(collection / "cases.csv").cases, read_cases(again).cases, strict=True
    ):
        ours, theirs = case_boxes(before), case_boxes(after)
        assert (ours is None) == (theirs is None)
        for a, b in zip(ours or (), theirs or (), strict=True):
            assert a.corners == pytest.approx(b.corners, abs=1e-4)
            assert a.label == b.label


def test_coco_for_pictures_of_another_size_is_listed(collection: Path) -> None:
    film = FilmBoxes(40, 40, (Box(1, 1, 9, 9, "elbow"),))
    (collection / "c.json").write_text(coco_text({"a.png": film, "x.png": film}, NAMES))
    report = import_coco(collection / "images", collection / "c.json", out=collection / "o.csv")
    notes = {note.code: note.names for note in report.notes}
    assert notes["size_differs"] == ("c.json, image a.png",)
    assert notes["boxes_without_image"] == ("c.json, image x.png",)


def test_an_unreadable_image_is_listed(collection: Path) -> None:
    (collection / "images/a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    report = import_yolo(
        collection / "images", collection / "labels", collection / "data.yaml",
        out=collection / "cases.csv",
    )  # fmt: skip
    assert {n.code: n.names for n in report.notes}["image_unreadable"] == ("a.png",)


def test_refusals(collection: Path) -> None:
    images, names, out = collection / "images", collection / "data.yaml", collection / "o.csv"
    with pytest.raises(InputError, match="no folder"):
        import_yolo(images, collection / "nowhere", names, out=out)
    (collection / "other").mkdir()
    (collection / "other/z.txt").write_text("")
    with pytest.raises(InputError, match=r"No \.txt file"):
        import_yolo(images, collection / "other", names, out=out)
    (collection / "labels/deep").mkdir()
    (collection / "labels/deep/a.txt").write_text("")
    with pytest.raises(InputError, match="Two files"):
        import_yolo(images, collection / "labels", names, out=out)
    assert not out.exists()


def test_export_refuses_what_it_does_not_know(collection: Path) -> None:
    import_yolo(
        collection / "images", collection / "labels", collection / "data.yaml",
        out=collection / "cases.csv",
    )  # fmt: skip
    table = read_cases(collection / "cases.csv")
    with pytest.raises(InputError, match="no box format"):
        export_boxes(table, "dxf", collection / "x")
    (collection / "cases.boxes.json").write_text("{}")
    with pytest.raises(CaseTableError, match="not a COCO file"):
        export_boxes(read_cases(collection / "cases.csv"), "coco", collection / "x")


def test_the_audit_counts_boxes_and_finds_what_is_wrong_with_them(collection: Path) -> None:
    (collection / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.02 0.4\n")
    import_yolo(
        collection / "images", collection / "labels", collection / "data.yaml",
        out=collection / "cases.csv",
    )  # fmt: skip
    table = read_cases(collection / "cases.csv")
    problems = {p.code: p for p in box_problems(table)}
    assert problems["thin_boxes"].case_ids == ("a",)
    assert "elbow 1" in problems["boxes_by_class"].message
    assert "1 of 2 films" in problems["boxes_by_class"].message
    data = json.loads((collection / "cases.boxes.json").read_text())
    data["annotations"][0]["bbox"][2] = 0
    data["annotations"][0]["segmentation"] = []
    data["images"] = data["images"][:1]
    (collection / "cases.boxes.json").write_text(json.dumps(data))
    problems = {(p.code, p.case_ids) for p in box_problems(read_cases(table.path))}
    assert problems == {("unusable_boxes", ("a",)), ("unusable_boxes", ("b",))}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 60) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["id", "image_id", "category_id", "bbox", "name", "file_name", "width",
                         "height", "segmentation"]), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip


@given(st.text(alphabet="0123456789. \n-naif", max_size=80))
def test_no_text_breaks_the_yolo_reader(text: str) -> None:
    film = parse_yolo(text, {0: "a", 1: "b"}, 100, 50, "f.txt", [])
    for box in film.boxes:
        assert 0 <= box.x0 < box.x1 <= 100
        assert 0 <= box.y0 < box.y1 <= 50


@given(st.binary(max_size=60), st.integers(0, len(LABELIMG)))
def test_no_bytes_break_the_voc_reader(noise: bytes, at: int) -> None:
    bad: list = []
    film = parse_voc(LABELIMG[:at] + noise + LABELIMG[at:], 400, 600, "f.xml", bad)
    assert film is not None or bad


@given(st.lists(JSON, max_size=3), st.lists(JSON, max_size=3), st.lists(JSON, max_size=3))
@settings(deadline=None)
def test_no_json_breaks_the_coco_reader(
    tmp_path_factory: pytest.TempPathFactory, images: list, categories: list, annotations: list
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    good = [{"id": 1, "file_name": "a.png", "width": 50, "height": 60}]
    data = {
        "images": images or good,
        "categories": categories or [{"id": 1, "name": "x"}],
        "annotations": annotations,
    }
    path.write_text(json.dumps(data))
    try:
        collected = parse_coco(path)
    except InputError:
        return
    assert all(row.code in BAD_ROWS for row in collected.bad)
