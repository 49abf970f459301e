"""Variants differ in their modules only, and the control costs what fusing does."""

import pytest

from rsgnet.config import CandidateRelationConfig
from rsgnet.errors import RSGNetError
from rsgnet.reproduce.measure import compute_cost
from rsgnet.reproduce.variants import PLAIN, VARIANTS, variant_config, variants_named


def cost(name):
    return compute_cost(variant_config("rsgnet-light", VARIANTS[name].settings))


def test_variants_named_is_in_order_and_includes_plain():
    assert [variant.name for variant in variants_named("dense, trp")] == ["plain", "trp", "dense"]
    assert variants_named("trp")[0] == PLAIN
    with pytest.raises(RSGNetError, match=r"'trq'; there are plain, plain\+conv, sgm, trp, trp\+sgm, paper, dense"):
        variants_named("plain,trq")


@pytest.mark.parametrize(
    ("name", "relation", "graph"),
    [
        ("plain", "none", False), ("plain+conv", "convolutions", False), ("sgm", "none", True),
        ("trp", "candidates", False), ("trp+sgm", "candidates", True), ("paper", "candidates", True),
        ("dense", "dense", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("preset", ["rsgnet-light", "nano"])
def test_modules_of_variants(name, relation, graph, preset):
    model = variant_config(preset, VARIANTS[name].settings).model
    assert (model.relation_kind, model.skeleton_graph) == (relation, graph)


def test_the_paper_reads_heatmaps_from_the_encoding_of_all_places():
    model = variant_config("nano", VARIANTS["paper"].settings).model
    assert model.fusion == "none" and model.relation == CandidateRelationConfig(
        selection="places", peaks_per_keypoint=32
    )


def test_the_control_costs_nearly_what_the_relation_does():
    plain, control, relation = cost("plain"), cost("plain+conv"), cost("trp")
    assert control.parameters - plain.parameters == 2 * (9 * 64 * 64 + 2 * 64)
    assert control.layer_macs - plain.layer_macs == 2 * 9 * 64 * 64 * 32 * 24
    assert 0.75 < (control.parameters - plain.parameters) / (relation.parameters - plain.parameters) < 1
    assert 0.75 < (control.layer_macs - plain.layer_macs) / (relation.layer_macs - plain.layer_macs) < 1


def test_detectors_raise():
    with pytest.raises(RSGNetError, match="detector-nano: a detector has no relation"):
        variant_config("detector-nano", [])
