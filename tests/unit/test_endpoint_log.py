"""What of a model server's log is shown to the user."""

from __future__ import annotations

from harness.endpoint_log import LINES, last_words

PREFIX = "2026-01-31T12:00:00,123 [INFO ] W-9000-model_1.0-stdout MODEL_LOG - "
TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/local/lib/python3.11/dist-packages/sagemaker_inference/transformer.py", line 272, in _run
    result = func(*argv)
  File "/opt/ml/model/code/inference.py", line 2, in model_fn
    raise ValueError("weights are of another network")
ValueError: weights are of another network
"""
USERS_PART = """\
Traceback (most recent call last):
  File "/opt/ml/model/code/inference.py", line 2, in model_fn
    raise ValueError("weights are of another network")
ValueError: weights are of another network"""


def test_the_users_part_of_the_traceback_is_shown_and_nothing_else() -> None:
    log = f"Model server started.\n{PREFIX}loading\nmodel-load failed\n{TRACEBACK}\n{PREFIX}one more word\n"

    assert last_words(log) == USERS_PART


def test_an_image_that_is_not_ours_prints_the_traceback_line_by_line_under_prefixes() -> None:
    log = "".join(f"{PREFIX}{line}\n" for line in TRACEBACK.splitlines())

    assert last_words(log) == USERS_PART


def test_a_chain_of_tracebacks_is_shown_whole() -> None:
    chained = f"{TRACEBACK}\nDuring handling of the above exception, another exception occurred:\n\n{TRACEBACK}"

    assert last_words(f"model-load failed\n{chained}") == chained.strip()


def test_what_pip_could_not_install_is_named_before_the_traceback() -> None:
    log = (
        "Collecting nothing\nERROR: No matching distribution found for nothing==9\n"
        "Traceback (most recent call last):\n  File serve\nValueError: failed to install required packages\n"
    )

    assert last_words(log).splitlines()[0] == "ERROR: No matching distribution found for nothing==9"
    assert last_words(log).splitlines()[-1] == "ValueError: failed to install required packages"


def test_without_a_traceback_the_end_of_the_log_is_shown() -> None:
    log = "\n".join(f"{PREFIX}line {n}" for n in range(100))

    assert last_words(log).splitlines() == [f"line {n}" for n in range(100 - LINES, 100)]


def test_an_empty_log_has_no_last_words() -> None:
    assert last_words("") == ""
