"""MNIST's stand-in for prepare_data.py: the handwritten digits inside scikit-learn, as MNIST's four files."""

import numpy as np

TRAIN_IMAGES = 1500  # of 1,797; the others are the test set
SEED = 42


def encode_idx(array):
    """A uint8 array as an IDX file (http://yann.lecun.com/exdb/mnist/, "the IDX file format")."""
    header = bytes([0, 0, 0x08, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + np.ascontiguousarray(array, dtype=np.uint8).tobytes()


def interpolation(source, target):
    """The (target, source) matrix that enlarges one axis linearly, pixel centres on pixel centres."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    left = np.minimum(position.astype(int), source - 2)
    matrix = np.zeros((target, source))
    matrix[np.arange(target), left] = 1 - (position - left)
    matrix[np.arange(target), left + 1] = position - left
    return matrix


def enlarge(digits):
    """(n, 8, 8) with values 0 to 16 → (n, 28, 28) uint8, laid out as MNIST: 20x20 inside the frame, with the
    centre of mass in its middle."""
    scale = interpolation(8, 20)
    large = np.rint(scale @ digits @ scale.T * (255 / 16))
    frames = np.zeros((len(digits), 28, 28), dtype=np.uint8)
    for frame, digit in zip(frames, large):  # noqa: B905 (Python 3.8 has no strict)
        frame[4:24, 4:24] = digit
        rows, columns = np.indices(digit.shape)
        # Never further than the frame's four pixels, so that nothing is cut off.
        shift = [int(np.clip(np.rint(9.5 - (axis * digit).sum() / digit.sum()), -4, 4)) for axis in (rows, columns)]
        frame[:] = np.roll(frame, shift, axis=(0, 1))
    return frames


def files():
    """{file name: content}, the same each time. Raises ImportError without scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.RandomState(SEED).permutation(len(digits.target))
    images, labels = enlarge(digits.images[order]), digits.target[order].astype(np.uint8)
    return {
        "train-images-idx3-ubyte": encode_idx(images[:TRAIN_IMAGES]),
        "train-labels-idx1-ubyte": encode_idx(labels[:TRAIN_IMAGES]),
        "t10k-images-idx3-ubyte": encode_idx(images[TRAIN_IMAGES:]),
        "t10k-labels-idx1-ubyte": encode_idx(labels[TRAIN_IMAGES:]),
    }
