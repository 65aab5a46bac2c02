"""Lesions from files by channel to findings: training, reading, judging, sides and grids."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from radloop.cases.case import Case, Reference
from radloop.cases.split import split_cases
from radloop.cases.table import CaseTable, table_of, write_cases
from radloop.cases.volume_masks import read_volume_mask
from radloop.errors import InputError
from radloop.evaluation.evaluate import evaluate
from radloop.images.nifti import read_nifti, write_nifti
from radloop.images.segmentation import read_segmentation
from radloop.inference.export import export_model
from radloop.inference.predict import PredictOptions, predict
from radloop.systems.ensemble import ensemble
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.lesions.phantom import draw_brain, write_phantoms
from radloop.systems.model import load_model
from radloop.systems.registry import get_system

TINY = TrainOptions(preset="tiny", epochs=18, quiet=True, device="cpu")


@pytest.fixture(scope="module")
def brains(tmp_path_factory) -> CaseTable:
    """Eight phantom brains in two folds."""
    table = write_phantoms(8, 100, tmp_path_factory.mktemp("brains"))
    table = split_cases(table, folds=2, seed=0)
    write_cases(table, table.path)
    return table


@pytest.fixture(scope="module")
def model(brains, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "fold0"
    return fit(get_system("stroke"), brains, folder, replace(TINY, fold=0)).model


def predicted(model, cases, folder: Path) -> list[dict]:
    table = table_of(cases, folder / "cases.csv")
    write_cases(table, table.path)
    predict(model, [table.path], folder / "out", PredictOptions(pictures=True))
    lines = (folder / "out" / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def mask_of(prediction: dict, folder: Path) -> nib.Nifti1Image:
    return nib.load(folder / "out" / prediction["files"]["mask"])


def held_out(brains) -> list[Case]:
    return [case for case in brains.cases if case.split == "fold0"]


def test_the_channels_and_the_spacing_are_those_of_the_cases(model):
    assert model.info["options"]["channels"] == ["dwi", "adc"]
    assert model.info["options"]["spacing"] == [4.0, 4.0, 4.0]
    settings = model.settings
    assert set(settings["dice_without"]) == {"dwi", "adc"}
    assert 0 < settings["threshold"] < 1
    assert "without" in model.card() and "adc" in model.card()


def test_lesions_are_found_where_they_are(model, brains, tmp_path):
    report = evaluate(model, brains, "fold0", tmp_path / "report", PredictOptions(pictures=True))
    values = {name: one["value"] for name, one in report["measures"].items()}
    assert values["dice"] > 0.5
    assert {"sensitivity", "ppv", "lesion_f1", "hausdorff95", "volume_difference"} <= set(values)
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_mask_lies_bit_for_bit_on_the_grid_of_the_leading_channel(model, brains, tmp_path):
    case = held_out(brains)[0]
    (found,) = predicted(model, [case], tmp_path)
    mask, source = mask_of(found, tmp_path), nib.load(case.images["dwi"])
    assert mask.shape == source.shape and mask.get_data_dtype() == np.uint8
    for name in ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "pixdim",
                 "quatern_b", "quatern_c", "quatern_d", "qoffset_x"):  # fmt: skip
        np.testing.assert_array_equal(mask.header[name], source.header[name])
    lesions = json.loads((tmp_path / "out" / found["files"]["lesion"]).read_text())
    assert lesions["grid_of"] == "dwi"
    voxels = int((np.asarray(mask.dataobj) > 0).sum())
    assert lesions["total_ml"] == pytest.approx(voxels * 0.064, abs=1e-3)
    assert len(lesions["lesions"]) == lesions["lesion_count"]
    assert (tmp_path / "out" / found["files"]["picture"]).is_file()


def true_side(case: Case) -> str:
    """By the affine alone."""
    mask = nib.load(case.reference.masks["lesion"])
    index = np.argwhere(np.asarray(mask.dataobj) > 0)
    x = nib.affines.apply_affine(mask.affine, index)[:, 0]  # RAS: positive is the patient's right
    return "right" if x.mean() > 0 else "left"


def test_left_stays_left(model, brains, tmp_path):
    cases = held_out(brains)
    found = predicted(model, cases, tmp_path)
    # By the largest lesion: what else was found may be wrong, and on either side.
    sides = {one["case_id"]: one["findings"][1]["where"]["side"] for one in found}
    assert sides == {case.case_id: true_side(case) for case in cases}


def stored_otherwise(case: Case, folder: Path, flip: tuple[int, ...], order: tuple[int, ...]):
    """The same patient in files whose axes run otherwise."""
    ornt = [[axis, -1 if axis in flip else 1] for axis in order]
    images = {}
    for name, path in case.images.items():
        image = nib.load(path).as_reoriented(np.asarray(ornt, float))
        images[name] = folder / f"{case.case_id}_{name}.nii.gz"
        nib.save(image, images[name])
    return replace(case, images=images, reference=Reference())


@pytest.mark.parametrize(("flip", "order"), [((0,), (0, 1, 2)), ((1, 2), (2, 0, 1))])
def test_however_the_file_stores_its_axes_the_lesion_is_the_same(
    model, brains, tmp_path, flip, order
):
    case = next(c for c in held_out(brains) if true_side(c) == "left")
    (plain,) = predicted(model, [case], tmp_path)
    folder = tmp_path / "turned"
    folder.mkdir()
    (turned,) = predicted(model, [stored_otherwise(case, folder, flip, order)], folder)
    before = nib.as_closest_canonical(mask_of(plain, tmp_path))
    after = nib.as_closest_canonical(mask_of(turned, folder))
    np.testing.assert_allclose(before.affine, after.affine, atol=1e-4)
    a, b = (np.asarray(one.dataobj) > 0 for one in (before, after))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.98
    assert turned["findings"][0]["where"]["side"] == "left"


def moved_header(case: Case, folder: Path, matrix: np.ndarray) -> Case:
    """The same voxels, said to lie elsewhere (an oblique acquisition)."""
    images = {}
    for name, path in case.images.items():
        image = nib.load(path)
        moved = nib.Nifti1Image(np.asarray(image.dataobj), matrix @ image.affine)
        images[name] = folder / f"{case.case_id}_{name}.nii.gz"
        nib.save(moved, images[name])
    return replace(case, images=images, reference=Reference())


def test_an_oblique_grid_keeps_its_mask(model, brains, tmp_path):
    from scipy.spatial.transform import Rotation

    case = held_out(brains)[0]
    (plain,) = predicted(model, [case], tmp_path)
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("zyx", (8, -6, 11), degrees=True).as_matrix()
    oblique[:3, 3] = (12, -7, 30)
    folder = tmp_path / "oblique"
    folder.mkdir()
    (turned,) = predicted(model, [moved_header(case, folder, oblique)], folder)
    a, b = (np.asarray(m.dataobj) > 0
            for m in (mask_of(plain, tmp_path), mask_of(turned, folder)))  # fmt: skip
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.98
    np.testing.assert_array_equal(
        mask_of(turned, folder).affine, nib.load(folder / f"{case.case_id}_dwi.nii.gz").affine
    )


def test_channels_on_grids_of_their_own_are_brought_together(model, brains, tmp_path):
    case = held_out(brains)[1]
    (plain,) = predicted(model, [case], tmp_path)
    adc = nib.load(case.images["adc"])
    shifted = adc.affine.copy()
    shifted[:3, 3] = nib.affines.apply_affine(adc.affine, (2, 0, 1))
    folder = tmp_path / "other"
    folder.mkdir()
    # Other first voxels: the same patient, a smaller field of view.
    nib.save(nib.Nifti1Image(np.asarray(adc.dataobj)[2:, :, 1:], shifted), folder / "adc.nii.gz")
    images = {"dwi": case.images["dwi"], "adc": folder / "adc.nii.gz"}
    (other,) = predicted(model, [replace(case, images=images)], folder)
    a, b = (np.asarray(m.dataobj) > 0
            for m in (mask_of(plain, tmp_path), mask_of(other, folder)))  # fmt: skip
    assert a.shape == b.shape
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.85


def test_a_missing_channel_is_said_and_no_crash(model, brains, tmp_path):
    case = held_out(brains)[0]
    alone = replace(case, images={"dwi": case.images["dwi"]})
    (found,) = predicted(model, [alone], tmp_path)
    assert found["verdict"]["status"] == "warned"
    assert found["verdict"]["code"] == "missing_channel"
    assert "adc" in " ".join(found["verdict"]["messages"])


def test_a_channel_that_cannot_be_read_is_left_out(model, brains, tmp_path):
    case = held_out(brains)[0]
    (tmp_path / "adc.nii.gz").write_bytes(b"not a volume")
    broken = replace(case, images={"dwi": case.images["dwi"], "adc": tmp_path / "adc.nii.gz"})
    (found,) = predicted(model, [broken], tmp_path)
    assert found["verdict"]["status"] == "warned"
    assert "adc was left out" in " ".join(found["verdict"]["messages"])


def test_a_leading_channel_that_cannot_be_read_is_refused(model, tmp_path):
    (tmp_path / "dwi.nii.gz").write_bytes(b"not a volume")
    (found,) = predicted(model, [Case("c", "p", {"dwi": tmp_path / "dwi.nii.gz"})], tmp_path)
    assert found["verdict"]["status"] == "refused"


def test_a_case_without_any_of_the_channels_is_refused(model, brains, tmp_path):
    t1 = replace(brains.cases[0], images={"t1": brains.cases[0].images["dwi"]})
    (found,) = predicted(model, [t1], tmp_path)
    assert found["verdict"]["code"] == "no_channel"
    assert "dwi, adc" in " ".join(found["verdict"]["messages"])


def test_training_needs_masks(brains, tmp_path):
    bare = replace(brains, cases=tuple(replace(c, reference=Reference()) for c in brains.cases))
    with pytest.raises(InputError, match="0 training"):
        fit(get_system("stroke"), bare, tmp_path / "m", replace(TINY, fold=0, epochs=1))


def test_a_dicom_series_gets_a_segmentation_of_its_slices(model, tmp_path):
    brain = draw_brain(7)
    write_dicom(brain.channels["dwi"], 4.0, tmp_path / "dwi", "dwi")
    write_dicom(brain.channels["adc"], 4.0, tmp_path / "adc", "adc")
    case = Case("c", "p", {"dwi": tmp_path / "dwi", "adc": tmp_path / "adc"})
    (found,) = predicted(model, [case], tmp_path)
    assert found["verdict"]["status"] == "accepted", found["verdict"]
    segmentation = read_segmentation(tmp_path / "out" / found["files"]["segmentation"])
    assert segmentation.names == ("lesion",)
    mask = read_nifti(tmp_path / "out" / found["files"]["mask"]).image
    assert mask.array.shape == brain.lesions.shape and mask.array.any()
    again = replace(case, reference=Reference(
        masks={"lesion": tmp_path / "out" / found["files"]["segmentation"]}
    ))  # fmt: skip
    np.testing.assert_array_equal(read_volume_mask(again, "lesion", mask.geometry), mask.array > 0)


def uid(*parts: object) -> str:
    return f"2.25.{zlib.crc32(repr(parts).encode())}"


def write_dicom(volume: np.ndarray, spacing: float, folder: Path, series: str) -> None:
    """An MR series of upright axial slices."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    folder.mkdir(parents=True)
    origin = [-(n - 1) / 2 * spacing for n in volume.shape[::-1]]
    for k, plane in enumerate(volume):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = uid(series, k)
        one = Dataset()
        one.file_meta = meta
        one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, uid(series, k)
        one.StudyInstanceUID, one.SeriesInstanceUID = uid("study"), uid(series)
        one.FrameOfReferenceUID = uid("frame")
        one.Modality, one.PatientID, one.SeriesDescription = "MR", "p", series
        one.InstanceNumber, one.SliceThickness = k + 1, spacing
        one.ImagePositionPatient = [origin[0], origin[1], origin[2] + k * spacing]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.PixelSpacing = [spacing, spacing]
        one.Rows, one.Columns = plane.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 12, 11
        one.PixelRepresentation = 0
        one.PixelData = np.rint(plane).astype(np.uint16).tobytes()
        pydicom.dcmwrite(folder / f"{k:03d}.dcm", one, enforce_file_format=True)


def test_the_recipe_of_the_paper_learns_with_mirrored_channels(brains, tmp_path):
    few = replace(brains, cases=tuple(
        replace(c, split="train" if k < 1 else "val") for k, c in enumerate(brains.cases[:2])
    ))  # fmt: skip
    options = TrainOptions(preset="paper", epochs=1, quiet=True, device="cpu")
    model = fit(get_system("stroke"), few, tmp_path / "paper", options).model
    assert model.info["options"]["mirrored"] is True
    assert model.system.input_shape(24) == (4, 16, 24, 24)
    (found,) = predicted(model, [few.cases[1]], tmp_path)
    assert found["verdict"]["status"] != "refused"


def test_folds_become_one_model_and_its_network_is_exported(model, brains, tmp_path):
    other = fit(get_system("stroke"), brains, tmp_path / "fold1", replace(TINY, fold=1, epochs=3))
    both = ensemble([str(model.folder), str(other.model.folder)], brains, tmp_path / "both").model
    assert both.info["members"] == 2
    (found,) = predicted(load_model(both.folder), [brains.cases[0]], tmp_path)
    assert found["files"]["mask"]
    path = export_model(model, "onnx", tmp_path / "onnx")
    import onnx

    sides = [d.dim_value for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    assert sides[1:] == [2, 16, 16, 16]


def test_engines_agree(model, brains, tmp_path):
    case = held_out(brains)[0]
    masks = []
    for engine in ("openvino", "torch"):
        folder = tmp_path / engine
        predict(model, [table_with(case, tmp_path)], folder, PredictOptions(engine=engine))
        (file,) = (folder / "masks").glob("*.nii.gz")
        masks.append(np.asarray(nib.load(file).dataobj))
    assert (masks[0] != masks[1]).mean() < 1e-4


def table_with(case: Case, folder: Path) -> Path:
    table = table_of([case], folder / "one.csv")
    write_cases(table, table.path)
    return table.path


def test_another_disease_is_another_table_and_another_card(tmp_path):
    table = write_phantoms(4, 500, tmp_path / "ms", channels=("flair", "t1"))
    table = split_cases(table, folds=2, seed=0)
    system = get_system("multiple_sclerosis")
    model = fit(system, table, tmp_path / "model", replace(TINY, fold=0, epochs=2)).model
    assert model.info["options"]["channels"] == ["flair", "t1"]
    assert "demyelinating" in model.card()
    (found,) = predicted(model, [table.cases[0]], tmp_path)
    assert found["findings"][0]["name"] == "ms_lesion"


def test_a_4d_file_of_one_volume_gets_a_3d_mask_on_its_grid(model, brains, tmp_path):
    case = held_out(brains)[0]
    dwi = nib.load(case.images["dwi"])
    single = nib.Nifti1Image(np.asarray(dwi.dataobj)[..., None], dwi.affine)
    nib.save(single, tmp_path / "dwi4.nii.gz")
    images = {"dwi": tmp_path / "dwi4.nii.gz", "adc": case.images["adc"]}
    (found,) = predicted(model, [replace(case, images=images)], tmp_path)
    mask = mask_of(found, tmp_path)
    assert mask.shape == dwi.shape
    np.testing.assert_array_equal(mask.affine, dwi.affine)


def test_writing_a_volume_needs_its_shape(tmp_path):
    from radloop.images.nifti import write_nifti_like

    brain = draw_brain(3)
    write_nifti(brain.lesions, brain.geometry, tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match="beside a file"):
        write_nifti_like(np.zeros((2, 2, 2), np.uint8), tmp_path / "a.nii.gz", tmp_path / "b.nii")
