"""Image sets by name, as normalised and augmented batches."""

from .augment import Augmentation
from .sets import DATASETS, check_workers, described, imagenet_tree, load

__all__ = ["DATASETS", "Augmentation", "check_workers", "described", "imagenet_tree", "load"]
