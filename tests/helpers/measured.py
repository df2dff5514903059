"""What is expensive to measure and the same for every test: measured once a process."""

from functools import cache

from sdbnn_lite.analysis import claims

claims_once = cache(claims.measure)  # the paper's five claims; to be read only
