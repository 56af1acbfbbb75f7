"""The script's arguments. Hyperparameters have the published job's defaults; what the platform knows (hosts,
folders, GPUs) comes from the SM_* variables that a SageMaker container carries, or, where those are missing,
from what makes sense on one machine. Nothing here needs torch."""

import argparse
import json
import socket
from pathlib import Path

# What may carry the gradients. Which of them does is the launcher's choice (`horovodrun --gloo`, mpirun) or,
# for nccl, the build's; mnist.py says so when it is not the one asked for.
BACKENDS = ("gloo", "mpi", "nccl")
# Where the platform keeps checkpoints, if the job names a place for them (the default of CheckpointConfig).
CHECKPOINTS = Path("/opt/ml/checkpoints")


def parse_hosts(text):
    """`'["algo-1", "algo-2"]'` or `'algo-1,algo-2'` → `["algo-1", "algo-2"]`.

    Raises argparse.ArgumentTypeError when there is no host in it, or something that is not a name.
    """
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            hosts = json.loads(stripped)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(
                "neither a JSON list nor names with commas: {!r}".format(text)
            ) from problem
    else:
        hosts = [name.strip() for name in stripped.split(",")]
    if not hosts or not all(isinstance(name, str) and name for name in hosts):
        raise argparse.ArgumentTypeError("needs one host name or more, got {!r}".format(text))
    return hosts


def at_least(minimum, kind):
    """A type for argparse: a number of that kind that is not below the minimum."""

    def parse(text):
        number = kind(text)
        if not minimum <= number < float("inf"):
            raise argparse.ArgumentTypeError("must be {} or more, got {!r}".format(minimum, text))
        return number

    parse.__name__ = kind.__name__  # argparse names the type in "invalid int value"
    return parse


def make_parser(environ, checkpoints=CHECKPOINTS):
    """The parser, with its defaults taken from `environ`, a mapping such as os.environ, and from what is there."""
    parser = argparse.ArgumentParser(
        prog="mnist.py", formatter_class=argparse.ArgumentDefaultsHelpFormatter, description=__doc__
    )
    count, size = at_least(0, int), at_least(1, int)
    training = parser.add_argument_group("hyperparameters")
    training.add_argument("--epochs", type=count, default=6, help="passes over the training images")
    training.add_argument("--batch-size", type=size, default=64, help="images of one step, per rank")
    training.add_argument("--test-batch-size", type=size, default=1000, help="images at a time when testing")
    training.add_argument("--lr", type=at_least(0.0, float), default=0.01, help="learning rate of one rank")
    training.add_argument("--momentum", type=at_least(0.0, float), default=0.5, help="momentum of SGD")
    training.add_argument("--seed", type=count, default=42, help="seed of everything random")
    training.add_argument("--log-interval", type=size, default=100, help="steps between two progress lines")
    training.add_argument("--backend", choices=BACKENDS, default="gloo", help="what carries the gradients")
    group = parser.add_argument_group("given by the platform")
    add_platform_arguments(group, environ)
    group.add_argument(
        "--checkpoint-dir",
        type=Path,
        default=str(checkpoints) if checkpoints.is_dir() else None,
        help="what training goes on from when it is interrupted; without it nothing is kept on the way",
    )
    return parser


def add_platform_arguments(group, environ):
    """The arguments whose defaults are SM_* variables; an empty variable counts as unset."""
    here = Path(__file__).resolve().parent
    hosts = environ.get("SM_HOSTS") or "localhost"
    current = environ.get("SM_CURRENT_HOST") or socket.gethostname()
    group.add_argument("--hosts", type=parse_hosts, default=hosts, help="JSON list or names with commas")
    group.add_argument("--current-host", default=current, help="this host's name")
    group.add_argument(
        "--model-dir", type=Path, default=environ.get("SM_MODEL_DIR") or "model", help="where model.pth goes"
    )
    group.add_argument(
        "--data-dir",
        type=Path,
        default=environ.get("SM_CHANNEL_TRAINING") or str(here.parent / "data"),
        help="holds MNIST/raw/",
    )
    # None: as many as torch finds. argparse also reads a default that is text through `type`.
    gpus = environ.get("SM_NUM_GPUS") or None
    group.add_argument("--num-gpus", type=at_least(0, int), default=gpus, help="GPUs of this host")
