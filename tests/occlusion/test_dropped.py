"""Tokens dropped, against the removal done by hand in timm, and against what a patch touches."""

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.occlusion import make_grid
from iconoscope.occlusion.free_patch import FreePatch
from iconoscope.subject.patch_tokens import find_patch_tokens
from tests.networks import Small

SIDE, PATCHES = 8, 4  # pixels of a patch, and patches of a side

KINDS = {
    "class token": ({}, 1),
    "registers": ({"reg_tokens": 3}, 4),
    "registers, positions of patches alone": ({"reg_tokens": 2, "no_embed_class": True}, 3),
    "mean of the patches": ({"class_token": False, "global_pool": "avg"}, 0),
    "class token, mean of the patches": ({"global_pool": "avg", "pre_norm": True}, 1),
}


def loaded(module, classes):
    how = {"size": SIDE * PATCHES, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "crop": "none"}
    return ico.load_network(module.eval(), classes=[*"abcde"[:classes]], device="cpu", preprocessing=how)


@pytest.fixture(scope="module")
def vit(torchvision_models):
    timm = pytest.importorskip("timm")

    def make(**settings):
        torch.manual_seed(1)
        module = timm.models.vision_transformer.VisionTransformer(
            img_size=SIDE * PATCHES, patch_size=SIDE, embed_dim=24, depth=3, num_heads=3, num_classes=5, **settings
        ).double()
        for parameter in module.parameters():  # timm's are so small that all answers are alike
            nn.init.normal_(parameter, std=0.5)
        return loaded(module, 5)

    return make


@pytest.fixture
def picture():
    return np.random.default_rng(2).integers(0, 256, (SIDE * PATCHES, SIDE * PATCHES, 3), dtype=np.uint8)


def by_hand(network, picture, kept, prefix):
    """The logits of timm's network with some patches (numbered row by row) alone."""
    module = network.module
    with torch.inference_mode():
        tokens = module.patch_embed(network.preprocessing.normalise(picture[None]).double())
        tokens = module._pos_embed(tokens)
        tokens = tokens[:, [*range(prefix), *(prefix + number for number in kept)]]
        return module.forward_head(module.norm(module.blocks(module.norm_pre(tokens))))[0].numpy()


def patches_left(grid):
    """Which patches the patch at each position does not touch, pixel by pixel."""
    for position in range(len(grid)):
        rows, columns = grid.window(position)
        touched = {
            row // SIDE * PATCHES + column // SIDE
            for row in range(rows.start, rows.stop)
            for column in range(columns.start, columns.stop)
        }
        yield [number for number in range(PATCHES**2) if number not in touched]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("patch", "stride"), [(8, 8), (16, 8), ((5, 9), (6, 4))])
def test_every_position_is_the_removal_done_by_hand(vit, picture, kind, patch, stride):
    settings, prefix = KINDS[kind]
    network = vit(**settings)
    answered = ico.occlude(network, picture, "logit:2", patch=patch, stride=stride, fill="drop")
    grid = make_grid((SIDE * PATCHES, SIDE * PATCHES), patch=patch, stride=stride)
    expected = np.array([by_hand(network, picture, kept, prefix) for kept in patches_left(grid)])
    assert np.ptp(expected[:, 2]) > 0.05
    assert np.allclose(answered.occluded.reshape(len(grid), -1), expected, rtol=1e-6, atol=1e-6)
    assert answered.plan.startswith(f"dropped: {len(grid)} positions, ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("patch", "stride"), [(8, 8), ((5, 9), (6, 4))])
def test_every_patch_that_is_kept_is_alone_as_by_hand(vit, picture, kind, patch, stride):
    settings, prefix = KINDS[kind]
    network = vit(**settings)
    answered = ico.occlude(network, picture, "logit:2", patch=patch, stride=stride, fill="drop", keep=True)
    grid = make_grid((SIDE * PATCHES, SIDE * PATCHES), patch=patch, stride=stride)
    shown = [sorted({*range(PATCHES**2)} - {*left}) for left in patches_left(grid)]
    expected = np.array([by_hand(network, picture, kept, prefix) for kept in shown])
    assert np.ptp(expected[:, 2]) > 0.05
    assert np.allclose(answered.occluded.reshape(len(grid), -1), expected, rtol=1e-6, atol=1e-6)
    most = f"{max(map(len, shown))} of {PATCHES**2} patches left"
    assert answered.kept and most in answered.plan
    if "mean" in kind:  # of no patch
        assert answered.all_covered is None
        assert np.array_equal(answered.effect, answered.map - answered.map.min())
    else:
        nothing = by_hand(network, picture, [], prefix)
        assert np.allclose(answered.all_covered, nothing, atol=1e-6)
        assert np.allclose(answered.effect, expected[:, 2].reshape(grid.shape) - nothing[2], atol=1e-5)
    assert answered.map[answered.strongest] == answered.map.max()


def test_a_small_memory_changes_nothing(vit, picture):
    network = vit()
    at_once, one_by_one = (
        ico.occlude(network, picture, "logit:2", patch=8, stride=4, fill="drop", memory=memory)
        for memory in (None, 110_000)
    )
    assert one_by_one.plan.endswith("1 at a time") and not at_once.plan.endswith(" 1 at a time")
    assert np.allclose(at_once.occluded, one_by_one.occluded, atol=1e-6)


def test_torchvision_and_what_the_module_is_afterwards(torchvision_models, picture):
    torch.manual_seed(0)
    module = torchvision_models.VisionTransformer(32, 8, 2, 2, 24, 48, num_classes=3).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    network = loaded(module, 3)
    answered = ico.occlude(network, picture, "logit:0", patch=8, stride=8, fill="drop")
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in module.modules())
    with torch.inference_mode():
        tokens = module._process_input(network.preprocessing.normalise(picture[None]))
        tokens = torch.cat([module.class_token, tokens], 1) + module.encoder.pos_embedding
        for number in range(16):
            left = tokens[:, [index for index in range(17) if index != 1 + number]]
            expected = module.heads(module.encoder.ln(module.encoder.layers(left))[:, 0])[0]
            assert np.allclose(answered.occluded.reshape(16, -1)[number], expected, atol=1e-5)


class Overlapping(nn.Module):
    """A transformer whose patches overlap: a pixel at a border is seen by two tokens."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, SIDE + 2, SIDE, padding=1)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.block(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class Ordered(nn.Module):
    """Its head reads every token in its place."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, SIDE, SIDE)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8 * PATCHES**2, 3)

    def forward(self, x):
        return self.head(self.norm(self.patches(x).flatten(2).transpose(1, 2)).flatten(1))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Small, "none of its layers is given tokens"),
        (Overlapping, "the tokens of block see more than a patch each"),
        (Ordered, "its answer depends on the order of its tokens"),
    ],
)
def test_who_has_no_tokens_to_drop_is_told_why(module, reason, picture):
    torch.manual_seed(0)
    network = loaded(module(), 2 if module is Small else 3)
    for technique in (ico.occlude, ico.faithfulness, ico.refine, ico.occlude_each):
        with pytest.raises(QuestionError, match=reason) as caught:
            technique(network, picture, patch=8, fill="drop")
        assert "mean" in caught.value.hint


def test_swin_is_refused_for_its_windows(torchvision_models, picture):
    module = torchvision_models.SwinTransformer([4, 4], 16, [1, 2], [2, 2], [4, 4], num_classes=3).eval()
    network = loaded(module, 3)
    with pytest.raises(QuestionError, match="no tokens that can be dropped"):
        ico.occlude(network, picture, fill="drop")


def test_patch_and_stride_are_whole_tokens_if_they_are_not_given(vit, picture):
    network = vit()
    series = ico.occlude(network, picture, fill=["mean", "drop"])
    assert [occlusion.patch for occlusion in series.results] == [(8, 8), (8, 8)]
    assert all(np.array_equal(occlusion.top, [0, 8, 16, 24]) for occlusion in series.results)
    *coarse, fine = ico.refine(network, picture, fill="drop")
    assert np.array_equal(fine.occluded, series.results[1].occluded)
    assert np.allclose(coarse[0].occluded[0, 0], fine.occluded[0, 0], atol=1e-6)


def test_a_unit_inside_is_the_mean_over_the_tokens_that_are_left(vit, picture):
    network = vit()
    answered = ico.occlude(network, picture, "blocks.1:4", patch=8, stride=8, fill="drop")
    with torch.inference_mode():
        tokens = network.module._pos_embed(
            network.module.patch_embed(network.preprocessing.normalise(picture[None]).double())
        )
        left = torch.cat([tokens[:, :1], tokens[:, 2:]], 1)
        assert np.allclose(answered.occluded[0, 0, 4], network.module.blocks[:2](left)[0, :, 4].mean(), atol=1e-6)
    for unit, reason in (("blocks.1:4@0,1", "one of many tokens"), ("patch_embed.proj:4", "answers before")):
        with pytest.raises(QuestionError, match=reason):
            ico.occlude(network, picture, unit, patch=8, fill="drop")


def test_nothing_is_left_of_a_network_without_a_class_token(vit, picture):
    with pytest.raises(QuestionError, match="no token is left"):
        ico.occlude(vit(class_token=False, global_pool="avg"), picture, "logit:1", patch=32, fill="drop")


def test_deletion_and_insertion_move_tokens_when_half_of_their_pixels_have_their_turn(vit, picture):
    network = vit()
    order = np.arange(PATCHES**2, 0, -1.0).reshape(PATCHES, PATCHES)  # row by row
    pixels = np.kron(order, np.ones((SIDE, SIDE)))
    pixels[0, :] = -1  # an eighth of the first tokens comes last
    curves = ico.faithfulness(network, picture, pixels, "logit:2", steps=17, fill="drop", start="drop").results[0]
    for point, share in enumerate(curves.share):
        turned = range(min(16, round(16 * share + 0.5 * (share < 1) * (share > 0))))
        left = [number for number in range(16) if number not in turned]
        assert np.allclose(curves.deletion[point], by_hand(network, picture, left, 1), atol=1e-5)
        assert np.allclose(curves.insertion[point], by_hand(network, picture, list(turned), 1), atol=1e-5)


def test_a_patch_in_the_hand_drops_what_it_touches(vit, picture):
    network = vit()
    free = FreePatch(network, ico.load_images(picture)[0], fill="drop")
    kept = [number for number in range(16) if number not in (5, 6)]
    expected = torch.from_numpy(by_hand(network, picture, kept, 1)).softmax(0)
    assert np.allclose(free.probabilities(9, 9, 2, 8), expected, atol=1e-6)


def test_tokens_are_found_where_the_position_is_known(vit):
    network = vit(reg_tokens=3)
    tokens = find_patch_tokens(network, network.digest())
    assert (tokens.grid.prefix, tokens.grid.rows, tokens.grid.columns, tokens.side) == (4, 4, 4, (8, 8))


@pytest.mark.parametrize(
    ("settings", "layers"),
    [
        ({}, "blocks.2.attn.proj, blocks.2.mlp"),
        ({"reg_tokens": 2}, "blocks.2.attn.proj, blocks.2.mlp"),
        ({"global_pool": "avg"}, ""),  # every token is read
    ],
)
def test_the_last_layers_answer_for_the_class_token_alone_where_it_alone_is_read(
    vit, picture, settings, layers, monkeypatch
):
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", 0)
    network = vit(**settings)
    plain, quick = (
        ico.occlude(network, picture, "logit:2", patch=8, stride=1, fill="zero", method=method)
        for method in ("dense", "exact")
    )
    assert np.allclose(quick.occluded, plain.occluded, atol=1e-5)
    assert (f", as captured, {layers} for the class token alone;" in quick.plan) == bool(layers)
    assert ", as captured" in quick.plan
    assert "class token" not in plain.plan and ("class token" in quick.plan) == bool(layers)
    assert not any(part._forward_pre_hooks for part in network.module.modules())


def test_a_transformer_is_captured_once_for_all_questions(vit, picture, monkeypatch):
    from iconoscope.occlusion.incremental import exact

    captures, capture = [], exact.capture
    monkeypatch.setattr(exact, "LEAST_WORK", 0)
    monkeypatch.setattr(exact, "capture", lambda *asked: captures.append(asked) or capture(*asked))
    network, later = vit(), picture[::-1].copy()
    plans = [ico.occlude(network, image, "logit:2", patch=8, stride=1, fill="zero").plan for image in (picture, later)]
    assert all("for the class token alone" in plan for plan in plans)
    assert len(captures) == 2  # as it is, and with the class token alone
