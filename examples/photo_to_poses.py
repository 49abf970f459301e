"""Find everyone's pose in a photo and draw an overlay: `python examples/photo_to_poses.py PHOTO OVERLAY`."""

import sys

from rsgnet import PoseEstimator

poses = PoseEstimator()(sys.argv[1])
poses.draw().save(sys.argv[2])
for box, score, keypoints in zip(poses.boxes_xyxy, poses.pose_scores, poses.keypoints_xy, strict=True):
    nose = keypoints[poses.skeleton.keypoints.index("nose")]
    print(f"person at {box.round()} scores {score:.2f}, nose at {nose.round(1)}")
