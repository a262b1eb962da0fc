"""libretort as Python sees it, for tests of what no program shows."""

import ctypes
import os


def load():
    return ctypes.CDLL(os.path.join(os.environ["RETORT_BUILD"], "libretort.so"), mode=ctypes.RTLD_GLOBAL)
