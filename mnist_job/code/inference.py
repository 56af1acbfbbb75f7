"""The functions that SageMaker's PyTorch inference toolkit calls to host the model.

A request is one digit or several, as NPY or JSON: pixels 0 to 255, as in MNIST, or 0 to 1, as the notebook's
page draws them; shape (28, 28), (n, 28, 28) or (n, 1, 28, 28). The answer has ten logarithms of probabilities
for each, as NPY or JSON. predict_fn and output_fn are the toolkit's own
(sagemaker_pytorch_serving_container/default_pytorch_inference_handler.py).
"""

import io
import json
from pathlib import Path

import numpy as np
import torch

from model_def import load_weights, normalise


def model_fn(model_dir):
    """The trained network from `model_dir`, ready to predict."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_weights(Path(model_dir) / "model.pth", device).eval()


def input_fn(body, content_type):
    """The request's body → the network's input, float32 (n, 1, 28, 28), normalised as in training.

    Any number type is cast: the default handler keeps an NPY's own, and float64 would break the network.
    Raises ValueError for another content type, an unreadable body, a wrong shape, values that are no pixels.
    """
    return normalise(torch.from_numpy(check_pixels(decode(body, content_type))))


def decode(body, content_type):
    """The numbers in a body of that content type, as an array."""
    kind = content_type.split(";")[0].strip().lower()  # without '; charset=utf-8'
    try:
        if kind == "application/x-npy":
            return np.load(io.BytesIO(bytes(body)), allow_pickle=False)
        if kind == "application/json":
            return np.array(json.loads(body), dtype=np.float32)  # with a dtype, uneven lists are refused
    except (ValueError, TypeError, EOFError, OSError) as problem:
        raise ValueError("cannot read the body as {}: {}".format(kind, problem)) from problem
    raise ValueError("content type {!r} is not application/x-npy nor application/json".format(content_type))


def check_pixels(array):
    """The array as float32 (n, 28, 28) or (n, 1, 28, 28), 0 to 255. Raises ValueError that names what is wrong."""
    if array.shape == (28, 28):
        array = array[np.newaxis]
    if array.ndim not in (3, 4) or array.shape[1:] not in ((28, 28), (1, 28, 28)) or not len(array):
        raise ValueError("shape {} is none of (28, 28), (n, 28, 28), (n, 1, 28, 28)".format(array.shape))
    if array.dtype.kind not in "buif":
        raise ValueError("dtype {} is no number type".format(array.dtype))
    pixels = np.ascontiguousarray(array, dtype=np.float32)
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 255):  # so written that nan is refused as well
        raise ValueError("pixels must be 0 to 255 and are {} to {}: send them as they are".format(low, high))
    # An image with nothing above 1 has ink that is 1: on the other scale nobody could see it.
    brightest = pixels.max(axis=tuple(range(1, pixels.ndim)), keepdims=True)
    return np.where(brightest > 1, pixels, pixels * 255)
