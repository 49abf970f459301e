"""How a network is trained: losses, changes to training crops, optimizer and schedule, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict


class Strict:
    """Settings that nobody knows are errors, not silence."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class LossConfig(Strict):
    """The weights of Eq. (8) and what the labels look like.

    Attributes:
        target: alpha, of the target heatmaps.
        candidates: beta, of everyone's heatmaps.
        relation: theta, of the relation map.
        relation_error: "squared" as Eq. (6) has it, or "cross_entropy", whose slope does not vanish where a sigmoid is
            wrong but sure.
        limbs: gamma, of the limb heatmaps.
        peak_emphasis: By how much more an error counts at a keypoint than where there is none; 0 is the plain mean
            squared error of Eq. (5).
        location: Of the divergence between where heatmaps say a keypoint is and where it is; 0 leaves it out.
        distillation: Of the errors to the heatmaps of a teacher (`train --teacher`): the square, and `location` times
            theirs.
        sharpness: For `location`, heatmaps are read as probabilities by softmax(sharpness * heatmap).
        sigma: Standard deviation of a keypoint's Gaussian, in heatmap pixels.
        limb_width: Full width of a limb's line, in heatmap pixels.
        match_sigmas: A candidate is the target's if it lies within this many sigmas of the target's keypoint.
        heatmap_scale: Factor of both heatmap losses; the released code has 0.5.
        other_people_peak: Height of other people's peaks in the candidate heatmaps' labels; the released code has 0.5
            on CrowdPose and, by mistake, 0 on COCO.
        labels: "paper", or "released" for what the released code makes of limbs and of keypoints that nobody has
            labelled: see `data/labels.py`.
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
    """Random changes to training crops (Section "Training" and HRNet's recipe).

    Attributes:
        rotation_deg: Spread of the rotation; applied to 6 of 10 crops, clipped at twice this.
        scale: Spread of the scale about 1, clipped at this.
        shift: Spread of the crop's position as a share of the region, uniform.
        flip: Probability of mirroring.
        half_body: Probability that a person with more than 8 labelled keypoints is cropped to one half of the body.
        colour: Spread of brightness, contrast and saturation about 1, uniform.
        paste: Probability that other people, cut out of the training data by their masks, are pasted before and behind
            a crop's person, or into a detector's image.
        mosaic: Probability that a detector's image is made of four.
    """

    rotation_deg: float = 45.0
    scale: float = 0.35
    shift: float = 0.0
    flip: float = 0.5
    half_body: float = 0.3
    colour: float = 0.0
    paste: float = 0.0
    mosaic: float = 0.0


@dataclass(frozen=True)
class TrainingConfig(Strict):
    """One training run.

    Attributes:
        epochs: How many epochs.
        epoch_samples: Crops in one epoch; 0 means every labelled person once.
        batch_size: Crops in one step and process.
        optimizer: "adam" (the paper), "adamw", "sgd" (momentum 0.9) or "muon" (matrices by Muon, the rest by AdamW).
        learning_rate: Its highest value.
        weight_decay: For weights of two or more dimensions.
        schedule: "step" (times 0.1 at each of `milestones`) or "cosine" (to zero).
        milestones: Epochs at which "step" decays.
        warmup_steps: Steps over which the learning rate rises linearly from zero.
        ema_decay: Decay of the averaged weights that are validated and saved; 0 averages nothing.
        precision: Lightning's precision, "32-true" or "bf16-mixed".
        max_people: People labelled in one crop, the box's own included; nearest first.
        min_keypoints: People with fewer labelled keypoints are not trained on.
        pretrained: Whether the backbone starts from timm's ImageNet weights (needs a network once).
        norm_statistics: Whether batch normalisations use the statistics of each "batch", or keep the "running" ones
            that they started with, as suits fine-tuning.
        frozen: Modules of the backbone's encoder that keep their weights and statistics, such as `layer1`.
        seed: Seeds initialisation, order and augmentation.
    """

    epochs: int = 210
    epoch_samples: int = 0
    batch_size: int = 32
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    learning_rate: float = 1e-3
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
    seed: int = 0
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
