"""The training script's arguments: the published defaults, and what the platform tells through SM_*."""

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "mnist_job" / "code"))  # as on a host: a folder, no package

from arguments import make_parser, parse_hosts

IN_A_CONTAINER = {
    "SM_HOSTS": '["algo-1","algo-2"]',
    "SM_CURRENT_HOST": "algo-2",
    "SM_MODEL_DIR": "/opt/ml/model",
    "SM_CHANNEL_TRAINING": "/opt/ml/input/data/training",
    "SM_NUM_GPUS": "1",
}


def test_hyperparameters_default_to_the_published_ones() -> None:
    args = make_parser({}).parse_args([])

    assert (args.epochs, args.backend, args.batch_size, args.test_batch_size) == (6, "gloo", 64, 1000)
    assert (args.lr, args.momentum, args.seed, args.log_interval) == (0.01, 0.5, 42, 100)


def test_the_platform_is_read_from_its_variables() -> None:
    args = make_parser(IN_A_CONTAINER).parse_args(["--backend", "gloo", "--epochs", "1"])

    assert args.hosts == ["algo-1", "algo-2"]
    assert args.current_host == "algo-2"
    assert args.model_dir == Path("/opt/ml/model")
    assert args.data_dir == Path("/opt/ml/input/data/training")
    assert args.num_gpus == 1
    assert args.epochs == 1


@pytest.mark.parametrize("unset", [{}, dict.fromkeys(IN_A_CONTAINER, "")])
def test_without_the_platform_it_is_one_host_and_the_jobs_own_data_folder(unset: dict[str, str]) -> None:
    args = make_parser(unset).parse_args([])

    assert len(args.hosts) == 1
    assert args.current_host
    assert args.data_dir == Path(__file__).parents[2] / "mnist_job" / "data"
    assert args.num_gpus is None


def test_arguments_win_over_the_platform() -> None:
    args = make_parser(IN_A_CONTAINER).parse_args(["--hosts", "a,b,c", "--num-gpus", "0", "--data-dir", "x"])

    assert (args.hosts, args.num_gpus, args.data_dir) == (["a", "b", "c"], 0, Path("x"))


def test_checkpoints_are_kept_where_the_platform_has_a_folder_for_them(tmp_path: Path) -> None:
    assert make_parser({}, tmp_path).parse_args([]).checkpoint_dir == tmp_path
    assert make_parser({}, tmp_path / "none").parse_args([]).checkpoint_dir is None
    assert make_parser({}, tmp_path).parse_args(["--checkpoint-dir", "x"]).checkpoint_dir == Path("x")


@pytest.mark.parametrize("text", ['["algo-1", "algo-2"]', "algo-1,algo-2", " algo-1, algo-2 "])
def test_hosts_are_a_json_list_or_names_with_commas(text: str) -> None:
    assert parse_hosts(text) == ["algo-1", "algo-2"]


@pytest.mark.parametrize("text", ["", "[]", "[1]", "a,,b", '["a"', '[""]'])
def test_hosts_that_name_nobody_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_hosts(text)


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--backend", "smoke"], "'smoke' (choose from"),
        (["--epochs", "-1"], "must be 0 or more, got '-1'"),
        (["--epochs", "six"], "invalid int value: 'six'"),
        (["--batch-size", "0"], "must be 1 or more, got '0'"),
        (["--lr", "nan"], "must be 0.0 or more, got 'nan'"),
        (["--learning-rate", "1"], "--learning-rate"),
    ],
)
def test_an_impossible_value_is_refused_by_name(
    argv: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        make_parser({}).parse_args(argv)

    assert stopped.value.code == 2
    assert named in capsys.readouterr().err
