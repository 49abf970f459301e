"""The released form: what it computes, how lean it is, and that all of it learns. Golden outputs: test_released.py."""

from dataclasses import replace

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rsgnet.config import CropConfig, DenseRelationConfig, ModelConfig
from rsgnet.errors import RSGNetError
from rsgnet.model import DenseRSGNet, ModelOutput
from rsgnet.model.released.dense_relation import DenseRelationHead
from rsgnet.training.losses import dense_relation_loss

MODEL = ModelConfig(
    backbone="hrnet_w8_modules111_blocks1", skeleton="crowdpose14", relation=DenseRelationConfig(embedding_dim=12)
)
CROP = CropConfig(size_wh=(64, 96), stride=2)


def network(**changes):
    torch.manual_seed(0)
    crop = changes.pop("crop", CROP)
    return DenseRSGNet(replace(MODEL, **changes), crop)


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("subsample", [False, True])
def test_shapes(stride, subsample):
    output = network(
        crop=replace(CROP, stride=stride), relation=DenseRelationConfig(embedding_dim=12, subsample=subsample)
    )(torch.randn(2, 3, 96, 64))
    height, width = 96 // stride, 64 // stride
    assert output.target_heatmaps.shape == output.candidate_heatmaps.shape == (2, 14, height, width)
    assert output.limb_heatmaps.shape == (2, 14, height, width)
    related = 24 * 16 // (4 if subsample else 1)
    assert output.dense_relation.matrix().shape == (2, related, related)
    assert output.relation is None
    jaxtyped(typechecker=beartype)(ModelOutput)(**vars(output))


def test_without_the_skeleton_graph_there_are_no_limbs():
    assert network(skeleton_graph=False)(torch.randn(2, 3, 96, 64)).limb_logits is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"crop": replace(CROP, stride=8)}, "stride 2 or 4, not 8"), ({"backbone": "hrnet_w18_small_v2"}, "not 18")],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(RSGNetError, match=message):
        network(**changes)


def test_windows_are_related_by_their_highest_values():
    torch.manual_seed(0)
    clues = torch.rand(1, 8, 4, 6)
    gathered, relation = DenseRelationHead(8, subsample=True)(clues)
    one, other = clues[0, :, 0:2, 4:6].amax((1, 2)), clues[0, :, 2:4, 0:2].amax((1, 2))
    assert relation.matrix()[0, 2, 3].item() == pytest.approx(torch.sigmoid(one @ other).item())
    assert gathered.shape == clues.shape


def test_a_batch_is_its_crops_one_by_one():
    model = network().eval()
    crops = torch.randn(3, 3, 96, 64)
    with torch.no_grad():
        together = model(crops)
        for index, crop in enumerate(crops):
            alone = model(crop[None])
            for name in ("target_heatmaps", "candidate_heatmaps", "limb_logits"):
                torch.testing.assert_close(
                    getattr(together, name)[index], getattr(alone, name)[0], atol=1e-4, rtol=1e-4
                )


def test_every_weight_learns_but_the_places():
    model = network()
    output = model(torch.randn(2, 3, 96, 64))
    loss = output.target_heatmaps.square().mean() + output.limb_logits.square().mean()
    (loss + dense_relation_loss(output.dense_relation, torch.rand(2, 14, 48, 32))).backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert idle == ["clues.places"]


def test_half_precision_training_relates_in_full():
    with torch.autocast("cpu", torch.bfloat16):
        output = network()(torch.randn(2, 3, 96, 64))
        loss = dense_relation_loss(output.dense_relation, torch.rand(2, 14, 48, 32))
    assert output.dense_relation.clues.dtype == loss.dtype == torch.float32
    assert output.target_heatmaps.dtype == torch.bfloat16


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gave."""

    numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        given = function(*arguments, **(options or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(given) if isinstance(leaf, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return given


def test_the_relation_is_never_held_whole():
    """Neither in a training step nor in prediction; a step of 384x288 holds 128 of its 6912 rows at a time."""
    crop = CropConfig(size_wh=(192, 384), stride=2)
    pixels = 96 * 48
    model, crops = network(crop=crop), torch.randn(2, 3, 384, 192)
    with Largest() as largest:
        output = model(crops)
        loss = dense_relation_loss(output.dense_relation, torch.rand(2, 14, 192, 96))
        (loss + output.target_heatmaps.mean()).backward()
        with torch.inference_mode():
            model.eval()(crops)
    assert largest.numbers < 2 * pixels**2 / 4
    with Largest() as largest:
        output.dense_relation.matrix()
    assert largest.numbers == 2 * pixels**2
