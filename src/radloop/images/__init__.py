"""Pixels with their geometry: reading, geometric operations and the way back, masks, writing.

The names below are fetched when first used, so that importing this package stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radloop.images.dicom_write import write_radiograph_dicom as write_radiograph_dicom
    from radloop.images.image import Geometry as Geometry
    from radloop.images.image import Image as Image
    from radloop.images.image import Reading as Reading
    from radloop.images.image import Step as Step
    from radloop.images.masks import MaskError as MaskError
    from radloop.images.masks import MaskFacts as MaskFacts
    from radloop.images.masks import mask_facts as mask_facts
    from radloop.images.masks import read_mask as read_mask
    from radloop.images.operations import crop as crop
    from radloop.images.operations import mirror as mirror
    from radloop.images.operations import pad as pad
    from radloop.images.operations import points_to_original as points_to_original
    from radloop.images.operations import resize as resize
    from radloop.images.operations import rotate90 as rotate90
    from radloop.images.operations import to_original as to_original
    from radloop.images.read import ReadLimits as ReadLimits
    from radloop.images.read import find_images as find_images
    from radloop.images.read import read_radiograph as read_radiograph
    from radloop.images.verdict import ACCEPTED as ACCEPTED
    from radloop.images.verdict import Verdict as Verdict
    from radloop.images.write import atomic_path as atomic_path
    from radloop.images.write import write_bytes as write_bytes
    from radloop.images.write import write_jpeg as write_jpeg
    from radloop.images.write import write_png as write_png
    from radloop.images.write import write_text as write_text

_MODULES = {
    "dicom_write": ("write_radiograph_dicom",),
    "image": ("Geometry", "Image", "Reading", "Step"),
    "masks": ("MaskError", "MaskFacts", "mask_facts", "read_mask"),
    "operations": (
        "crop",
        "mirror",
        "pad",
        "points_to_original",
        "resize",
        "rotate90",
        "to_original",
    ),
    "read": ("ReadLimits", "find_images", "read_radiograph"),
    "verdict": ("ACCEPTED", "Verdict"),
    "write": ("atomic_path", "write_bytes", "write_jpeg", "write_png", "write_text"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
