"""What is sent to an endpoint and what comes back: files to arrays, arrays to bodies, answers to arrays."""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadInput

NPY = "application/x-npy"
JSON = "application/json"
CONTENT_TYPES = (NPY, JSON)
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

Array = NDArray[Any]


def read_input(path: Path, *, shape: tuple[int, ...] | None = None, index: int | None = None) -> Array:
    """The values of a .npy, .png, .json or IDX file, as float32.

    ``index`` picks one entry of the first dimension (an IDX file of several needs it). ``shape`` is that of
    one instance: the result is then a batch, (1, *shape), or (n, *shape) for a file that holds n of them so
    shaped. A picture becomes grey and as large as the last two numbers of ``shape``, pixels 0 to 255.
    Raises `BadInput` that names file and problem.
    """
    try:
        values = _read(path, shape)
    except FileNotFoundError as error:
        raise BadInput(f"no input file {str(path)!r}") from error
    except (ValueError, EOFError, OSError, zlib.error, RecursionError) as error:
        raise BadInput(f"cannot read {str(path)!r}: {error}") from error
    if values.dtype.kind not in "buif":
        raise BadInput(f"{str(path)!r} does not hold numbers but {values.dtype}")
    if index is not None:
        values = _pick(values, index, path)
    elif _is_idx(path) and values.ndim and len(values) > 1:
        raise BadInput(f"{str(path)!r} holds {len(values)} entries: say which with an index from 0")
    values = values.astype(np.float32)
    return values if shape is None else _batch(values, shape, path)


def as_body(values: Array, content_type: str) -> bytes:
    """``values`` as the body of a request: NPY of float32, or nested JSON lists."""
    if content_type == NPY:
        buffer = io.BytesIO()
        np.save(buffer, values.astype(np.float32), allow_pickle=False)
        return buffer.getvalue()
    if content_type == JSON:
        return json.dumps(values.tolist()).encode()
    raise BadInput(f"content type {content_type!r} is none of {', '.join(CONTENT_TYPES)}")


def read_answer(body: bytes, content_type: str) -> Any:
    """The answer of an endpoint: an array for NPY, whatever JSON holds for JSON. Never unpickles."""
    kind = content_type.split(";")[0].strip().lower()
    try:
        if kind == NPY:
            return np.load(io.BytesIO(body), allow_pickle=False)
        if kind == JSON:
            return json.loads(body)
    except (ValueError, EOFError, OSError, RecursionError) as error:
        raise BadInput(f"the endpoint's answer is no {kind}: {error}") from error
    raise BadInput(f"the endpoint answered with content type {content_type!r}, not {' or '.join(CONTENT_TYPES)}")


def as_probabilities(scores: Any) -> NDArray[np.float64] | None:
    """Probabilities of the classes of one instance, or None when ``scores`` are something else.

    ``scores``: (classes,) or (1, classes), logarithms of probabilities or probabilities themselves.
    """
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    # nan and +inf are no scores; -inf is the logarithm of 0
    if values.ndim != 1 or values.size < 2 or np.isnan(values).any() or (values == np.inf).any():
        return None
    if (values <= 0).all():
        values = np.exp(values)
    good = (values >= 0).all() and math.isclose(float(values.sum()), 1.0, abs_tol=1e-3)
    return values if good else None


def _read(path: Path, shape: tuple[int, ...] | None) -> Array:
    if _is_idx(path):
        return _read_idx(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    if suffix == ".json":
        return np.array(json.loads(path.read_bytes()))
    if suffix == ".png":
        return _read_picture(path, shape)
    raise ValueError("is none of .npy, .png, .json and IDX (…-idx3-ubyte, .gz or not)")


def _is_idx(path: Path) -> bool:
    """By name, as in the files of MNIST: train-images-idx3-ubyte.gz, and .idx3-ubyte as some unpack them."""
    return "idx" in path.name.lower() and path.suffix.lower() not in (".npy", ".png", ".json")


def _read_idx(path: Path) -> Array:
    """IDX: two zero bytes, the type, the number of dimensions, each as big-endian int32, then the values."""
    content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES or not content[3]:
        raise ValueError("is not an IDX file")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError("IDX file ends within its header")
    dimensions = tuple(int(n) for n in np.frombuffer(content, ">u4", content[3], 4))
    kind = np.dtype(_IDX_TYPES[content[2]])
    expected = start + math.prod(dimensions) * kind.itemsize
    if len(content) != expected:
        raise ValueError(f"IDX file has {len(content)} bytes where its header says {expected}")
    return np.frombuffer(content, kind, offset=start).reshape(dimensions)


def _read_picture(path: Path, shape: tuple[int, ...] | None) -> Array:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            grey = picture.convert("L")
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise ValueError("is not a readable picture") from error
    if shape is not None and len(shape) >= 2 and grey.size != (shape[-1], shape[-2]):
        grey = grey.resize((shape[-1], shape[-2]), Image.Resampling.LANCZOS)
    return np.asarray(grey)


def _pick(values: Array, index: int, path: Path) -> Array:
    count = len(values) if values.ndim else 0
    if not 0 <= index < count:
        raise BadInput(f"index {index} is out of range: {str(path)!r} holds {count} entries, from 0")
    return np.asarray(values[index])


def _batch(values: Array, shape: tuple[int, ...], path: Path) -> Array:
    if not shape or min(shape) < 1:
        raise BadInput(f"shape {shape} is not a shape: every number must be 1 or more")
    if values.ndim > len(shape) and values.shape[-len(shape) :] == shape:
        return values.reshape(-1, *shape)
    if values.size != math.prod(shape):
        wanted = f"{math.prod(shape)} for shape {shape}"
        raise BadInput(f"{str(path)!r} holds {values.size} values of shape {values.shape}, not {wanted}")
    return values.reshape(1, *shape)
