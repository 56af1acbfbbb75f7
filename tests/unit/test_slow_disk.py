"""A slow disk: which control group is told what, of both versions that there are."""

from __future__ import annotations

import pytest

from harness.image.programs.slow_disk import control_group, limits


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4:memory:/docker/abc\n7:blkio:/docker/abc\n0::/\n", (1, "docker/abc")),
        ("3:io,blkio:/a:b\n", (1, "a:b")),
        ("0::/system.slice/docker-abc.scope\n", (2, "system.slice/docker-abc.scope")),
    ],
)
def test_the_group_that_limits_disks_is_found(text: str, found: tuple[int, str]) -> None:
    assert control_group(text) == found


def test_every_disk_is_limited_and_let_go_in_the_words_of_either_version() -> None:
    assert list(limits(1, ["254:0"], 1024)) == [
        ("blkio.throttle.read_bps_device", "254:0 1024"),
        ("blkio.throttle.write_bps_device", "254:0 1024"),
    ]
    assert list(limits(2, ["254:0", "8:16"], 1024)) == [
        ("io.max", "254:0 rbps=1024 wbps=1024"),
        ("io.max", "8:16 rbps=1024 wbps=1024"),
    ]
    assert list(limits(2, ["254:0"], 0)) == [("io.max", "254:0 rbps=max wbps=max")]
