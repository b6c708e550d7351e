"""Makes files as h5py writes them: foreign.h5 (the oldest format, a bit of
everything), rows.h5 (a data set, the oldest format), virtual.h5.

Made with h5py 3.16.0, HDF5 2.0.0, numpy 2.4.6:
    python3 core/io/hdf5/testdata/make_foreign.py
"""

import os

import h5py
import numpy as np

folder = os.path.dirname(os.path.abspath(__file__))

with h5py.File(
    os.path.join(folder, "foreign.h5"), "w", libver=("earliest", "v108")
) as f:
    f.attrs["variable"] = "grüße"
    f.attrs["fixed"] = np.array("grüße".encode(), h5py.string_dtype(length=7))
    f.attrs["ascii"] = np.bytes_(b"ascii")
    f.attrs["int32"] = np.int32(-7)
    f.attrs["uint8"] = np.uint8(200)
    f.attrs["float32"] = np.float32(0.5)
    f.attrs["array"] = np.arange(3)
    f["tokens"] = np.arange(12, dtype=np.int32).reshape(3, 4)
    f["big_endian"] = np.arange(4, dtype=">f4") / 2
    f["half"] = np.arange(4, dtype=np.float16)
    f["flags"] = np.array([True, False])
    f["int16"] = np.arange(3, dtype=np.int16)
    f["scalar"] = np.float64(1.25)
    f["null"] = h5py.Empty("f4")
    f.create_dataset("strings", data=["one", "zwölf", ""])
    f.create_dataset("fixed_strings", data=np.array([b"ab", b"cdef"]))
    f.create_dataset(
        "packed",
        data=np.arange(2000, dtype=np.int64).reshape(1000, 2),
        chunks=(100, 2),
        maxshape=(None, 2),
        compression="gzip",
        shuffle=True,
        fletcher32=True,
    )
    f["group/inner"] = np.arange(2, dtype=np.uint8)
    f["link"] = h5py.SoftLink("/group/inner")
    f["dangling"] = h5py.SoftLink("/nowhere")
    f["outside_link"] = h5py.ExternalLink("other.h5", "/data")
    f.create_dataset(
        "outside_data",
        shape=(4,),
        dtype="u1",
        external=[("other.bin", 0, 4)],
    )

with h5py.File(
    os.path.join(folder, "virtual.h5"), "w", libver="v110"
) as f:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=(4,))
    f.create_virtual_dataset("virtual", layout)

with h5py.File(os.path.join(folder, "rows.h5"), "w") as f:
    f["tokens"] = np.arange(3 * 9, dtype=np.int32).reshape(3, 9)
    f.create_dataset(
        "loss_mask", data=np.ones((3, 9), np.uint8), chunks=(1, 9)
    )
    f["group/document"] = np.zeros((3, 9), np.int64)
    f.attrs["number"] = 8
    f.attrs["text"] = np.bytes_(b"some text")
