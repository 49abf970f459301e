"""The configuration of training: losses, augmentation, optimizer and schedule, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict


class Strict:
    """Base class of configs. Unknown settings in a file are errors."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class LossConfig(Strict):
    """The weights of the losses in Eq. (8), and the labels.

    Attributes:
        target: alpha, the weight of the target heatmaps' loss.
        candidates: beta, the weight of the candidate heatmaps' loss.
        relation: theta, the weight of the relation map's loss.
        relation_error: "squared" as in Eq. (6), or "cross_entropy", whose gradient does not vanish where a sigmoid is
            wrong with confidence.
        limbs: gamma, the weight of the limb heatmaps' loss.
        peak_emphasis: Additional weight of an error at a label of 1; 0 is the mean squared error of Eq. (5).
        location: Weight of the location loss, the divergence between heatmaps and labels as distributions; 0 leaves it
            out.
        distillation: Weight of the loss against a teacher's heatmaps (`train --teacher`): the squared error plus
            `location` times the divergence.
        sharpness: In the location loss, heatmaps become distributions by softmax(sharpness * heatmap).
        sigma: Standard deviation of a keypoint's Gaussian, in heatmap pixels.
        limb_width: Full width of a limb, in heatmap pixels.
        match_sigmas: A candidate is the target's if it lies within this many sigmas of the target's keypoint.
        heatmap_scale: Factor of target and candidate loss; 0.5 in the released code.
        other_people_peak: Height of other people's peaks in the labels of the candidate heatmaps. The released code has
            0.5 on CrowdPose and, by mistake, 0 on COCO.
        labels: "paper", or "released" for the limbs and weights of the released code: see `training/labels.py`.
    """

    target: float = 1.0
    candidates: float = 1.0
    relation: float = 1.0
    relation_error: Literal["squared", "cross_entropy"] = "squared"
    limbs: float = 0.01
    peak_emphasis: float = 0.0
    location: float = 0.0
    distillation: float = 0.0
    sharpness: float = 10.0
    sigma: float = 2.0
    limb_width: float = 2.0
    match_sigmas: float = 1.5
    heatmap_scale: float = 1.0
    other_people_peak: float = 1.0
    labels: Literal["paper", "released"] = "paper"


@dataclass(frozen=True)
class AugmentConfig(Strict):
    """Random changes of training crops and images (the paper's section "Training", and HRNet's training).

    Attributes:
        rotation_deg: Standard deviation of the rotation in degrees, clipped at twice this. 60 % of crops are rotated.
        scale: Standard deviation of the scale around 1, clipped at this. For the detector: range of the scale's
            logarithm, uniform.
        shift: Range of the shift as a share of the region's size, uniform.
        flip: Probability of mirroring.
        half_body: Probability that a person with more than 8 labelled keypoints is cropped to one half of the body.
        colour: Range of brightness, contrast and saturation around 1, uniform.
        paste: Probability that other people, cut out of the training data by their masks, are pasted before and behind
            the target, or into a detector's image.
        mosaic: Probability that a detector's image is a mosaic of four images.
    """

    rotation_deg: float = 45.0
    scale: float = 0.35
    shift: float = 0.0
    flip: float = 0.5
    half_body: float = 0.3
    colour: float = 0.0
    paste: float = 0.0
    mosaic: float = 0.0


Oracle = Literal["none", "no_relation", "relation", "candidates", "both"]


@dataclass(frozen=True)
class TrainingConfig(Strict):
    """One training run.

    Attributes:
        epochs: Number of epochs.
        epoch_samples: Samples (crops, or a detector's images) in an epoch; 0 for the number of samples in the data.
        batch_size: Samples in a step of one process.
        optimizer: "adam" (the paper), "adamw" or "sgd" (momentum 0.9).
        learning_rate: Highest learning rate.
        head_rate: Factor of the learning rate for all weights outside of the backbone. New heads on a trained backbone,
            such as those of another skeleton, begin near zero and have further to go.
        weight_decay: Decay of weights of two or more dimensions.
        schedule: "step" (times 0.1 at each of `milestones`) or "cosine" (to zero).
        milestones: Epochs at which "step" reduces the learning rate.
        warmup_steps: Steps over which the learning rate rises linearly from zero.
        ema_decay: Decay of the moving average of the weights, which is validated and saved; 0 for no average.
        precision: Lightning's precision, "32-true" or "bf16-mixed".
        max_people: Highest number of people labelled in a crop: the target and those nearest to it.
        min_keypoints: People with fewer labelled keypoints are not trained on.
        pretrained: Whether the backbone starts from ImageNet weights, which are downloaded on first use.
        norm_statistics: Whether batch normalisations use the statistics of each "batch", or keep the "running" ones
            that they started with, for fine-tuning.
        frozen: Modules of the backbone's encoder whose weights and statistics are frozen, such as `layer1`.
        oracle: What of the network's own is replaced by the truth, to measure its worth: the "relation" of its
            candidates, the "candidates", or "both"; "no_relation" puts 0 in the relation's place.
        seed: Seed of initialisation, order and augmentation.
        loss: Losses and labels.
        augment: Augmentation.
    """

    epochs: int = 210
    epoch_samples: int = 0
    batch_size: int = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    head_rate: float = 1.0
    weight_decay: float = 0.0
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[int, ...] = (170, 200)
    warmup_steps: int = 0
    ema_decay: float = 0.0
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    max_people: int = 8
    min_keypoints: int = 1
    pretrained: bool = True
    norm_statistics: Literal["batch", "running"] = "batch"
    frozen: tuple[str, ...] = ()
    oracle: Oracle = "none"
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
