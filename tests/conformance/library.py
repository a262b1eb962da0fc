"""libretort as Python sees it, for tests of what no program shows."""

import ctypes
import os
import sys

import common


def load():
    if os.environ.get("RETORT_BUILD_TYPE") == "Sanitize":
        print("skipped: Python cannot load a library with sanitizers; the unit tests run with them")
        sys.exit(common.SKIPPED)
    return ctypes.CDLL(os.path.join(os.environ["RETORT_BUILD"], "libretort.so"), mode=ctypes.RTLD_GLOBAL)
