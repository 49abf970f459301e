"""What the names and shapes of published checkpoints say: RSGNet as released, HRNet and SimpleBaseline for pose."""

from __future__ import annotations

from collections.abc import Mapping

from rsgnet.config import CropConfig, DenseRelationConfig, ModelConfig, NeckConfig, PoseConfig
from rsgnet.errors import WeightsError
from rsgnet.model.backbone import hrnet_name
from rsgnet.model.released.network import FEATURE_STRIDE

Shapes = Mapping[str, tuple[int, ...]]

# Our modules and theirs. What stands further up comes first.
_THEIR_NAMES = {
    "backbone.encoder.": "",
    "backbone.neck.": "deconv_layers.",
    "candidate_head.": "multi_final_layer.",
    "clues.words": "type_features",
    "clues.places": "loc_features",
    "clues.visual.": "vis_conv.",
    "clues.word_encoder.": "type_fc.",
    "clues.category.": "type_conv.",
    "clues.geometry.": "loc_conv.",
    "clues.combine.": "contact_conv.",
    "clues.project.": "predict_contact_net.",
    "relation_head.value.": "relation_head.g.",
    "relation_head.output.": "relation_head.W.0.",
    "relation_head.norm.": "relation_head.W.1.",
    "fuse.": "kpt_net.",
    "grow.": "predict_convtranspose.",
    "refine.": "predict_net.",
    "target_head.": "final_layer.",
    "limb_features.": "limbs_net.",
    "skeleton_graph.first.": "kt_machine.kpt_transformer.0.",
    "skeleton_graph.second.": "kt_machine.kpt_transformer.2.",
    "skeleton_graph.edge_weights": "kt_machine.matrix_limb",
    "skeleton_graph.limb_matrix": "kt_machine.real_matrix_limb",
}
# The head of the sub-sampled form, where they differ.
_THEIR_SUBSAMPLED_NAMES = {
    "relation_head.enlarge.": "relation_head.W.0.",
    "relation_head.output.": "relation_head.W.1.0.",
    "relation_head.norm.": "relation_head.W.1.1.",
}
TRANSPOSED = ("skeleton_graph.edge_weights", "skeleton_graph.limb_matrix")  # theirs are limbs by keypoints
_SKELETONS = {17: "coco17", 14: "crowdpose14"}
_RESNETS = {6: "resnet50", 23: "resnet101", 36: "resnet152"}  # by the blocks of the third stage
_ENLARGING = "relation_head.W.0.0.weight"


def their_name(name: str, config: PoseConfig) -> str:
    """What a published checkpoint calls a weight of ours.

    Args:
        name: The weight, as our network's state dict calls it.
        config: What the network was built from.
    """
    relation = config.model.relation
    is_subsampled = isinstance(relation, DenseRelationConfig) and relation.subsample
    for ours, theirs in (_THEIR_NAMES | (_THEIR_SUBSAMPLED_NAMES if is_subsampled else {})).items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    raise AssertionError(f"{name} has no name in published checkpoints")


def released_config(shapes: Shapes, name: str, size_wh: tuple[int, int] | None = None) -> PoseConfig:
    """The config of a published checkpoint, read off its weights' shapes.

    Args:
        shapes: The shape of each weight, by the checkpoint's names.
        name: What to call the network.
        size_wh: Width and height of its crops. Only RSGNet's weights tell; others are taken for 192 by 256.

    Raises:
        WeightsError: It is no checkpoint of these networks, or one of another size.
    """
    keypoints = _shape(shapes, "final_layer.weight")[0]
    if keypoints not in _SKELETONS:
        raise WeightsError(f"it predicts {keypoints} keypoints; expected 17 (COCO) or 14 (CrowdPose)")
    skeleton = _SKELETONS[keypoints]
    if "type_features" in shapes:
        return _rsgnet(shapes, name, skeleton, size_wh)
    neck = NeckConfig()
    if "deconv_layers.0.weight" in shapes:
        backbone, neck = _resnet(shapes), NeckConfig(kind="deconvolutions")
    else:
        backbone = _hrnet(shapes)
    model = ModelConfig(backbone, skeleton, relation=None, skeleton_graph=False, neck=neck)
    return PoseConfig(name, CropConfig(size_wh or (192, 256)), model)


def _rsgnet(shapes: Shapes, name: str, skeleton: str, size_wh: tuple[int, int] | None) -> PoseConfig:
    height, width = _shape(shapes, "loc_features")[-2:]
    size = FEATURE_STRIDE * width, FEATURE_STRIDE * height
    if size_wh not in (None, size):
        raise WeightsError(f"its weights are for crops of {size[1]}x{size[0]} (height by width)")
    model = ModelConfig(
        backbone=_hrnet(shapes),
        skeleton=skeleton,
        relation=DenseRelationConfig(
            embedding_dim=_shape(shapes, "type_features", rank=2)[1], subsample=_ENLARGING in shapes
        ),
        skeleton_graph="kt_machine.matrix_limb" in shapes,
    )
    stride = FEATURE_STRIDE // 2 if "predict_convtranspose.0.weight" in shapes else FEATURE_STRIDE
    return PoseConfig(name, CropConfig(size, stride), model)


def _hrnet(shapes: Shapes) -> str:
    width = _shape(shapes, "stage2.0.branches.0.0.conv1.weight")[0]
    modules = _count(shapes, "stage2."), _count(shapes, "stage3."), _count(shapes, "stage4.")
    return hrnet_name(width, modules, _count(shapes, "stage2.0.branches.0."))


def _resnet(shapes: Shapes) -> str:
    blocks = _count(shapes, "layer3.")
    if blocks not in _RESNETS:
        raise WeightsError(f"a ResNet with {blocks} blocks in layer3; expected ResNet-50, 101 or 152")
    return _RESNETS[blocks]


def _count(shapes: Shapes, prefix: str) -> int:
    """How many children the module of that name has."""
    return len({name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)})


def _shape(shapes: Shapes, name: str, rank: int = 4) -> tuple[int, ...]:
    if len(shapes.get(name, ())) != rank:
        raise WeightsError(
            f"it has no weight {name!r} of {rank} dimensions: "
            "neither RSGNet as released nor HRNet or SimpleBaseline for pose"
        )
    return shapes[name]
