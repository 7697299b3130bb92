"""Networks of the library transformers, in folders as save_pretrained writes them; run by `make test-hf`.

In an environment of its own: beside the torchvision of the other tests, transformers cannot import its networks.
"""

import json

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import NetworkError, NetworkNameError, QuestionError

transformers = pytest.importorskip("transformers")

NAMES = {0: "owl", 1: "newt", 2: "carp"}
KINDS = {
    "ViT": (
        transformers.ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            image_size=64,
            patch_size=16,
        ),
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}},
    ),
    "Swin": (
        transformers.SwinConfig(
            image_size=64, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4
        ),
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}},
    ),
    "ConvNext": (
        transformers.ConvNextConfig(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], image_size=64),
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64}, "crop_pct": 0.875},
    ),
    "ResNet": (
        transformers.ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8),
        {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": 72},
            "crop_size": {"height": 64, "width": 64},
            "do_center_crop": True,
        },
    ),
}


def save(folder, kind, **settings):
    configuration, processor = KINDS[kind]
    configuration = type(configuration)(**{**configuration.to_dict(), "id2label": NAMES, **settings})
    torch.manual_seed(0)
    module = transformers.AutoModelForImageClassification.from_config(configuration).eval()
    module.save_pretrained(folder)
    told = {
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.25, 0.3],
        "resample": 3,
        **processor,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return module


@pytest.fixture(scope="module")
def photographs():
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (4, 12, 16, 3), dtype=np.uint8)
    return [Image.fromarray(each).resize((160, 120), Image.Resampling.BICUBIC) for each in noise]


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_folder_says_everything_and_all_three_techniques_ask(kind, photographs, tmp_path):
    folder = tmp_path / kind
    module = save(folder, kind)
    network = ico.load_network(f"hf:{folder}", device="cpu")
    assert network.classes == ("owl", "newt", "carp")
    assert "the processor of" in network.preprocessing.describe()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    shown = processor(images=photographs, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        wanted = module(shown).logits.softmax(1).numpy()
    np.testing.assert_allclose(ico.predict(network, photographs), wanted, atol=2e-3)
    found, plain = (
        ico.occlude(network, photographs[0], "prob:newt", patch=16, stride=16, method=method)
        for method in ("exact", "dense")
    )
    np.testing.assert_allclose(found.occluded, plain.occluded, atol=1e-5)
    recording = ico.record(network, photographs, store=tmp_path / "run", k=2)
    unit = recording.units[3]
    made = ico.optimize(network, [unit, "logit:carp"], steps=64, seed=0)
    assert (made.objective[:, -1] > made.objective[:, 0]).all()
    assert ico.top_images(recording, unit, 2).ids
    assert ico.map_images(recording, "pca").points.shape == (4, 2)


def test_units_of_tokens(photographs, tmp_path):
    module = save(tmp_path / "vit", "ViT")
    network = ico.load_network(str(tmp_path / "vit"), device="cpu")
    layer = next(each.name for each in ico.layers(network) if each.shape == (64, 17))
    answers = []
    handle = module.get_submodule(layer).register_forward_hook(lambda m, i, output: answers.append(output))
    with torch.no_grad():
        module(network.preprocessing.normalise(network.preprocessing.fit(np.asarray(photographs[0]))[None]))
    handle.remove()
    tokens = answers[0][0]
    for unit, wanted in {
        f"{layer}:5": tokens[:, 5].mean(),
        f"{layer}:5@cls": tokens[0, 5],
        f"{layer}:5@2,1": tokens[1 + 2 * 4 + 1, 5],
    }.items():
        assert ico.occlude(network, photographs[0], unit, patch=32, stride=32).clean[5] == pytest.approx(
            float(wanted), abs=1e-5
        )


@pytest.mark.parametrize("keep", [False, True])
def test_tokens_are_dropped_and_kept_as_by_hand(photographs, tmp_path, keep):
    module = save(tmp_path / "vit", "ViT")
    for parameter in module.parameters():  # as they are drawn all answers are alike
        torch.nn.init.normal_(parameter, std=0.2)
    module.save_pretrained(tmp_path / "vit")
    network = ico.load_network(str(tmp_path / "vit"), device="cpu")
    answered = ico.occlude(network, photographs[0], "logit:newt", patch=32, stride=16, fill="drop", keep=keep)
    wanted = []
    with torch.no_grad():
        pixels = network.preprocessing.normalise(network.preprocessing.shown(ico.load_images(photographs[0])[0])[None])
        tokens = module.vit.embeddings(pixels)
        for top in range(3):
            for left in range(3):
                touched = {1 + 4 * row + column for row in (top, top + 1) for column in (left, left + 1)}
                hidden = tokens[:, [0, *(number for number in range(1, 17) if (number in touched) == keep)]]
                for layer in module.vit.layers:
                    answer = layer(hidden)
                    hidden = answer[0] if isinstance(answer, tuple) else answer
                wanted.append(module.classifier(module.vit.layernorm(hidden)[:, 0])[0].numpy())
    assert np.ptp(np.array(wanted)[:, 1]) > 1e-2
    np.testing.assert_allclose(answered.occluded.reshape(9, 3), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["Swin", "ConvNext", "ResNet"])
def test_what_has_no_tokens_to_drop_says_why(photographs, tmp_path, kind):
    save(tmp_path / kind, kind)
    network = ico.load_network(str(tmp_path / kind), device="cpu")
    for keep in (False, True):
        with pytest.raises(QuestionError, match="has no tokens that can be dropped") as caught:
            ico.occlude(network, photographs[0], fill="drop", keep=keep)
        assert "mean" in caught.value.hint


def test_norms_with_their_channels_first_are_read_so(tmp_path):
    module = save(tmp_path / "convnext", "ConvNext")
    network = ico.load_network(str(tmp_path / "convnext"), device="cpu")
    shapes = {layer.name: layer.shape for layer in ico.layers(network)}
    norms = [name for name, each in module.named_modules() if "LayerNorm" in type(each).__name__ and name in shapes]
    first = [name for name in norms if getattr(module.get_submodule(name), "data_format", "") == "channels_first"]
    assert first
    for name in norms:
        assert shapes[name][0] == module.get_submodule(name).normalized_shape[0]


def test_several_labels_are_told_by_the_configuration(photographs, tmp_path):
    module = save(tmp_path / "vit", "ViT", problem_type="multi_label_classification")
    network = ico.load_network(f"hf:{tmp_path / 'vit'}", device="cpu")
    assert network.activation == "sigmoid"
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "vit")
    with torch.no_grad():
        wanted = module(processor(images=photographs, return_tensors="pt")["pixel_values"]).logits.sigmoid()
    np.testing.assert_allclose(ico.predict(network, photographs), wanted.numpy(), atol=2e-3)


def test_a_network_given_as_an_object_knows_its_classes(tmp_path):
    module = save(tmp_path / "vit", "ViT")
    network = ico.load_network(module, preprocessing={"size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3}, device="cpu")
    assert network.classes == ("owl", "newt", "carp")


def test_code_of_others_is_not_run(tmp_path):
    save(tmp_path / "own", "ViT")
    path = tmp_path / "own" / "config.json"
    told = json.loads(path.read_text())
    told["model_type"] = "mine"
    told["auto_map"] = {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.Model"}
    path.write_text(json.dumps(told))
    (tmp_path / "own" / "mine.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w').close()\n")
    with pytest.raises(NetworkError, match=r"code of its own(.|\n)*--trust-code"):
        ico.load_network(f"hf:{tmp_path / 'own'}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("part", [None, "vision_config"])
def test_code_of_the_hub_is_fetched_only_if_asked_for(tmp_path, setting, part):
    save(tmp_path / "own", "ViT")
    path = tmp_path / "own" / "config.json"
    configuration = json.loads(path.read_text())
    (configuration if part is None else configuration.setdefault(part, {}))[setting] = "org/attention"
    path.write_text(json.dumps(configuration))
    with pytest.raises(NetworkError, match=r"code of the hub \(\w+=org/attention\)(.|\n)*--trust-code"):
        ico.load_network(f"hf:{tmp_path / 'own'}")


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_pickled_weights_are_refused(tmp_path):
    save(tmp_path / "own", "ViT")
    (tmp_path / "own" / "model.safetensors").unlink()
    torch.save({"more": Bomb(tmp_path / "mark")}, tmp_path / "own" / "pytorch_model.bin")
    with pytest.raises(NetworkError, match=r"run any program(.|\n)*--trust-code"):
        ico.load_network(f"hf:{tmp_path / 'own'}")
    assert not (tmp_path / "mark").exists()


def test_what_is_not_there_or_broken_is_said(tmp_path):
    with pytest.raises(NetworkNameError, match="is no folder"):
        ico.load_network(f"hf:{tmp_path / 'nothing'}")
    save(tmp_path / "vit", "ViT")
    (tmp_path / "vit" / "model.safetensors").write_bytes(b"abc")
    with pytest.raises(NetworkError, match="cannot be loaded"):
        ico.load_network(f"hf:{tmp_path / 'vit'}")
