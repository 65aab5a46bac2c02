"""Bundle the demonstration's two scans: one of pictures, one a real DICOM series.

    python scripts/bundle_demo_scans.py HEAD_CT/images/PATIENT GE_SERIES src/radloop/demo/scans

The pictures are those of one patient of PhysioNet CT-ICH (CC BY 4.0), as they are; the DICOM
series is the tilted head CT of neurolabusc/dcm_qa_ct (BSD-2-Clause), stored anew as lossless
JPEG-LS.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pydicom
from pydicom.uid import JPEGLSLossless

from radloop.images.write import atomic_path, write_bytes


def main(pictures: Path, series: Path, out: Path) -> None:
    """Write both scans below `out`, each to a folder of its own."""
    for picture in sorted(pictures.glob("*.jpg")):
        write_bytes(out / f"head-{pictures.name}" / picture.name, picture.read_bytes())
    for source in sorted(series.glob("*.dcm")):
        dataset = pydicom.dcmread(source)
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        with atomic_path(out / "head-tilted" / source.name) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
