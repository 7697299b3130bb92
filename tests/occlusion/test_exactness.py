"""The incremental engine is exact on the networks that people have, at every position, the border included."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from awakening import as_network, awaken, covered_everywhere
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import PlanCache, scan_exact
from iconoscope.occlusion.incremental import exact as exact_engine


def tiny_transformer(models):
    return models.VisionTransformer(
        image_size=224, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768
    )


NETWORKS = {
    "resnet18": lambda models: models.resnet18(),
    "vgg16": lambda models: models.vgg16_bn(),
    "resnet50": lambda models: models.resnet50(),
    "mobilenet_v2": lambda models: models.mobilenet_v2(),
    "mobilenet_v3": lambda models: models.mobilenet_v3_large(),
    "densenet121": lambda models: models.densenet121(),
    "googlenet": lambda models: models.googlenet(init_weights=False, aux_logits=False),
    "inception_v3": lambda models: models.inception_v3(init_weights=False),
    "efficientnet_b0": lambda models: models.efficientnet_b0(),
    "regnet_x": lambda models: models.regnet_x_400mf(),
    "regnet_y": lambda models: models.regnet_y_400mf(),
    "shufflenet_v2": lambda models: models.shufflenet_v2_x1_0(),
    "convnext_tiny": lambda models: models.convnext_tiny(),
    "vit_tiny": tiny_transformer,
}
DENSE = ("efficientnet_b0", "regnet_y", "vit_tiny")
"""Where every position changes nearly everything: squeeze-and-excite from the first block on, attention."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_position_as_the_plain_network_answers_it(name, photographs, torchvision_models):
    torch.manual_seed(0)
    size = (299, 299) if name == "inception_v3" else (224, 224)
    network = as_network(NETWORKS[name](torchvision_models), size)
    pictures = torch.cat(
        [
            network.preprocessing.normalise(network.preprocessing.fit(picture.pixels)[None])
            for picture in photographs[:96:8]
        ]
    )
    grid = make_grid(size, patch=48, stride=32)
    covered = covered_everywhere(pictures[0], grid)
    awaken(network.module, pictures, covered)
    with network.questioned(), torch.inference_mode():
        unit = network.resolve("prob:0")
        found = scan_exact(
            network, pictures[0], Cover(torch.zeros_like(pictures[0])), grid, unit, plans=PlanCache(10**6)
        )
        naive = torch.cat([network.module(each[None]) for each in covered]).softmax(1).numpy()
        network.module.double()
        true = torch.cat([network.module(each[None].double()) for each in covered]).softmax(1).numpy()
    answers = found.occluded.reshape(naive.shape)
    difference = np.abs(answers - naive).max()
    error, rounding = np.abs(answers - true).max(), np.abs(naive - true).max()
    told = f"{name}: {difference:.1e} from naive; from double precision {error:.1e}, naive {rounding:.1e}; {found.plan}"
    assert np.ptp(naive, axis=0).max() > 0.1
    assert difference < 1e-5, told
    assert found.plan.startswith("dense" if name in DENSE else "exact"), found.plan
    assert name not in DENSE or "nothing to gain" in found.plan


@pytest.mark.slow
@pytest.mark.parametrize(("name", "patch", "stride"), [("resnet20", 8, 1), ("squeezenet", 32, 8)])
def test_the_real_networks(name, patch, stride, request, data):
    network = request.getfixturevalue(name)
    images = data / ("cifar10/test.parquet" if name == "resnet20" else "imagenet/images")
    grid = make_grid(network.preprocessing.size, patch=patch, stride=stride)
    for picture in ico.load_images(images, limit=2):
        image = network.preprocessing.normalise(network.preprocessing.fit(picture.pixels)[None])[0]
        with network.questioned(), torch.inference_mode():
            cover = Cover(torch.zeros_like(image))
            found = scan_exact(network, image, cover, grid, network.resolve("prob:0"), plans=PlanCache(10**6))
            naive = torch.cat([network.module(each[None]) for each in covered_everywhere(image, grid)])
        assert found.plan.startswith("exact"), found.plan
        assert np.abs(found.occluded.reshape(naive.shape) - naive.softmax(1).numpy()).max() < 1e-5


def test_the_check_before_an_answer_is_trusted_is_stricter_than_a_picture_shows():
    assert exact_engine.TOLERANCE <= 1e-4
