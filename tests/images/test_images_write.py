"""Writing: a file appears whole or not at all, and failures are said clearly."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from made_films import noise

from radloop.errors import WriteError
from radloop.images import atomic_path, write_bytes, write_jpeg, write_png, write_text


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    final = tmp_path / "new" / "folder" / "result.txt"
    with atomic_path(final) as temporary:
        assert temporary.parent == final.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("half")
        assert not final.exists()
    assert final.read_text() == "half"
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    final = tmp_path / "result.txt"
    write_text(final, "old")
    with pytest.raises(failure), atomic_path(final) as temporary:
        temporary.write_text("half of the new")
        raise failure
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_each_cause_has_its_sentence(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(WriteError, match=words) as caught, atomic_path(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert "a.txt" in caught.value.what
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(WriteError, match="a file stands where its folder should be"):
        write_text(tmp_path / "out" / "a.txt", "x")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(WriteError):
        write_text(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_no_room_left_leaves_nothing_half_written(tmp_path: Path) -> None:
    # The system itself ends the write in the middle: no file of this process may pass 64 kB.
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from radloop.errors import WriteError\n"
        "from radloop.images import write_bytes, write_png\n"
        "folder = Path(sys.argv[1])\n"
        "write_bytes(folder / 'small.bin', bytes(1000))\n"
        "noise = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)\n"
        "for write in (lambda: write_bytes(folder / 'large.bin', bytes(10**6)),\n"
        "              lambda: write_png(folder / 'small.bin', noise)):\n"
        "    try:\n"
        "        write()\n"
        "    except WriteError as error:\n"
        "        print(error)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment,
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the disk is full") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["small.bin"]
    assert (tmp_path / "small.bin").read_bytes() == bytes(1000)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_is_lossless(tmp_path: Path, dtype: type) -> None:
    array = noise(top=np.iinfo(dtype).max).astype(dtype)
    write_png(tmp_path / "a.png", array)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "a.png")), array)


def test_colours_are_rgb(tmp_path: Path) -> None:
    array = np.zeros((16, 16, 3), np.uint8)
    array[..., 0] = 200
    write_png(tmp_path / "a.png", array)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "a.png")), array)
    write_jpeg(tmp_path / "a.jpg", array)
    red, green, blue = np.asarray(PIL.Image.open(tmp_path / "a.jpg"))[8, 8]
    assert red > 190 and green < 10 and blue < 10


def test_other_arrays_are_no_pictures(tmp_path: Path) -> None:
    for array in (np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="picture"):
            write_png(tmp_path / "a.png", array)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_bytes_and_text(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"")
    write_text(tmp_path / "b", "Größe\n")
    assert (tmp_path / "a").read_bytes() == b""
    assert (tmp_path / "b").read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"
