"""MONAI's side of `stroke_against_peers.py`: its plain recipe, as its 3D segmentation tutorials run
it (spleen, BraTS): residual U-Net, Dice and cross-entropy, crops of 96 voxels with as many centred
on foreground as on background, Adam at 1e-4, sliding window with a quarter of overlap.

    python monai_side.py train LIST.json MODEL.pt MINUTES | predict LIST.json MODEL.pt OUT

LIST.json: a list of {"id", "images": [file a channel], "label": file}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from monai.data import CacheDataset, DataLoader, Dataset, decollate_batch
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SaveImaged,
    Spacingd,
    SpatialPadd,
)

ROI = (96, 96, 96)


def prepared(keys: list[str], spacing: list[float]) -> list:
    """Load, orient, resample, normalise."""
    modes = ["bilinear", "nearest"][: len(keys)]
    return [
        LoadImaged(keys),
        EnsureChannelFirstd(keys),
        Orientationd(keys, axcodes="RAS"),
        Spacingd(keys, pixdim=spacing, mode=modes if len(keys) > 1 else modes[0]),
        NormalizeIntensityd("image", nonzero=True, channel_wise=True),
    ]


def network(channels: int) -> UNet:
    return UNet(
        spatial_dims=3, in_channels=channels, out_channels=2, channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2), num_res_units=2, norm="batch",
    )  # fmt: skip


def train(items: list[dict], model: Path, minutes: float) -> dict:
    """Train for `minutes`; reading and caching of the volumes is not counted."""
    import nibabel

    spacing = [float(s) for s in nibabel.load(items[0]["images"][0]).header.get_zooms()[:3]]
    data = [{"image": one["images"], "label": one["label"]} for one in items]
    augmented = [
        SpatialPadd(["image", "label"], ROI),
        RandCropByPosNegLabeld(
            ["image", "label"], "label", ROI, pos=1, neg=1, num_samples=2, image_key="image"
        ),
        RandFlipd(["image", "label"], prob=0.5, spatial_axis=0),
        RandScaleIntensityd("image", factors=0.1, prob=0.5),
        RandShiftIntensityd("image", offsets=0.1, prob=0.5),
    ]
    torch.manual_seed(0)
    cached = CacheDataset(
        data, Compose([*prepared(["image", "label"], spacing), *augmented]), progress=False
    )
    loader = DataLoader(cached, batch_size=1, shuffle=True)
    net = network(len(items[0]["images"]))
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)
    start, steps = time.monotonic(), 0
    while time.monotonic() - start < 60 * minutes:
        for batch in loader:
            optimizer.zero_grad()
            loss_of(net(batch["image"]), (batch["label"] > 0).float()).backward()
            optimizer.step()
            steps += 1
            if time.monotonic() - start >= 60 * minutes:
                break
    torch.save({"weights": net.state_dict(), "spacing": spacing}, model)
    return {"steps": steps, "minutes": (time.monotonic() - start) / 60}


def predict(items: list[dict], model: Path, out: Path) -> dict:
    """From files to masks on the grids of the inputs."""
    kept = torch.load(model)
    net = network(len(items[0]["images"]))
    net.load_state_dict(kept["weights"])
    net.eval()
    before = Compose(prepared(["image"], kept["spacing"]))
    after = Compose([
        Invertd("pred", before, "image", nearest_interp=False, to_tensor=True),
        AsDiscreted("pred", argmax=True),
        SaveImaged("pred", output_dir=out, output_postfix="", separate_folder=False,
                   resample=False, print_log=False),
    ])  # fmt: skip
    start = time.perf_counter()
    for one in items:
        loader = DataLoader(Dataset([{"image": one["images"]}], before), batch_size=1)
        for batch in loader:
            with torch.inference_mode():
                batch["pred"] = sliding_window_inference(batch["image"], ROI, 4, net, overlap=0.25)
            for case in decollate_batch(batch):
                saved = after(case)["pred"]
        written = next(p for p in out.glob("*.nii.gz") if "_" in p.name or p.stem != one["id"])
        written.rename(out / f"{one['id']}.nii.gz")
        del saved
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    role, listed, model, rest = sys.argv[1:]
    items = json.loads(Path(listed).read_text())
    if role == "train":
        print(json.dumps(train(items, Path(model), float(rest))))
    else:
        Path(rest).mkdir(parents=True, exist_ok=True)
        print(json.dumps(predict(items, Path(model), Path(rest))))
