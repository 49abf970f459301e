"""Keypoints of published data sets: their names in the published order, OKS sigmas, edges and mirror pairs.

Points of the same place have the same name in all of them, so that `Skeleton.indices_in` maps one to another: the top
of the head is `head`, the upper neck `neck`.

Sources: Halpe (26 of its points, with feet), MPII Human Pose and PoseTrack (sigmas adapted from COCO's), AI Challenger,
and COCO-WholeBody, with the sigmas of each data set's own evaluation.
"""

from __future__ import annotations

from itertools import pairwise

COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
)  # fmt: skip

HALPE26_KEYPOINTS = (
    *COCO_KEYPOINTS, "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe",
    "left_heel", "right_heel",
)  # fmt: skip
HALPE26_SIGMAS = (*COCO_SIGMAS, 0.026, 0.026, 0.066, *[0.079] * 6)
HALPE26_EDGES = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("left_hip", "hip"), ("right_ankle", "right_knee"),
    ("right_knee", "right_hip"), ("right_hip", "hip"), ("head", "neck"), ("neck", "hip"), ("neck", "left_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("neck", "right_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("left_eye", "right_eye"), ("nose", "left_eye"),
    ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"), ("left_ear", "left_shoulder"),
    ("right_ear", "right_shoulder"), ("left_ankle", "left_big_toe"), ("left_ankle", "left_small_toe"),
    ("left_ankle", "left_heel"), ("right_ankle", "right_big_toe"), ("right_ankle", "right_small_toe"),
    ("right_ankle", "right_heel"),
)  # fmt: skip

MPII16_KEYPOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "neck", "head",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
MPII16_SIGMAS = (
    0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026, 0.062, 0.072, 0.179, 0.179, 0.072, 0.062,
)  # fmt: skip
MPII16_EDGES = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("right_hip", "pelvis"), ("pelvis", "left_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("pelvis", "thorax"), ("thorax", "neck"), ("neck", "head"),
    ("neck", "right_shoulder"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
)  # fmt: skip

POSETRACK17_KEYPOINTS = ("nose", "neck", "head", *COCO_KEYPOINTS[3:])
POSETRACK17_SIGMAS = (COCO_SIGMAS[0], 0.079, 0.079, *COCO_SIGMAS[3:])
POSETRACK17_EDGES = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_hip", "right_hip"), ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("nose", "neck"), ("nose", "head"),
    ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("left_ear", "nose"), ("right_ear", "nose"),
)  # fmt: skip

AIC14_KEYPOINTS = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head", "neck",
)  # fmt: skip
AIC14_SIGMAS = (
    0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941, 0.01981803,
    0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
)  # fmt: skip
AIC14_EDGES = (
    ("right_wrist", "right_elbow"), ("right_elbow", "right_shoulder"), ("right_shoulder", "neck"),
    ("neck", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("right_hip", "left_hip"), ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"), ("head", "neck"), ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"),
)  # fmt: skip

_FINGERS = tuple(
    f"{finger}{number}"
    for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
    for number in (1, 2, 3, 4)
)
WHOLEBODY133_KEYPOINTS = (
    *COCO_KEYPOINTS,
    *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
    *(f"face_{number}" for number in range(68)),
    *(f"{side}_{part}" for side in ("left", "right") for part in ("hand_root", *_FINGERS)),
)
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021,
    0.032, 0.02, 0.019, 0.022, 0.031,
)  # fmt: skip
WHOLEBODY133_SIGMAS = (
    *COCO_SIGMAS, 0.068, 0.066, 0.066, 0.092, 0.094, 0.094,
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
    0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
    0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
    0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
    0.008, 0.008, 0.01, 0.008, *_HAND_SIGMAS, *_HAND_SIGMAS,
)  # fmt: skip
# The outline of the face, the brows, the nose and below it, the eyes, the outer and the inner lips.
_FACE_LINES = (
    range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36),
    (*range(36, 42), 36), (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60),
)  # fmt: skip
WHOLEBODY133_EDGES = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_hip", "right_hip"), ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("left_eye", "right_eye"), ("nose", "left_eye"),
    ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"), ("left_ear", "left_shoulder"),
    ("right_ear", "right_shoulder"),
    ("left_wrist", "left_hand_root"), ("right_wrist", "right_hand_root"),
    *((f"{side}_ankle", f"{side}_{part}") for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
    *(
        (f"{side}_wrist" if finger.endswith("1") else f"{side}_{before}", f"{side}_{finger}")
        for side in ("left", "right")
        for before, finger in zip(("", *_FINGERS), _FINGERS, strict=False)
    ),
    *((f"face_{one}", f"face_{other}") for line in _FACE_LINES for one, other in pairwise(line)),
)  # fmt: skip
# In the order of the lines above; points in the middle are their own mirror image.
WHOLEBODY133_FACE_FLIPS = tuple(
    (f"face_{left}", f"face_{right}")
    for left, right in (
        *((number, 16 - number) for number in range(8)), *((number, 43 - number) for number in range(17, 22)),
        (31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
        (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
    )
)  # fmt: skip
