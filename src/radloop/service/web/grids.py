"""What a result speaks of: its image, its structures, and the label map in force on its grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from radloop.errors import InputError, RadloopError
from radloop.images.image import Image
from radloop.images.verdict import Verdict
from radloop.service.routing import kind_of
from radloop.service.store.database import Store
from radloop.service.store.results import StudyView
from radloop.service.store.schema import Correction, Instance, Result, Series
from radloop.service.web.imaging import WINDOWS, ImageCache, Labels, default_window, read_labels


@dataclass(frozen=True)
class Shown:
    """The image of the page. key: how addresses name it. nifti: the blob of the file, where it is
    NIfTI. image: None when it cannot be read, and the verdict says why."""

    key: str
    volume: bool
    image: Image | None
    verdict: Verdict
    nifti: str = ""

    @property
    def planes(self) -> int:
        return len(self.image.array) if self.image is not None and self.volume else 1

    def to_json(self) -> dict[str, Any]:
        """What the viewer needs to know."""
        if self.image is None:
            return {"key": self.key, "unreadable": " ".join(self.verdict.messages)}
        window = default_window(self.image)
        rows, columns = self.image.array.shape[-2:]
        hounsfield = self.volume and self.image.modality == "CT"
        spacing = self.image.geometry.spacing
        aspect = spacing[-2] / spacing[-1] if spacing else 1.0
        return {
            "key": self.key, "volume": self.volume, "planes": self.planes, "rows": rows,
            "columns": columns, "centre": window.centre, "width": window.width, "aspect": aspect,
            "windows": [[k, *v] for k, v in WINDOWS.items()] if hounsfield else [],
        }  # fmt: skip


def shown(view: StudyView, chosen: Result | None, cache: ImageCache) -> Shown | None:
    """The image that a result speaks of; without a result, of the study's first series."""
    series = _series(view, chosen)
    if series is None:
        return None
    instances = view.instances[series.id]
    if chosen is not None and chosen.instance_id is not None:
        one = next((i for i in instances if i.id == chosen.instance_id), instances[0])
        return film(series, one, cache)
    if is_scan(instances) or (chosen is not None and _reads_scans(chosen)):
        return scan(series, instances, cache)
    return film(series, instances[0], cache)


def film(series: Series, instance: Instance, cache: ImageCache) -> Shown:
    """One film of a series."""
    reading = cache.film(instance)
    return Shown(f"{series.id}/{instance.id}", False, reading.image, reading.verdict)


def scan(series: Series, instances: Sequence[Instance], cache: ImageCache) -> Shown:
    """A series as a volume."""
    reading = cache.scan(instances)
    image = reading.image
    nifti = instances[0].blob if kind_of("", instances[0].transfer_syntax) == "volume" else ""
    flat = image is not None and image.array.ndim == 2
    return Shown(f"{series.id}/0", not flat, image, reading.verdict, nifti)


def is_scan(instances: Sequence[Instance]) -> bool:
    """Whether a series is to be shown as a volume: several slices, or a NIfTI file."""
    first = instances[0]
    return len(instances) > 2 or kind_of(first.sop_class, first.transfer_syntax) == "volume"


def named(view: StudyView, series_id: str, instance_id: int, cache: ImageCache) -> Shown | None:
    """The image of an address: instance 0 stands for the series as a volume."""
    series = next((one for one in view.series if one.id == series_id), None)
    if series is None or not view.instances[series_id]:
        return None
    instances = view.instances[series_id]
    if instance_id == 0:
        return scan(series, instances, cache)
    one = next((i for i in instances if i.id == instance_id), None)
    return film(series, one, cache) if one is not None else None


def structures(view: StudyView, chosen: Result, said: Sequence[Correction]) -> dict[str, int]:
    """What the values of the result's label map stand for; one `region` for systems without."""
    for one in reversed(said):
        if one.kind == "mask" and one.result_id == chosen.id:
            return {str(k): int(v) for k, v in one.data["labels"].items()}
    from radloop.systems.registry import get_system

    try:
        names = get_system(chosen.system).structures
    except RadloopError:  # a system that this installation does not know
        names = ()
    return {name: k for k, name in enumerate(names or ("region",), start=1)}


def labels(
    store: Store, view: StudyView, chosen: Result, said: Sequence[Correction], image: Image
) -> Labels:
    """The label map in force: the reader's last, else the model's, else an empty one."""
    shape = image.array.shape
    for one in reversed(said):
        if one.kind == "mask" and one.result_id == chosen.id and one.blob:
            return read_labels(store.blobs.path(one.blob), str(one.data["suffix"]), shape)
    for output in view.outputs[chosen.id]:
        if output.kind == "mask":
            suffix = ".png" if output.name.endswith(".png") else ".nii.gz"
            try:
                return read_labels(store.blobs.path(output.blob), suffix, shape)
            except InputError:  # on another grid: nothing is shown in a wrong place
                break
    return np.zeros(shape, np.uint8)


def _series(view: StudyView, chosen: Result | None) -> Series | None:
    usable = [one for one in view.series if not one.own and view.instances[one.id]]
    if chosen is not None:
        return next((one for one in usable if one.id == chosen.series_id), None)
    return usable[0] if usable else None


def _reads_scans(chosen: Result) -> bool:
    from radloop.systems.registry import get_system

    try:
        return bool(get_system(chosen.system).reads_scans)
    except RadloopError:
        return False
