"""Feed mutated files to a reader: only verdicts may come out (`make fuzz`).

    python fuzz/readers.py READER [SECONDS]

Coverage-guided (atheris, libFuzzer), from small whole files of every kind the reader knows. Ends
with an error on a crash, on an input that takes longer than 10 s, or beyond 2 GB of memory; the
input is then left in the working folder, for a test.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["radloop", "pydicom", "nibabel"]):
    from radloop.images.masks import MaskError, read_mask
    from radloop.images.nifti import read_nifti
    from radloop.images.read import read_radiograph
    from radloop.images.segmentation import read_segmentation
    from radloop.images.verdict import Verdict
    from radloop.images.volumes.read import read_volume

import nibabel as nib
import numpy as np
import PIL.Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "images"))
import made_series

FOLDER = Path(tempfile.mkdtemp(prefix="radloop-fuzz-"))
SECONDS_AN_INPUT, MEGABYTES = 10, 2048


def _pictures() -> list[bytes]:
    grey = PIL.Image.fromarray((np.arange(4096).reshape(64, 64) % 251).astype(np.uint8))
    deep = PIL.Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64))
    files = []
    for picture, kind in ((grey, "PNG"), (grey, "JPEG"), (grey, "TIFF"), (deep, "PNG")):
        stream = io.BytesIO()
        picture.save(stream, kind)
        files.append(stream.getvalue())
    return files


def _dicom() -> list[bytes]:
    made = made_series.Made(rows=40, columns=40)
    plain = made_series.slice_dataset(made, 0)
    film = made_series.slice_dataset(made, 0)
    film.Modality = "DX"
    packed = made_series.slice_dataset(made, 0)
    packed.compress("1.2.840.10008.1.2.5")
    enhanced = made_series.enhanced_dataset(made, [2, 0, 1])
    return [_bytes(dataset) for dataset in (plain, film, packed, enhanced)]


def _bytes(dataset: object) -> bytes:
    path = made_series.save(dataset, FOLDER / "seed.dcm")  # type: ignore[arg-type]
    return path.read_bytes()


def _nifti() -> list[bytes]:
    files = []
    for suffix in (".nii", ".nii.gz"):
        image = nib.Nifti1Image(
            np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.diag([1, 2, 3, 1])
        )
        nib.save(image, FOLDER / f"seed{suffix}")
        files.append((FOLDER / f"seed{suffix}").read_bytes())
    return files


def _segmentation() -> list[bytes]:
    from radloop.images.segmentation import Segment, write_segmentation
    from radloop.images.volumes.series import find_series

    folder = FOLDER / "segmented"

    def framed(dataset: object, k: int) -> None:
        dataset.FrameOfReferenceUID = "1.2.3"  # type: ignore[attr-defined]

    made_series.write_series(folder, edit=framed)
    layout = find_series([folder]).series[0].layout
    assert layout is not None
    tissue = ("85756007", "SCT", "Tissue")
    labels = np.ones(layout.planes.shape, np.uint8)
    write_segmentation(labels, layout.slices, [Segment("a", tissue, tissue)], FOLDER / "seg.dcm")
    return [(FOLDER / "seg.dcm").read_bytes()]


def _read_mask(path: Path) -> Verdict:
    with suppress(MaskError):
        read_mask(path)
    return Verdict()


def _read_series(path: Path) -> Verdict:
    """The mutated slice beside a whole one."""
    folder = path.parent / "series"
    if not folder.is_dir():
        made_series.save(
            made_series.slice_dataset(made_series.Made(rows=40, columns=40), 1), folder / "b.dcm"
        )
    path.replace(folder / "a.dcm")
    return read_volume(folder, even_out=True).verdict


READERS: dict[str, tuple[Callable[[], list[bytes]], str, Callable[[Path], Verdict]]] = {
    "radiograph": (
        lambda: [*_pictures(), *_dicom()], "film", lambda path: read_radiograph(path).verdict,
    ),
    "mask": (_pictures, "mask.png", _read_mask),
    "series": (_dicom, "slice.dcm", _read_series),
    "nifti": (lambda: _nifti()[:1], "volume.nii", lambda path: read_nifti(path).verdict),
    "nifti-gz": (lambda: _nifti()[1:], "volume.nii.gz", lambda path: read_nifti(path).verdict),
    "segmentation": (
        _segmentation, "seg.dcm", lambda path: read_segmentation(path).verdict,
    ),
}  # fmt: skip


def main() -> None:
    """Fuzz one reader for some seconds."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in READERS:
        raise SystemExit(f"choose a reader: {', '.join(READERS)}")
    seeds, file_name, read = READERS[name]
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds()):
        (corpus / str(number)).write_bytes(seed)
    path = FOLDER / file_name

    def one_input(data: bytes) -> None:
        path.write_bytes(data)
        verdict = read(path)
        assert isinstance(verdict, Verdict)

    arguments = [
        sys.argv[0],
        f"-max_total_time={int(sys.argv[2]) if len(sys.argv) > 2 else 100}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={MEGABYTES}",
        "-max_len=60000",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
