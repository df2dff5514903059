"""Image sets by name, as normalised and augmented batches."""

from .sets import DATASETS, check_workers, described, imagenet_tree, load

__all__ = ["DATASETS", "check_workers", "described", "imagenet_tree", "load"]
