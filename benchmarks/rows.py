"""The rows of `make bench`: what is measured, against what, and what it should come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import endpoint, log_lines
from benchmarks.door_deploy import DoorDeploy
from benchmarks.door_jobs import DoorJobs
from benchmarks.door_traffic import CONNECTIONS, DoorTraffic
from benchmarks.jobs import Jobs
from benchmarks.peers import ByHand, Harness, SdkLocalMode
from benchmarks.results import Aim, Line, Measured
from benchmarks.session import Session
from benchmarks.staging import Staging
from benchmarks.turns import Taken, Way, take_turns
from harness.steps import Step

if TYPE_CHECKING:
    from docker import DockerClient

SLOW_REPETITIONS = 2  # of what takes about a minute
QUEUED = 50
EPOCHS = 3  # the first is not counted
CONTROLLERS = ("gloo", "mpi")  # horovodrun's two ways to carry gradients; gloo is the default


@dataclass(frozen=True)
class Bench:
    """What all rows share."""

    client: DockerClient
    compose: Sequence[str]
    image: str
    jobs: Jobs
    harness: Harness
    sdk: SdkLocalMode
    repetitions: int

    @property
    def slow_repetitions(self) -> int:
        return min(self.repetitions, SLOW_REPETITIONS)


def mnist(bench: Bench, step: Step) -> list[Line]:
    """The whole two-host run, one epoch, in the harness and in the SDK's local mode."""
    job = bench.jobs.mnist_file
    taken = take_turns(
        [
            Way("harness", lambda: (bench.harness.train(job, "--hp", "epochs=1").seconds,), bench.slow_repetitions),
            Way("SDK local mode", lambda: bench.sdk.train(*bench.jobs.for_sdk(job, epochs=1)), bench.slow_repetitions),
        ],
        step.detail,
    )
    what, ours = "MNIST, two hosts, one epoch: the whole run", taken["harness"].measured()
    return _against_sdk(what, ours, taken["SDK local mode"], 0.4)


def allreduce(bench: Bench, step: Step) -> list[Line]:
    """A script with one allreduce: what the harness adds to `horovodrun`, and what local mode does."""
    job = bench.jobs.script_file(bench.jobs.one_allreduce)
    with ByHand(bench.client, bench.compose, bench.image, bench.jobs.one_allreduce) as by_hand:
        by_hand.horovodrun()  # the first one checks ssh and reads the disk; later ones are what one waits for
        taken = take_turns(
            [
                Way("harness", lambda: (bench.harness.train(job).seconds,), bench.repetitions),
                Way("horovodrun by hand", lambda: (by_hand.horovodrun(),), bench.repetitions),
                Way("SDK local mode", lambda: bench.sdk.train(*bench.jobs.for_sdk(job)), bench.slow_repetitions),
            ],
            step.detail,
        )
    what, ours = "one allreduce, two hosts: the whole run", taken["harness"].measured()
    by_hand_seconds = taken["horovodrun by hand"].measured()
    return [
        Line(what, "s", ours, "`horovodrun` by hand in running hosts", by_hand_seconds, Aim(1.6)),
        *_against_sdk(what, ours, taken["SDK local mode"], 0.15),
    ]


def warm(bench: Bench, step: Step) -> list[Line]:
    """The same script in a session of jobs: on hosts that are ready, on new ones, and with `horovodrun` by hand."""
    script = bench.jobs.one_allreduce
    with (
        ByHand(bench.client, bench.compose, bench.image, script) as by_hand,
        Session(bench.client, bench.jobs.script_file(script), bench.jobs.folder / "session-runs") as session,
    ):
        by_hand.horovodrun()
        session.warm()  # its hosts are made when it begins; those of the next are not
        taken = take_turns(
            [
                Way("warm", lambda: (session.warm(),), bench.repetitions),
                Way("by hand", lambda: (by_hand.horovodrun(),), bench.repetitions),
                Way("cold", lambda: (session.cold(),), bench.repetitions),
            ],
            step.detail,
        )
    what, ours = "one allreduce, two hosts, in a session of tests: a job on warm hosts", taken["warm"].measured()
    by_hand_seconds = taken["by hand"].measured()
    return [
        Line(what, "s", ours, "`horovodrun` by hand in running hosts", by_hand_seconds, Aim(1.2)),
        Line(what, "s", ours, "the same with `--harness-cold`", taken["cold"].measured()),
    ]


def _against_sdk(what: str, ours: Measured, sdk: Taken, limit: float) -> list[Line]:
    return [
        Line(what, "s", ours, "SDK local mode", sdk.measured(0), Aim(limit)),
        Line(what, "s", ours, "SDK local mode, `fit()` alone", sdk.measured(1)),
    ]


def epoch(bench: Bench, step: Step) -> list[Line]:
    """An epoch of mnist.py and of the published way to load data, on the same two hosts."""

    def train(entry_point: str, launcher: str) -> tuple[float, float]:
        job = bench.jobs.variant(Path(entry_point).stem, entry_point=entry_point)
        log = bench.harness.train(job, "--hp", f"epochs={EPOCHS}", "--launcher", launcher).log("algo-1")
        return log_lines.epoch_seconds(log), log_lines.accuracy(log)

    taken = take_turns(
        [
            Way(f"{script} {launcher}", partial(train, script, launcher), bench.slow_repetitions)
            for launcher in CONTROLLERS
            for script in ("mnist.py", "published_mnist.py")
        ],
        step.detail,
    )
    lines = []
    for launcher in CONTROLLERS:
        ours, published = taken[f"mnist.py {launcher}"], taken[f"published_mnist.py {launcher}"]
        peer = f"the published way to load data, over {launcher}"
        what = f"MNIST, two hosts over {launcher}: one epoch"
        lines += [
            Line(what, "s", ours.measured(0), peer, published.measured(0), Aim(0.5)),
            Line(f"its test accuracy after {EPOCHS} epochs", "%", ours.measured(1), peer, published.measured(1)),
        ]
    return lines


def scaling(bench: Bench, step: Step) -> list[Line]:
    """Two hosts in one Horovod world, and two that train alone at the same time on the same cores."""

    def train(job: Path, launcher: str) -> tuple[float]:
        ran = bench.harness.train(job, "--hp", f"epochs={EPOCHS}", "--launcher", launcher)
        return (log_lines.images_per_second(ran.log(host) for host in ("algo-1", "algo-2")),)

    together, apart = bench.jobs.variant("together"), bench.jobs.variant("apart", distribution=None)
    taken = take_turns(
        [
            *(Way(name, partial(train, together, name), bench.slow_repetitions) for name in CONTROLLERS),
            Way("unconnected", lambda: train(apart, "gloo"), bench.slow_repetitions),
        ],
        step.detail,
    )
    peer, aim = taken["unconnected"].measured(), Aim(0.85, at_least=True)
    what, against = "MNIST, batch 64: two hosts in one Horovod world over", "two unconnected hosts at the same time"
    return [Line(f"{what} {name}", "images/s", taken[name].measured(), against, peer, aim) for name in CONTROLLERS]


def logs(bench: Bench, step: Step) -> list[Line]:
    """100,000 lines on each of two hosts, kept with their times, and the same into files of the hosts themselves."""
    job = bench.jobs.script_file(bench.jobs.many_lines, distribution=None)

    def train() -> tuple[float, float]:
        ran = bench.harness.train(job)
        return log_lines.printing_seconds(ran.log(host) for host in ("algo-1", "algo-2")), ran.training

    with ByHand(bench.client, bench.compose, bench.image, bench.jobs.many_lines) as by_hand:

        def into_files() -> tuple[float, float]:
            seconds, printed = by_hand.into_files()
            return log_lines.printing_seconds([printed]), seconds

        taken = take_turns(
            [Way("harness", train, bench.repetitions), Way("into files", into_files, bench.repetitions)], step.detail
        )
    ours, peer, what = taken["harness"], taken["into files"], "100,000 lines on each of two hosts"
    against = "the same script printing into a file of its host"
    return [
        Line(f"{what}: the script itself", "s", ours.measured(0), against, peer.measured(0), Aim(1.1)),
        Line(
            f"{what}: Training, from its start to its end",
            "s",
            ours.measured(1),
            f"{against}, `docker exec` and all",
            peer.measured(1),
        ),
    ]


def bring_up(bench: Bench, step: Step) -> list[Line]:
    """A script that does nothing, on eight hosts and on two."""
    job = bench.jobs.script_file(bench.jobs.nothing, distribution=None)

    def train(hosts: int) -> tuple[float, float]:
        ran = bench.harness.train(job, "--hosts", str(hosts))
        return ran.until_training, ran.seconds

    taken = take_turns(
        [Way(f"{hosts} hosts", partial(train, hosts), bench.repetitions) for hosts in (8, 2)], step.detail
    )
    eight, two = taken["8 hosts"], taken["2 hosts"]
    return [
        Line("8 hosts: from the command to Training", "s", eight.measured(0), "2 hosts", two.measured(0), Aim(2)),
        Line("8 hosts: the whole run of nothing", "s", eight.measured(1), "2 hosts", two.measured(1)),
    ]


def hosting(bench: Bench, step: Step) -> list[Line]:
    """An endpoint: until it is InService, and a request through the harness against the bare container."""
    step.detail("training a model to host")
    model = bench.harness.train(bench.jobs.mnist_file, "--hp", "epochs=1").folder / "model.tar.gz"

    def measure() -> tuple[float, ...]:
        return tuple(asdict(endpoint.measure(bench.image, model, bench.jobs.folder / "code")).values())

    taken = take_turns([Way("endpoint", measure, bench.slow_repetitions)], step.detail)["endpoint"]
    in_service, p50, p99, bare_p50, bare_p99, kept_p50, kept_p99 = (taken.measured(index) for index in range(7))
    bare, kept = "the bare container", "the bare container, connection kept"
    return [
        Line("endpoint: until InService", "s", in_service),
        Line("endpoint: one image, p50", "ms", p50, bare, bare_p50),
        Line("endpoint: one image, p99", "ms", p99, bare, bare_p99),
        Line("endpoint: one image, p50", "ms", p50, kept, kept_p50),
        Line("endpoint: one image, p99", "ms", p99, kept, kept_p99),
    ]


def staging(bench: Bench, step: Step) -> list[Line]:
    """A gigabyte in ten thousand files on its way to four hosts, the first time and after, against one copy of it."""
    with Staging(bench.client, bench.image, bench.jobs.folder.parent / "staging") as large:
        taken = take_turns(
            [
                Way("first", large.first, bench.slow_repetitions),
                Way("again", large.again, bench.repetitions),
                Way("cp -r", large.copy, bench.repetitions),
            ],
            step.detail,
        )
    copy = taken["cp -r"].measured()
    what = "1 GB in 10,000 files staged for 4 hosts"
    return [
        Line(f"{what}: a run after the first", "s", taken["again"].measured(), "`cp -r` once", copy, Aim(0.3)),
        Line(f"{what}: the first run", "s", taken["first"].measured(), "`cp -r` once", copy),
    ]


def door(bench: Bench, step: Step) -> list[Line]:
    """A job that does nothing, through the AWS door and by the command line, and many of them at once."""
    job = bench.jobs.script_file(bench.jobs.nothing, distribution=None)
    with DoorJobs(bench.jobs.folder.parent / "door", bench.jobs.nothing) as jobs:
        taken = take_turns(
            [
                Way("door", lambda: (jobs.alone(),), bench.repetitions),
                Way("harness train", lambda: (bench.harness.train(job).seconds,), bench.repetitions),
                Way("fit()", lambda: (jobs.fit(),), bench.slow_repetitions),
                Way("queue", lambda: (jobs.queued(QUEUED),), 1),
            ],
            step.detail,
        )
    train = taken["harness train"].measured()
    what, against = "a job of nothing on two hosts, through the AWS door:", "`harness train`, the whole command"
    return [
        Line(f"{what} from CreateTrainingJob to Completed", "s", taken["door"].measured(), against, train),
        Line(f"{what} the SDK's `fit()`", "s", taken["fit()"].measured(), against, train),
        Line(f"{QUEUED} jobs of one host, created at once, begun in that order", "s", taken["queue"].measured()),
    ]


def deploy(bench: Bench, step: Step) -> list[Line]:
    """An endpoint of the AWS door by the SDK, against its container by hand."""
    with DoorDeploy(bench.client, bench.image, bench.jobs.folder.parent / "deploy") as endpoints:
        taken = take_turns(
            [
                Way("deploy()", endpoints.deploy, bench.repetitions),
                Way("by hand", endpoints.by_hand, bench.repetitions),
            ],
            step.detail,
        )
    by_hand, what = "the container by hand", "an endpoint of the AWS door, the SDK's `deploy()`:"
    ours, bare = taken["deploy()"], taken["by hand"].measured()
    return [
        Line(f"{what} to the first answer", "s", ours.measured(0), by_hand, bare, Aim(1.2)),
        # Before it the SDK fetches the model, packs the code into it and uploads it.
        Line(f"{what} from its CreateEndpoint to the first answer", "s", ours.measured(1), by_hand, bare, Aim(1.2)),
        Line(f"{what} from InService to its return", "s", ours.measured(2)),
    ]


def door_traffic(bench: Bench, step: Step) -> list[Line]:
    """The AWS door: invocations through it against the container itself, Describe calls, and a gigabyte into S3."""
    step.detail("training a model to host")
    model = bench.harness.train(bench.jobs.mnist_file, "--hp", "epochs=1").folder / "model.tar.gz"
    with DoorTraffic(bench.jobs.folder.parent / "door", model, bench.jobs.folder / "code") as served:
        invoked = take_turns(
            [Way("door", served.through, bench.repetitions), Way("container", served.bare, bench.repetitions)],
            step.detail,
        )
        described = take_turns([Way("describe", served.describe, bench.repetitions)], step.detail)["describe"]
        stored = take_turns(
            [
                Way("one PUT", served.upload, bench.slow_repetitions),
                Way("upload_file", served.upload_file, bench.slow_repetitions),
                Way("download_file", served.download_file, bench.slow_repetitions),
                Way("cp", served.copy, bench.slow_repetitions),
            ],
            step.detail,
        )
    ours, peer, copy = invoked["door"], invoked["container"], stored["cp"].measured()
    bare, many = "the container, reached directly", f"InvokeEndpoint over {CONNECTIONS} connections"
    return [
        Line("InvokeEndpoint, p50", "ms", ours.measured(0), bare, peer.measured(0)),
        Line("InvokeEndpoint, p99", "ms", ours.measured(1), bare, peer.measured(1)),
        Line(many, "/s", ours.measured(2), bare, peer.measured(2), Aim(0.95, at_least=True)),
        Line("DescribeEndpoint, p50", "ms", described.measured(0)),
        Line("1 GB into S3 in one PUT", "s", stored["one PUT"].measured(), "`cp`", copy),
        Line("the door's memory after it, at its most", "MB", stored["one PUT"].measured(1)),
        Line("1 GB into S3 by boto3's `upload_file`", "s", stored["upload_file"].measured(), "`cp`", copy),
        Line("1 GB out of S3 by boto3's `download_file`", "s", stored["download_file"].measured(), "`cp`", copy),
    ]


ROWS: Mapping[str, Callable[[Bench, Step], list[Line]]] = {
    "mnist": mnist,
    "allreduce": allreduce,
    "warm": warm,
    "epoch": epoch,
    "scaling": scaling,
    "logs": logs,
    "bring-up": bring_up,
    "endpoint": hosting,
    "staging": staging,
    "door": door,
    "deploy": deploy,
    "door-traffic": door_traffic,
}
