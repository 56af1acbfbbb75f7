"""MNIST's own files as arrays: the IDX format (http://yann.lecun.com/exdb/mnist/), in the folders that
torchvision.datasets.MNIST uses, so that data made for it is found here. Needs numpy only."""

import gzip
import struct
from pathlib import Path

import numpy as np

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
UNSIGNED_BYTE = 0x08


class DataError(Exception):
    """A data file is missing or is not what its name says."""


def decode_idx(content):
    """The bytes of an IDX file of unsigned bytes → a uint8 array of the shape that its header tells.

    Raises ValueError for another magic number or a length that does not fit the header.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise ValueError("no IDX file of unsigned bytes: it starts with {!r}".format(content[:4]))
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise ValueError("ends inside its header, after {} bytes".format(len(content)))
    shape = struct.unpack(">{}I".format(content[3]), content[4:header])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - header != expected:
        raise ValueError("holds {} bytes of data, its header says {}".format(len(content) - header, expected))
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def locate(data_dir, names=TRAIN + TEST):
    """Where the named files are: {name: path}, plain or with `.gz`.

    Raises DataError that names all the missing ones.
    """
    raw = Path(data_dir) / "MNIST" / "raw"
    found = {}
    for name in names:
        choices = [path for path in (raw / name, raw / (name + ".gz")) if path.is_file()]
        if choices:
            found[name] = choices[0]
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            "no {} (nor .gz) in {!r}: prepare the data, or name its folder with --data-dir".format(
                ", ".join(missing), str(raw)
            )
        )
    return found


def read(path):
    """One IDX file, plain or gzipped, as an array. Raises DataError when it is damaged."""
    try:
        content = path.read_bytes()
        return decode_idx(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (ValueError, EOFError, OSError) as problem:
        raise DataError("cannot read {!r}: {}".format(str(path), problem)) from problem


def load(data_dir, names):
    """Images (n, 28, 28) and labels (n,) of one of TRAIN and TEST, both uint8. Raises DataError."""
    paths = locate(data_dir, names)
    images, labels = (read(paths[name]) for name in names)
    if images.shape != (len(labels), 28, 28) or labels.ndim != 1 or not len(labels):
        raise DataError(
            "images of shape {} and labels of shape {} in {!r} are not MNIST's".format(
                images.shape, labels.shape, str(paths[names[0]].parent)
            )
        )
    return images, labels


def training_shard(order, rank, size):
    """This rank's part of an epoch's order (one-dimensional array of image numbers, the same on all ranks).

    All parts have the same length, since a rank with one step more would wait for ever for the others; as
    torch's DistributedSampler does, the first images are used twice when the number does not divide.
    """
    each = -(-len(order) // size)
    padded = np.resize(order, each * size)  # repeats from the start
    return padded[rank::size]
