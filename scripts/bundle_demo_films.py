"""Choose the demonstration's films from a split case table, and store some of them as DICOM.

    python scripts/bundle_demo_films.py split.csv src/radloop/demo/films

Takes films of the `val` split only, which no shipped model was trained on, evenly over the
reference ratio: every third as DICOM, the rest as they are, and one turned by 90 degrees, to be
refused. The films are those of the Wingspan CTR collection (Dong et al., MICCAI 2018; MIT licence).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from radloop.cases.table import read_cases
from radloop.images.dicom_write import write_radiograph_dicom
from radloop.images.operations import rotate90
from radloop.images.read import read_radiograph
from radloop.images.write import write_bytes, write_png

COUNT = 11


def main(table: Path, out: Path) -> None:
    """Write the films of `table` to `out`, numbered by their place in the ordered list."""
    cases = [c for c in read_cases(table).cases if c.split == "val" and "ctr" in c.reference.values]
    cases.sort(key=lambda case: (case.reference.values["ctr"], case.case_id))
    chosen = [cases[round(k)] for k in np.linspace(0, len(cases) - 1, COUNT + 1)]
    # Mixed, so that the worklist has something to order.
    for number, k in enumerate(np.random.default_rng(0).permutation(COUNT + 1), start=1):
        image = read_radiograph(chosen[k].image).image
        if image is None:
            raise SystemExit(f"{chosen[k].case_id} cannot be read")
        name = f"film-{number:02d}"
        if k == COUNT // 2:
            write_png(out / f"{name}.png", np.ascontiguousarray(rotate90(image).array))
        elif number % 3 == 0:
            photometric = "MONOCHROME1" if number % 2 else "MONOCHROME2"
            write_radiograph_dicom(
                out / f"{name}.dcm", image, photometric=photometric, patient_id=name, seed=name
            )
        else:
            write_bytes(out / f"{name}.png", chosen[k].image.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
