"""RSGNet as its authors released it: the heads that the published weights fit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.config import CropConfig, DenseRelationConfig, ModelConfig
from rsgnet.errors import RSGNetError
from rsgnet.model.backbone import Backbone
from rsgnet.model.layers import convolution, deconv_block, heatmap_head, with_relu
from rsgnet.model.relation_parser import find_candidates
from rsgnet.model.released.dense_relation import DenseClues, DenseRelationHead
from rsgnet.model.rsgnet import ModelOutput
from rsgnet.model.skeleton_graph import SkeletonGraphMachine
from rsgnet.skeletons import get_skeleton

FEATURE_STRIDE = 4


class DenseRSGNet(nn.Module):
    """The network with a dense relation.

    Limbs are read from the clues, before the relation; target heatmaps from clues and what the relation gathers. For
    heatmaps at stride 2 the target's features are doubled by a transposed convolution, everything else bilinearly.

    Args:
        config: The network's parts and sizes.
        crop: The size of its input, which the geometry clue is laid out for, and the stride of its heatmaps, 2 or 4.
        pretrained: Whether the backbone starts from ImageNet weights.

    Raises:
        RSGNetError: The stride is another.
    """

    def __init__(self, config: ModelConfig, crop: CropConfig, pretrained: bool = False) -> None:
        super().__init__()
        relation = config.relation
        if not isinstance(relation, DenseRelationConfig):
            raise RSGNetError(f"a released network has a dense relation, not {config.relation_kind}")
        self.peaks, self.threshold = relation.peaks_per_keypoint, relation.candidate_threshold
        if crop.stride not in (2, FEATURE_STRIDE):
            raise RSGNetError(f"relation 'dense' gives heatmaps at stride 2 or {FEATURE_STRIDE}, not {crop.stride}")
        self.growth = FEATURE_STRIDE // crop.stride
        skeleton = get_skeleton(config.skeleton)
        self.backbone = Backbone(config.backbone, FEATURE_STRIDE, config.neck, pretrained)
        width, keypoints = self.backbone.width, len(skeleton)
        shape_hw = crop.size_wh[1] // FEATURE_STRIDE, crop.size_wh[0] // FEATURE_STRIDE
        self.candidate_head = heatmap_head(width, keypoints)
        self.clues = DenseClues(width, keypoints, relation.embedding_dim, shape_hw)
        self.relation_head = DenseRelationHead(width, relation.subsample)
        self.fuse = with_relu(convolution(2 * width, width, 3))
        self.grow = deconv_block(width, width) if self.growth == 2 else nn.Identity()
        self.refine = with_relu(convolution(width, width, 3))
        self.target_head = heatmap_head(width, keypoints)
        self.limb_features: nn.Sequential | None = None
        self.skeleton_graph: SkeletonGraphMachine | None = None
        if config.skeleton_graph:
            self.limb_features = with_relu(convolution(width, width, 3))
            self.skeleton_graph = SkeletonGraphMachine(skeleton, width, weighted=True)

    def forward(self, crops: Float[Tensor, "batch 3 crop_height crop_width"]) -> ModelOutput:
        """Predicts the keypoints of the person whose box each crop was cut for.

        Args:
            crops: (B, 3, H, W) RGB, normalised, of the size that the network was built for.

        Returns:
            Heatmaps at H / stride x W / stride; the relation as its factors.
        """
        features = self.backbone(crops)
        candidate_heatmaps = self.candidate_head(features)
        enlarged = self._interpolate(candidate_heatmaps)
        clues = self.clues(features, candidate_heatmaps)
        gathered, relation = self.relation_head(clues)
        target = self.refine(self.grow(self.fuse(torch.cat([gathered.to(clues.dtype), clues], dim=1))))
        limb_logits = None
        if self.limb_features is not None and self.skeleton_graph is not None:
            limbs = self.skeleton_graph(self.limb_features(clues), self.target_head.weight[:, :, 0, 0])
            limb_logits = self._interpolate(limbs)
        return ModelOutput(
            target_heatmaps=self.target_head(target),
            candidate_heatmaps=enlarged,
            limb_logits=limb_logits,
            candidates=find_candidates(enlarged, self.peaks, self.threshold),
            dense_relation=relation,
        )

    def _interpolate(self, maps: Tensor) -> Tensor:
        if self.growth == 1:
            return maps
        return F.interpolate(maps, scale_factor=self.growth, mode="bilinear", align_corners=True)
