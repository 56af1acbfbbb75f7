"""The machine that hosts share."""

from __future__ import annotations

from harness.machine import count_of, read_catalogue, this_machine


def test_gpus_are_counted_as_the_toolkit_counts_them() -> None:
    listing = "GPU 0: Tesla T4 (UUID: GPU-1)\nGPU 1: Tesla T4 (UUID: GPU-2)\n  MIG 1g.5gb Device 0: (UUID: MIG-3)\n"

    assert count_of(listing) == 2
    assert count_of("No devices found.\n") == 0


def test_this_machine_has_cores_and_memory() -> None:
    machine = this_machine()

    assert machine.cpus >= 1
    assert machine.memory_bytes > 2**28


def test_the_catalogue_is_in_the_package() -> None:
    assert read_catalogue()["ml.p2.xlarge"].vcpu == 4
