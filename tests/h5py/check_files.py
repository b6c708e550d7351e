"""Reads packed data and a checkpoint with h5py, and compares what it sees with
what the client says of them.

    check_files.py PACKED.h5 PACK_OUTPUT.json CHECKPOINT INSPECT_OUTPUT.json
"""

import json
import os
import sys

import h5py
import numpy as np


def expect(found, expected, what):
    if isinstance(found, np.ndarray) or isinstance(expected, np.ndarray):
        equal = np.array_equal(found, expected)
    else:
        equal = found == expected
    if not equal:
        sys.exit(f"{what}: {found!r}, expected {expected!r}")


def check_packed(path, output):
    with open(output) as file:
        said = json.load(file)
    train = said["train"]
    with h5py.File(path) as file:
        shape = (train["rows"], said["seq_len"] + 1)
        for name, dtype in [
            ("tokens", np.int32),
            ("loss_mask", np.uint8),
            ("document", np.int64),
        ]:
            expect(file[name].shape, shape, f"rows and tokens of {name}")
            expect(file[name].dtype, np.dtype(dtype), f"dtype of {name}")
        attributes = dict(file.attrs)
        expect(attributes["format"], b"caracal.packed", "format")
        expect(attributes["split"], b"train", "split")
        expect(len(attributes["tokenizer_fingerprint"]), 32, "fingerprint")
        for name, value in [
            ("format_version", 1),
            ("seq_len", said["seq_len"]),
            ("documents", train["documents"]),
            ("tokens", train["tokens"]),
            ("masked_tokens", train["masked_tokens"]),
            ("dropped_tail_tokens", train["dropped_tokens"]),
            ("replaced_sequences", said["replaced_sequences"]),
        ]:
            expect(int(attributes[name]), value, f"attribute {name}")
        tokens = file["tokens"][:]
        expect(tokens.size + train["dropped_tokens"], train["tokens"], "tokens")
        expect(int(tokens.max()), int(attributes["max_token_id"]), "largest id")
        expect(bool((tokens >= 0).all()), True, "ids from 0 on")
        expect(len(np.unique(tokens)) > 10, True, "different ids")
        mask = file["loss_mask"][:]
        expect(int((mask == 0).sum()), train["masked_tokens"], "masked tokens")
        document = file["document"][:].ravel()
        expect(document, np.sort(document), "numbers of documents")
        expect(int(document[0]), 0, "the first document")


def check_checkpoint(folder, output):
    with open(output) as file:
        said = {tensor["name"]: tensor for tensor in json.load(file)["tensors"]}
    with open(os.path.join(folder, "manifest.json")) as file:
        manifest = json.load(file)
    (rank_file,) = manifest["rank_files"]
    found = {}
    with h5py.File(os.path.join(folder, rank_file["name"])) as file:

        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item[()]

        file.visititems(visit)
        expect(sorted(found), sorted(said), "tensors")
        for name, values in found.items():
            expect(list(values.shape), said[name]["shape"], f"shape of {name}")
            if values.dtype == np.float32:
                finite = bool(np.isfinite(values).all())
                expect(finite, True, f"finite values of {name}")
        trained = [name for name in found if name.startswith("parameters/")]
        expect(bool(trained), True, "something was trained")
        for name in trained:
            moment = name.replace("parameters/", "optimizer/m/", 1)
            if moment in found:
                expect(found[moment].shape, found[name].shape, moment)
        state = dict(file["state"].attrs)
        expect(bool(state), True, "a state")
        for name, value in state.items():
            kind = isinstance(value, (bytes, np.bytes_, np.int64, np.float64))
            expect(kind, True, f"type {type(value)} of state {name}")


if len(sys.argv) != 5:
    sys.exit(__doc__)
check_packed(sys.argv[1], sys.argv[2])
check_checkpoint(sys.argv[3], sys.argv[4])
