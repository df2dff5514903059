"""What all tests share: property tests draw the same examples in every run, and have no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("sdbnn_lite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("sdbnn_lite")
