"""The whole network: a crop in, everyone's heatmaps, the target's heatmaps and limbs, and the relation map out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.config import CandidateRelationConfig, ConvolutionsConfig, ModelConfig
from rsgnet.model.backbone import Backbone
from rsgnet.model.layers import convolution, heatmap_head, with_relu, zero_init_last_norm
from rsgnet.model.relation_parser import Candidates, TargetAwareRelationParser
from rsgnet.model.released.dense_relation import DenseRelation
from rsgnet.model.skeleton_graph import SkeletonGraphMachine
from rsgnet.skeletons import get_skeleton


@dataclass(frozen=True)
class ModelOutput:
    """What the network predicts; what a configuration switches off is None.

    Attributes:
        target_heatmaps: (B, K, h, w) H_t, the box's own person.
        candidate_heatmaps: (B, K, h, w) H_m, everyone in the crop.
        limb_logits: (B, L, h, w) the target's limbs before the sigmoid.
        relation: (B, Np, Np) A, the probability that two candidates are both the target's.
        candidates: The peaks of everyone's heatmaps, which A relates.
        dense_relation: Of the released form: A between all pixels of the stride-4 map, as its factors.
    """

    target_heatmaps: Float[Tensor, "batch keypoints height width"]
    candidate_heatmaps: Float[Tensor, "batch keypoints height width"] | None = None
    limb_logits: Float[Tensor, "batch limbs height width"] | None = None
    relation: Float[Tensor, "batch candidates candidates"] | None = None
    candidates: Candidates | None = None
    dense_relation: DenseRelation | None = None

    @property
    def candidate_relation(self) -> Float[Tensor, "batch candidates candidates"] | None:
        """(B, Np, Np) A between the candidates, 0 for padding; None without a relation."""
        if self.dense_relation is None or self.candidates is None:
            return self.relation
        height, width = self.target_heatmaps.shape[2:]
        return self.dense_relation.between(self.candidates, (height, width))

    @property
    def limb_heatmaps(self) -> Float[Tensor, "batch limbs height width"] | None:
        """(B, L, h, w) H_l, in 0..1."""
        return None if self.limb_logits is None else self.limb_logits.sigmoid()


class RSGNet(nn.Module):
    """Relation based Skeleton Graph Network (Fig. 2), with both modules switchable.

    Without a relation and a skeleton graph it is a plain heatmap network such as HRNet.

    Args:
        config: The network's parts and sizes.
        stride: Crop pixels per heatmap pixel.
        pretrained: Whether the backbone starts from ImageNet weights.
    """

    def __init__(self, config: ModelConfig, stride: int = 4, pretrained: bool = False) -> None:
        super().__init__()
        skeleton, relation = get_skeleton(config.skeleton), config.relation
        self.backbone = Backbone(config.backbone, stride, config.neck, pretrained)
        width, keypoints = self.backbone.width, len(skeleton)
        self.candidate_head: nn.Conv2d | None = None
        self.relation_parser: TargetAwareRelationParser | None = None
        self.fuse: nn.Sequential | None = None
        if isinstance(relation, CandidateRelationConfig):
            self.candidate_head = heatmap_head(width, keypoints)
            self.relation_parser = TargetAwareRelationParser(width, keypoints, relation, config.fusion != "none")
            if config.fusion != "none":
                self.fuse = convolution(2 * width + keypoints * relation.evidence, width, 3)
            else:
                width = 3 * relation.clue_dim  # target heatmaps and limbs are read from E_t
        elif isinstance(relation, ConvolutionsConfig):
            *before, last = (convolution(width, width, 3) for _ in range(relation.count))
            self.fuse = nn.Sequential(*map(with_relu, before), last)
        self.is_residual = config.fusion == "residual"
        if self.is_residual and self.fuse is not None:
            zero_init_last_norm(self.fuse)
        self.target_head = heatmap_head(width, keypoints)
        self.skeleton_graph = SkeletonGraphMachine(skeleton, width) if config.skeleton_graph else None

    def forward(self, crops: Float[Tensor, "batch 3 crop_height crop_width"]) -> ModelOutput:
        """Predicts the keypoints of the person whose box each crop was cut for.

        Args:
            crops: (B, 3, H, W) RGB, normalised by the configuration's mean and standard deviation.

        Returns:
            Heatmaps at H / stride x W / stride, and what the modules add.
        """
        features = self.backbone(crops)
        candidate_heatmaps = relation = candidates = None
        if self.candidate_head is not None and self.relation_parser is not None:
            seen = features if self.relation_parser.gradient_to_features else features.detach()
            candidate_heatmaps = self.candidate_head(seen)
            parsed = self.relation_parser(seen, candidate_heatmaps)
            relation, candidates = parsed.relation, parsed.candidates
            if self.fuse is None:
                features = parsed.encoding
            else:
                evidence = [] if parsed.evidence is None else [parsed.evidence]
                joined = torch.cat([features, parsed.encoding, *evidence], dim=1)
                features = self._joined(features, self.fuse(joined))
        elif self.fuse is not None:
            features = self._joined(features, self.fuse(features))
        limb_logits = None
        if self.skeleton_graph is not None:
            limb_logits = self.skeleton_graph(features, self.target_head.weight[:, :, 0, 0])
        return ModelOutput(self.target_head(features), candidate_heatmaps, limb_logits, relation, candidates)

    def _joined(self, features: Tensor, fused: Tensor) -> Tensor:
        return F.relu(features + fused if self.is_residual else fused)
