"""A label store opens in xarray without help. test_labelstore writes the stores.

Arguments: the program retort, an empty folder."""
import os
import subprocess
import sys

import numpy as np
import xarray as xr

MPIRUN = os.environ.get("RETORT_MPIRUN", "mpirun --oversubscribe").split()
TEST_LABELSTORE = os.path.join(os.environ.get("RETORT_BUILD", "build"), "tests", "unit", "test_labelstore")


def check_shard(name, wanted):
    with xr.open_dataset(name) as shard:
        assert shard.attrs["Conventions"] == "CF-1.10" and shard.attrs["shard"] == 10, shard.attrs
        assert shard.logits.attrs["units"] == "1" and shard.logits.attrs["long_name"], shard.logits.attrs
        assert (shard.sample_id.values == [100, 101, 102]).all(), shard.sample_id.values
        assert np.array_equal(shard.logits.values, wanted.astype("float32"))


def check_store(pattern, wanted, dimensions):
    with xr.open_mfdataset(pattern) as store:
        assert store.logits.dtype == "float32" and store.logits.dims == dimensions, store
        assert (store.sample_id.values == np.arange(103)).all(), store.sample_id
        assert np.array_equal(store.logits.values, wanted.astype("float32"))


os.chdir(sys.argv[2])
subprocess.run(MPIRUN + ["-n", "3", TEST_LABELSTORE], check=True)
subprocess.run([TEST_LABELSTORE, "stores"], check=True)
sample, view, klass = np.arange(103), np.arange(3), np.arange(5)
logits = sample[:, None, None] + view[None, :, None] / 4 - klass[None, None, :] / 16
check_shard("stores/plain/labels/shard-000010.nc", logits[100:, 0])
check_shard("stores/views/labels/shard-000010.nc", logits[100:])
try:
    import dask  # noqa: F401, open_mfdataset needs it
except ImportError:
    print("labelstore: python3-dask is not installed, open_mfdataset is not tested")
    sys.exit(77)
check_store("stores/plain/labels/*.nc", logits[:, 0], ("sample", "class"))
check_store("stores/views/labels/*.nc", logits, ("sample", "view", "class"))
print("labelstore: ok")
