"""`stroke` against MONAI's plain recipe and nnU-Net v2 (3d_fullres): the same training cases, the
same minutes, the same processor.

    python benchmarks/stroke_against_peers.py --cases folds.csv --fold 0 --minutes 10 --out DIR \
        [--nnunet PYTHON] [--preset strong]

Each side trains on all folds but one and is judged on that one: the measures of ISLES'22 on the
grid of the leading channel, seconds a case from files to mask (loading of the model not counted),
and the largest memory of the process that predicts. PYTHON is that of an environment with nnunetv2;
without it that side is left out. All cases must have all channels on one grid, as both peers ask.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from radloop.cases.case import Case
from radloop.cases.table import read_cases, table_of, write_cases
from radloop.cases.volume_masks import read_volume_mask
from radloop.images.nifti import read_nifti
from radloop.systems.lesions.measures import judge_masks

HERE = Path(__file__).parent
SHOWN = ("dice", "sensitivity", "ppv", "lesion_f1", "hausdorff95_mm", "volume_difference_ml")
Side = tuple[dict[str, object], dict[str, Path]]


def measured(command: list[str], env: dict[str, str] | None = None) -> dict[str, object]:
    """What the command printed as JSON at its end, and the memory it took at most, MiB.

    It is waited for by a process of its own, since the system counts the largest child of one.
    """
    asked = (
        "import json,resource,subprocess,sys;"
        "done=subprocess.run(sys.argv[1:],check=True,stdout=subprocess.PIPE,text=True);"
        "peak=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024;"
        "said=done.stdout[done.stdout.rindex('{'):];"
        "print(json.dumps({**json.loads(said),'peak_mib':peak}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked, *command], env=env, check=True, stdout=subprocess.PIPE
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def radloop(
    cases: Path, fold: int, minutes: float, preset: str, held_out: list[Case], work: Path
) -> Side:
    """Our side, by its commands."""
    program = [str(Path(sys.executable).with_name("radloop"))]
    model = work / "radloop"
    if not (model / "model.json").is_file():
        subprocess.run(
            [*program, "train", "stroke", "--cases", str(cases), "--fold", str(fold), "--preset",
             preset, "--minutes", str(minutes), "--out", str(model), "--quiet"],
            check=True,
        )  # fmt: skip
    table = table_of(held_out, work / "held_out.csv")
    write_cases(table, table.path)
    out = work / "radloop-out"
    figures = measured([*program, "predict", str(model), str(table.path), "--out", str(out),
                        "--workers", "1", "--json", "--quiet"])  # fmt: skip
    info = json.loads((model / "model.json").read_text())
    figures["training"] = f"{info['training']['epochs']} epochs"
    return figures, {c.case_id: out / "masks" / f"{c.case_id}.nii.gz" for c in held_out}


def monai(train: list[Case], held_out: list[Case], minutes: float, work: Path) -> Side:
    """MONAI's plain recipe."""
    lists = {}
    for name, cases in (("train", train), ("held_out", held_out)):
        lists[name] = work / f"monai-{name}.json"
        lists[name].write_text(json.dumps([
            {
                "id": case.case_id,
                "images": [str(path.resolve()) for path in case.images.values()],
                "label": str(case.reference.masks["lesion"].resolve()),
            }
            for case in cases
        ]))  # fmt: skip
    side = [sys.executable, str(HERE / "monai_side.py")]
    model, out = work / "monai.pt", work / "monai-out"
    trained = measured([*side, "train", str(lists["train"]), str(model), str(minutes)])
    figures = measured([*side, "predict", str(lists["held_out"]), str(model), str(out)])
    figures["training"] = f"{trained['steps']} steps"
    return figures, {c.case_id: out / f"{c.case_id}.nii.gz" for c in held_out}


def nnunet(
    python: Path, train: list[Case], held_out: list[Case], minutes: float, work: Path
) -> Side:
    """nnU-Net v2, 3d_fullres."""
    names = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    env = {
        **os.environ,
        **{name: str(work / name) for name in names},
        "nnUNet_n_proc_DA": "1",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    dataset = work / "nnUNet_raw" / "Dataset001_Stroke"
    for case in train:
        link_channels(case, dataset / "imagesTr")
        link(case.reference.masks["lesion"], dataset / "labelsTr" / f"{case.case_id}.nii.gz")
    for case in held_out:
        link_channels(case, work / "nnunet-in")
    facts = {
        "channel_names": {str(k): name for k, name in enumerate(train[0].images)},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(train),
        "file_ending": ".nii.gz",
    }
    (dataset / "dataset.json").write_text(json.dumps(facts))
    plan = ["nnUNetv2_plan_and_preprocess", "-d", "1", "-c", "3d_fullres", "-np", "2", "-npfp", "2"]
    subprocess.run(plan, env=env, check=True, stdout=subprocess.DEVNULL)
    side = [str(python), str(HERE / "nnunet_side.py")]
    where = ["Dataset001_Stroke", "3d_fullres"]
    trained = measured([*side, "train", *where, str(minutes)], env)
    out = work / "nnunet-out"
    figures = measured([*side, "predict", *where, str(work / "nnunet-in"), str(out)], env)
    figures["training"] = f"{trained['steps']} steps of {trained['batch']} x {trained['patch']}"
    return figures, {c.case_id: out / f"{c.case_id}.nii.gz" for c in held_out}


def link_channels(case: Case, folder: Path) -> None:
    """nnU-Net's names: a number for a channel."""
    for k, path in enumerate(case.images.values()):
        link(path, folder / f"{case.case_id}_{k:04d}.nii.gz")


def link(path: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    if not name.exists():
        name.symlink_to(path.resolve())


def judge(held_out: list[Case], masks: dict[str, Path]) -> dict[str, float]:
    """The mean of each measure over the held-out cases; without a mask nothing was found."""
    rows = []
    for case in held_out:
        lead = read_nifti(next(iter(case.images.values()))).image
        assert lead is not None, case.case_id
        truth = read_volume_mask(case, "lesion", lead.geometry)
        found = np.zeros(truth.shape, np.bool_)
        if masks[case.case_id].is_file():
            image = read_nifti(masks[case.case_id]).image
            assert image is not None, case.case_id
            found = image.array > 0
        rows.append(judge_masks(found, truth, lead.geometry))
    return {name: float(np.mean([row[name] for row in rows])) for name in SHOWN}


def main() -> None:
    """Run the sides one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--preset", default="strong")
    parser.add_argument("--nnunet", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cases = read_cases(options.cases).cases
    held_out = [case for case in cases if case.split == f"fold{options.fold}"]
    train = [case for case in cases if case.split != f"fold{options.fold}"]
    minutes, work = options.minutes, options.out.resolve()
    sides = {
        "radloop": radloop(options.cases, options.fold, minutes, options.preset, held_out, work),
        "MONAI": monai(train, held_out, minutes, work),
    }
    if options.nnunet is not None:
        sides["nnU-Net"] = nnunet(options.nnunet, train, held_out, minutes, work)
    print(f"{len(train)} training cases, {len(held_out)} held out, {minutes:g} minutes each")
    print(
        f"{'':9} " + " ".join(f"{name[:11]:>11}" for name in SHOWN) + "  s/case  peak MiB  training"
    )
    for name, (figures, masks) in sides.items():
        scores = judge(held_out, masks)
        seconds = float(str(figures["seconds"])) / len(held_out)
        print(
            f"{name:9} "
            + " ".join(f"{scores[one]:11.3f}" for one in SHOWN)
            + f" {seconds:7.2f} {float(str(figures['peak_mib'])):9.0f}  {figures['training']}"
        )


if __name__ == "__main__":
    main()
