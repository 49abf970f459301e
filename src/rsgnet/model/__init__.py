"""The network of the paper: backbone, Target-aware Relation Parser, Skeleton Graph Machine."""

from rsgnet.model.faster_rcnn import PersonRCNN
from rsgnet.model.person_detector import Detections, PersonDetector
from rsgnet.model.relation_parser import Candidates, TargetAwareRelationParser
from rsgnet.model.released.dense_relation import DenseRelation
from rsgnet.model.released.network import DenseRSGNet
from rsgnet.model.rsgnet import ModelOutput, RSGNet
from rsgnet.model.skeleton_graph import SkeletonGraphMachine

__all__ = [
    "Candidates",
    "DenseRSGNet",
    "DenseRelation",
    "Detections",
    "ModelOutput",
    "PersonDetector",
    "PersonRCNN",
    "RSGNet",
    "SkeletonGraphMachine",
    "TargetAwareRelationParser",
]
