"""The Skeleton Graph Machine: limb estimators made out of the keypoint estimator's weights, Eq. (3) and (4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rsgnet.skeletons import Skeleton

LEAKY_SLOPE = 0.02


class SkeletonGraphMachine(nn.Module):
    """Predicts limbs with weights derived from those that predict keypoints.

    A limb's weights are made of the sum of its two keypoints' weights (W_s = K_g^T W_k), so the limb loss shapes the
    keypoint estimator: both must agree.

    Args:
        skeleton: Its limbs are predicted.
        width: D, the channels of the features that keypoints are predicted from.
        weighted: Whether edges of the graph have weights of their own and limbs have no bias, as in the released code.
            The graph then belongs to the weights: one release has another skeleton's.
    """

    limb_matrix: Tensor

    def __init__(self, skeleton: Skeleton, width: int, weighted: bool = False) -> None:
        super().__init__()
        self.register_buffer("limb_matrix", torch.tensor(skeleton.limb_matrix), persistent=weighted)
        self.edge_weights = nn.Parameter(torch.ones_like(self.limb_matrix)) if weighted else None
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        # Limbs cover little: they start unlikely.
        self.bias = None if weighted else nn.Parameter(torch.full((len(skeleton.limbs),), -2.0))

    def forward(
        self,
        features: Float[Tensor, "batch width height width_px"],
        keypoint_weights: Float[Tensor, "keypoints width"],
    ) -> Float[Tensor, "batch limbs height width_px"]:
        """Limb logits.

        Args:
            features: (B, D, H, W) what the target heatmaps are predicted from.
            keypoint_weights: (K, D) W_k, the weights that predict them.

        Returns:
            (B, L, H, W) logits; their sigmoid is the limb heatmap H_l.
        """
        graph = self.limb_matrix if self.edge_weights is None else self.limb_matrix * self.edge_weights
        gathered = graph.T @ keypoint_weights
        limb_weights = self.second(F.leaky_relu(self.first(gathered), LEAKY_SLOPE))
        return F.conv2d(features, limb_weights[:, :, None, None], self.bias)
