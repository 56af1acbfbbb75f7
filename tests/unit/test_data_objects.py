"""Objects of channels: who is given which, what manifests say, what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from harness import data_objects
from harness.data_objects import ChannelData, DataObject, Part
from harness.documents import HostGroup
from harness.errors import BadInput
from harness.job import Channel
from harness.plan import HostPlan


def objects(count: int) -> tuple[DataObject, ...]:
    return tuple(DataObject(f"part-{n:05}", 10, f"s3://bucket/data/part-{n:05}", etag=str(n)) for n in range(count))


def hosts(count: int, group: str = "workers") -> list[HostPlan]:
    names = tuple(f"algo-{n + 1}" for n in range(count))
    return [HostPlan(name, HostGroup(group, "ml.m5.large", names), {}, {}) for name in names]


def sharded(count: int, *, mode: str = "File", seed: int | None = None) -> ChannelData:
    channel = Channel("train", "s3://bucket/data/", distribution="ShardedByS3Key", shuffle_seed=seed)
    return ChannelData(channel, mode, objects(count))


# Shards.


@given(some.lists(some.text(), max_size=200), some.integers(1, 20))
def test_shards_are_all_objects_each_once_in_their_order_and_as_even_as_can_be(keys: list[str], count: int) -> None:
    names = [f"algo-{n + 1}" for n in range(count)]
    numbered = list(enumerate(keys))

    shards = data_objects.shard(numbered, names)

    assert list(shards) == names
    assert sorted(item for shard in shards.values() for item in shard) == numbered
    assert all(list(shard) == sorted(shard) for shard in shards.values())
    sizes = [len(shard) for shard in shards.values()]
    assert max(sizes) - min(sizes) <= 1


def test_of_two_objects_algo_1_gets_the_first() -> None:
    assert data_objects.shard(["first", "second"], ["algo-1", "algo-2"]) == {
        "algo-1": ("first",),
        "algo-2": ("second",),
    }


def test_without_sharding_every_host_gets_everything() -> None:
    data = ChannelData(Channel("train", "s3://bucket/data/"), "File", objects(3))

    assert data_objects.objects_of_hosts(data, ["algo-1", "algo-2"]) == {"algo-1": objects(3), "algo-2": objects(3)}


def test_a_channel_of_some_groups_is_sharded_over_their_hosts_only() -> None:
    channel = Channel("train", "s3://bucket/data/", distribution="ShardedByS3Key", instance_groups=("gpu",))
    cpu = HostPlan("algo-1", HostGroup("cpu", "ml.m5.large", ("algo-1",)), {}, {})
    gpu = [
        HostPlan(name, HostGroup("gpu", "ml.p3.2xlarge", ("algo-2", "algo-3")), {}, {}) for name in ("algo-2", "algo-3")
    ]

    told = data_objects.received([ChannelData(channel, "File", objects(4))], [cpu, *gpu])

    assert {host: part["Objects"] for host, part in told["train"]["Hosts"].items()} == {"algo-2": 2, "algo-3": 2}


def test_the_receipt_says_who_got_what() -> None:
    told = data_objects.received([sharded(12)], hosts(2))

    assert told["train"]["S3DataDistributionType"] == "ShardedByS3Key"
    assert told["train"]["Hosts"]["algo-2"] == {
        "Objects": 6,
        "Bytes": 60,
        "FirstKeys": ["part-00001", "part-00003", "part-00005", "part-00007", "part-00009"],
    }


def test_hosts_for_which_there_is_nothing_are_named() -> None:
    assert list(data_objects.notes([sharded(2)], hosts(4))) == [
        "channel 'train' is sharded over 4 hosts and holds 2 in all: nothing for algo-3, algo-4"
    ]
    assert list(data_objects.notes([sharded(4)], hosts(4))) == []


def test_a_path_that_only_begins_the_names_of_others_is_mentioned() -> None:
    found = DataObject("train-0", 1, "file:///data/train-0", Path("/data/train-0"))
    prefix, folder = (ChannelData(Channel("t", Path(path)), "File", (found,)) for path in ("/data/tr", "/data"))

    (line,) = data_objects.notes([prefix], hosts(1))

    assert "'/data/tr' is no folder or file" in line
    assert list(data_objects.notes([folder], hosts(1))) == []


def test_a_pipe_that_is_shuffled_across_hosts_may_give_any_host_anything() -> None:
    data = sharded(4, mode="Pipe", seed=7)

    assert data_objects.objects_of_hosts(data, ["algo-1", "algo-2"])["algo-2"] == objects(4)


# Keys.


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("data/tr", {"data/train-0": "train-0", "data/train-1": "train-1", "data/tr/x": "tr/x"}),
        ("data/", {"data/train-0": "train-0", "data/train-1": "train-1", "data/tr/x": "tr/x"}),
        ("", {"data/train-0": "data/train-0", "data/train-1": "data/train-1", "data/tr/x": "data/tr/x"}),
    ],
)
def test_what_follows_the_last_slash_of_a_prefix_is_kept(prefix: str, expected: dict[str, str]) -> None:
    assert data_objects.relative_keys(prefix, ["data/train-0", "data/train-1", "data/tr/x", "data/tr/"]) == expected


def test_a_prefix_that_is_a_folder_needs_no_slash_at_its_end() -> None:
    assert data_objects.relative_keys("jobs/mnist", ["jobs/mnist/raw/a", "jobs/mnist/b"]) == {
        "jobs/mnist/raw/a": "raw/a",
        "jobs/mnist/b": "b",
    }


def test_a_prefix_may_be_the_whole_key() -> None:
    assert data_objects.relative_keys("data/iris.csv", ["data/iris.csv"]) == {"data/iris.csv": "iris.csv"}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (["../x"], "'../x' is no path below a folder: it must be UTF-8, and no part of it empty, '.' or '..'"),
        (["a//b"], "'a//b' is no path below a folder: it must be UTF-8, and no part of it empty, '.' or '..'"),
        (
            ["/etc/passwd"],
            "'/etc/passwd' is no path below a folder: it must be UTF-8, and no part of it empty, '.' or '..'",
        ),
        (["\udcff"], "'\\udcff' is no path below a folder: it must be UTF-8, and no part of it empty, '.' or '..'"),
        (["a", "b", "a"], "'a' is there twice"),
        (["a", "a/b"], "'a' would be a file and, for 'a/b', a folder"),
    ],
)
def test_keys_that_cannot_be_files_of_one_folder_are_refused(keys: list[str], problem: str) -> None:
    assert list(data_objects.key_problems(keys)) == [problem]


# Manifests.

_NAMES = some.lists(
    some.text(some.characters(blacklist_characters="/", blacklist_categories=("Cs",)), min_size=1).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=4,
).map("/".join)


@given(some.lists(_NAMES, min_size=1))
def test_a_manifest_is_a_prefix_and_names_below_it(names: list[str]) -> None:
    text = json.dumps([{"prefix": "s3://bucket/data/"}, *names])

    assert data_objects.read_manifest(text) == ("s3://bucket/data/", tuple(names))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nothing", "is no manifest: not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{}", "is no manifest: it does not begin with a prefix: "),
        ('["a"]', "is no manifest: it does not begin with a prefix: "),
        ('[{"prefix": 1}, "a"]', "is no manifest: it does not begin with a prefix: "),
        ('[{"prefix": "s3://b/p/"}]', "is no manifest: it names nothing below its prefix 's3://b/p/'"),
        ('[{"prefix": "s3://b/p/"}, 1]', "1 in the manifest is not a text: "),
        ('[{"prefix": "s3://b/p/"}, "../x"]', "'../x' in the manifest is no path below its prefix 's3://b/p/': "),
        ('[{"prefix": "s3://b/p/"}, "\\ud800"]', "'\\ud800' in the manifest is no path below its prefix 's3://b/p/': "),
        ('[{"prefix": "s3://b/p/"}, "/x"]', "'/x' in the manifest is no path below its prefix 's3://b/p/': "),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        data_objects.read_manifest(text)

    assert str(refused.value).startswith(problem)


@given(some.text())
def test_whatever_a_manifest_holds_it_is_read_or_refused(text: str) -> None:
    with suppress(BadInput):
        data_objects.read_manifest(text)
    with suppress(BadInput):
        data_objects.read_augmented_manifest(text, ["a-ref"])


def augmented(lines: Sequence[object]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_an_augmented_manifest_gives_a_part_per_attribute_in_their_order() -> None:
    line = {"class": 3, "source-ref": "s3://b/1.png", "note": "a cat", "box": {"x": 1}, "unused": 0}
    attributes = ["source-ref", "class", "note", "box"]

    lines, uris = data_objects.read_augmented_manifest(augmented([line, line]), attributes)

    assert uris == ["s3://b/1.png"]
    assert data_objects.record(lines[0], attributes, {"s3://b/1.png": "key"}) == (
        Part(key="key"),
        Part(text="3"),
        Part(text="a cat"),
        Part(text='{"x": 1}'),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the manifest is empty: it needs a JSON object on each line"),
        ("{}\n{\n", "line 2 of the manifest is not JSON: "),
        ('{"a-ref": "s3://b/x"}\n{"b": 1}\n', "line 2 of the manifest has no attribute 'a-ref'"),
        ('["a-ref"]\n', "line 1 of the manifest has no attribute 'a-ref'"),
        ('{"a-ref": "\\ud800"}\n', "line 1 of the manifest: '\\ud800' is no URI"),
        ('{"a-ref": 1}\n', "line 1 of the manifest: 1 is no URI"),
    ],
)
def test_what_is_no_augmented_manifest_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        data_objects.read_augmented_manifest(text, ["a-ref"])

    assert refused.value.problems[-1].startswith(problem)


def test_records_of_an_augmented_manifest_are_what_is_sharded() -> None:
    channel = Channel("train", Path("m"), distribution="ShardedByS3Key", attribute_names=("source-ref",))
    records = tuple((Part(key=item.key),) for item in (*objects(2), objects(2)[0], objects(2)[0]))
    data = ChannelData(channel, "Pipe", objects(2), records=records)

    given_out = data_objects.objects_of_hosts(data, ["algo-1", "algo-2"])

    assert given_out == {"algo-1": objects(1), "algo-2": (objects(2)[1], objects(2)[0])}
