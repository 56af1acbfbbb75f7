"""Sources against the Python and the packages of AWS's image."""

from __future__ import annotations

import pytest

from harness.python_fit import image_python, misfits

PY38, PY310 = (3, 8), (3, 10)


def texts(source: str, python: tuple[int, int] | None = PY38, requirements: tuple[str, ...] = ()) -> list[str]:
    return [misfit.text for misfit in misfits({"train.py": source}, python, requirements)]


@pytest.mark.parametrize(
    ("py_version", "expected"), [("py38", (3, 8)), ("py310", (3, 10)), ("py3", None), (None, None), ("38", None)]
)
def test_the_images_python_is_what_py_version_says(py_version: str | None, expected: tuple[int, int] | None) -> None:
    assert image_python(py_version) == expected


@pytest.mark.parametrize(
    "source", ["x = 1\nmatch x:\n    case _: pass\n", "try:\n    pass\nexcept* ValueError:\n    pass\n"]
)
def test_newer_syntax_is_told(source: str) -> None:
    (found,) = misfits({"train.py": source}, PY38, ())

    assert found.text.startswith("train.py, near line ")
    assert "AWS's image has Python 3.8: " in found.text
    assert "supported in Python 3.1" in found.text
    assert found.certain


def test_syntax_that_the_image_takes_is_not() -> None:
    assert texts("if (n := 3) > 2:\n    print(f'{n=}')\n") == []
    assert texts("match 1:\n    case _: pass\n", PY310) == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import tomllib\n", "tomllib is there from Python 3.11 on"),
        ("from zoneinfo import ZoneInfo\n", "zoneinfo is there from Python 3.9 on"),
        ("from functools import cache\n", "functools.cache is there from Python 3.9 on"),
        ("from datetime import UTC\n", "datetime.UTC is there from Python 3.11 on"),
    ],
)
def test_what_the_standard_library_did_not_have_yet_is_told(source: str, what: str) -> None:
    (found,) = misfits({"train.py": source}, PY38, ())

    assert what in found.text
    assert found.certain


def test_an_import_inside_of_something_need_not_be_reached() -> None:
    (found,) = misfits({"train.py": "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None\n"}, PY38, ())

    assert not found.certain


def test_what_the_standard_library_has_no_longer_is_told() -> None:
    assert "distutils is gone since Python 3.12" in texts("import distutils\n", (3, 12))[0]
    assert texts("import distutils\n", PY38) == []


@pytest.mark.parametrize("annotation", ["list[int]", "int | None", "'x' or dict[str, int]"])
def test_annotations_that_the_image_would_evaluate_and_cannot_are_told(annotation: str) -> None:
    (found,) = texts(f"def train(x: {annotation}) -> None:\n    pass\n")

    assert "from __future__ import annotations" in found
    assert texts(f"from __future__ import annotations\ndef train(x: {annotation}) -> None:\n    pass\n") == []
    assert texts(f"def train(x: {annotation}) -> None:\n    pass\n", PY310) == []


def test_packages_are_looked_for_in_the_image_in_the_job_and_in_the_requirements() -> None:
    sources = {"train.py": "import torch, model, helpers.deep, os, lightning\n", "model.py": "", "helpers/deep.py": ""}

    assert len(misfits(sources, PY38, ())) == 1
    assert misfits(sources, PY38, ("Lightning == 2.0",)) == ()


def test_a_package_with_a_name_of_its_own_is_recognised() -> None:
    assert texts("import yaml, PIL, sklearn\n") == []


def test_what_no_python_here_can_read_is_told_only_where_the_images_python_cannot_either() -> None:
    assert "syntax error" in texts("def f(:\n")[0]
    assert texts("def f(:\n", (3, 99)) == []
    assert texts("import torch\n", None) == []
