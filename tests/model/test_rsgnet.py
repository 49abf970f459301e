"""The whole network: its parts, sizes and independence between crops."""

from dataclasses import replace

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped

from rsgnet.config import CandidateRelationConfig, ConvolutionsConfig, ModelConfig
from rsgnet.errors import RSGNetError
from rsgnet.model import ModelOutput, RSGNet
from rsgnet.model.backbone import Backbone
from rsgnet.skeletons import get_skeleton

RELATED = CandidateRelationConfig(clue_dim=8, candidate_threshold=0.0)
NANO = ModelConfig(backbone="hrnet_w18_small", skeleton="crowdpose14", relation=RELATED)


def millions(module):
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize(
    ("relation", "skeleton_graph"), [(None, False), (RELATED, False), (RELATED, True), (None, True)]
)
def test_each_module_switches(relation, skeleton_graph):
    config = replace(NANO, relation=relation, skeleton_graph=skeleton_graph)
    output = RSGNet(config)(torch.randn(2, 3, 64, 64))
    skeleton = get_skeleton(config.skeleton)
    related = relation is not None
    assert output.target_heatmaps.shape == (2, len(skeleton), 16, 16)
    assert (output.candidate_heatmaps is not None) == related
    assert (output.relation is not None) == related
    assert (output.limb_heatmaps is not None) == skeleton_graph
    if related:
        count = len(skeleton) * config.relation.peaks_per_keypoint
        assert output.relation.shape == (2, count, count)
    if skeleton_graph:
        assert output.limb_heatmaps.shape == (2, len(skeleton.limbs), 16, 16)
        assert 0 <= output.limb_heatmaps.min() <= output.limb_heatmaps.max() <= 1


@pytest.mark.parametrize("joined", [{"skeleton_graph": True}, {"relation": ConvolutionsConfig()}])
def test_a_plain_network_that_grows_by_residual_fusion_loses_nothing_and_learns(joined):
    plain = RSGNet(replace(NANO, relation=None, skeleton_graph=False)).train()
    grown = RSGNet(replace(NANO, **{"skeleton_graph": False, **joined}, fusion="residual")).train()
    grown.load_state_dict(plain.state_dict(), strict=False)
    crops = torch.randn(2, 3, 64, 64)
    found = grown(crops).target_heatmaps
    torch.testing.assert_close(found, plain(crops).target_heatmaps)
    found.square().mean().backward()
    assert [each for each in grown.fuse.modules() if isinstance(each, torch.nn.BatchNorm2d)][
        -1
    ].weight.grad.abs().sum() > 0


def test_without_fusion_heatmaps_and_limbs_are_read_from_the_encoding_alone():
    torch.manual_seed(0)
    network = RSGNet(replace(NANO, relation=replace(RELATED, selection="places"), fusion="none")).eval()
    torch.nn.init.normal_(network.candidate_head.weight, std=0.2)
    encodings = []
    network.relation_parser.register_forward_hook(lambda *given: encodings.append(given[-1].encoding))
    output = network(torch.randn(2, 3, 64, 64))
    (encoding,) = encodings
    assert encoding.shape == (2, 3 * RELATED.clue_dim, 16, 16)
    torch.testing.assert_close(output.target_heatmaps, network.target_head(encoding))
    limbs = network.skeleton_graph(encoding, network.target_head.weight[:, :, 0, 0])
    torch.testing.assert_close(output.limb_logits, limbs)
    empty = (encoding == 0).all(1)
    assert empty.any() and not empty.all()  # the encoding is nothing where there is no candidate
    (output.target_heatmaps.square().mean() + output.limb_logits.square().mean()).backward()
    assert network.backbone.encoder.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("relation", [None, ConvolutionsConfig()])
def test_without_an_encoding_there_is_nothing_else_to_read(relation):
    with pytest.raises(RSGNetError, match="fusion 'none' reads E_t"):
        replace(NANO, relation=relation, fusion="none")


def test_evidence_reaches_the_target_heatmaps_and_the_relation_their_gradient():
    torch.manual_seed(0)
    network = RSGNet(replace(NANO, relation=replace(RELATED, evidence=True))).eval()
    torch.nn.init.normal_(network.candidate_head.weight, std=0.2)
    torch.nn.init.zeros_(network.relation_parser.project.weight)  # E_t joins nothing
    crops = torch.randn(1, 3, 64, 64)
    network(crops).target_heatmaps.square().sum().backward()
    assert network.relation_parser.score.weight.grad.abs().sum() > 0
    with torch.no_grad():
        before = network(crops).target_heatmaps
        network.relation_parser.score.bias += 3
        assert not torch.equal(before, network(crops).target_heatmaps)


def test_evidence_joins_by_a_fusion():
    with pytest.raises(RSGNetError, match=r"evidence=false"):
        replace(NANO, relation=replace(RELATED, evidence=True), fusion="none")


@pytest.mark.parametrize("gradient_to_features", [True, False])
def test_whether_everyone_changes_the_features(gradient_to_features):
    network = RSGNet(replace(NANO, relation=replace(RELATED, gradient_to_features=gradient_to_features)))
    output = network(torch.randn(2, 3, 64, 64))
    (output.candidate_heatmaps.square().mean() + output.relation.mean()).backward()
    moved = [parameter.grad is not None for parameter in network.backbone.parameters()]
    assert all(moved) if gradient_to_features else not any(moved)
    assert network.candidate_head.weight.grad.abs().sum() > 0
    assert network.relation_parser.visual.weight.grad.abs().sum() > 0
    network.zero_grad()
    network(torch.randn(2, 3, 64, 64)).target_heatmaps.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.backbone.parameters())


def test_output_shapes_are_the_declared_ones():
    output = RSGNet(NANO)(torch.randn(2, 3, 64, 64))
    jaxtyped(typechecker=beartype)(ModelOutput)(**vars(output))


def test_hrnet_backbones_have_the_published_sizes():
    assert millions(Backbone("hrnet_w32")) == 28.535552
    assert millions(Backbone("hrnet_w48")) == pytest.approx(63.595, abs=1e-3)


def test_hrnet_w32_network_has_the_papers_size():
    config = ModelConfig(backbone="hrnet_w32", relation=None, skeleton_graph=False)
    assert millions(RSGNet(config)) == pytest.approx(28.54, abs=0.005)


@pytest.mark.parametrize("backbone", ["resnet18", "convnext_atto"])
def test_any_timm_backbone_serves(backbone):
    output = RSGNet(replace(NANO, backbone=backbone))(torch.randn(1, 3, 64, 64))
    assert output.target_heatmaps.shape == (1, 14, 16, 16)


@pytest.mark.parametrize(("name", "stride"), [("no_such_network", 4), ("hrnet_w18_small", 3)])
def test_impossible_backbones_are_named(name, stride):
    with pytest.raises(RSGNetError, match=name):
        Backbone(name, stride)


def test_a_batch_is_its_crops_one_by_one():
    torch.manual_seed(0)
    model = RSGNet(NANO).eval()
    torch.nn.init.normal_(model.candidate_head.weight, std=0.2)
    crops = torch.randn(5, 3, 64, 64)
    with torch.no_grad():
        together = model(crops)
        assert together.candidates.mask.any()
        for index, crop in enumerate(crops):
            alone = model(crop[None])
            for name in ("target_heatmaps", "candidate_heatmaps", "limb_logits", "relation"):
                one, other = getattr(together, name)[index], getattr(alone, name)[0]
                torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_every_weight_learns():
    torch.manual_seed(0)
    model = RSGNet(NANO)
    torch.nn.init.normal_(model.candidate_head.weight, std=0.2)
    output = model(torch.randn(2, 3, 64, 64))
    total = sum(
        value.square().mean()
        for value in (output.target_heatmaps, output.candidate_heatmaps, output.limb_logits, output.relation)
    )
    total.backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert idle == []
