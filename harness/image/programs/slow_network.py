"""`slow_network [--delay S] [--loss P] PEER…`: a host's packets to its peers leave late, or not at all.

Run by a fault in the network namespace of a host, never by a job. The peers are routed into a tun device, from which
each packet is read here, kept for a while and sent on through the host's own interface. `tc netem` would do the same
in the kernel, but kernels are often built without it (those of microVMs, say), and tun is everywhere.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

DEVICE, INTERFACE = "slow0", "eth0"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_PACKET = 65536


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="slow_network")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds")
    parser.add_argument("--loss", type=float, default=0.0, help="share of the packets, from 0 to 1")
    parser.add_argument("peers", nargs="+")
    options = parser.parse_args(arguments)
    tunnel = open_tunnel()
    route(options.peers)
    print("ready", flush=True)
    forward(tunnel, options.delay, options.loss)
    return 0


def open_tunnel() -> int:
    tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tunnel, _TUNSETIFF, struct.pack("16sH", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return tunnel


def route(peers: list[str]) -> None:
    """Everything for ``peers`` into the tunnel; it keeps the address of the host's own interface as its source."""
    shown = subprocess.run(
        ["ip", "-4", "-o", "addr", "show", INTERFACE], capture_output=True, text=True, check=True
    ).stdout
    source = shown.split()[3].partition("/")[0]
    subprocess.run(["ip", "link", "set", DEVICE, "mtu", "1500", "up"], check=True)
    for peer in peers:
        subprocess.run(["ip", "route", "replace", f"{peer}/32", "dev", DEVICE, "src", source], check=True)


def forward(tunnel: int, delay: float, loss: float) -> None:
    """Send packets on for ever, each ``delay`` seconds after it came, but for a share of ``loss``."""
    # Bound to the interface, so that what is sent is not routed into the tunnel again.
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE.encode())
    waiting: list[tuple[float, int, bytes]] = []
    number = itertools.count()
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([tunnel], [], [], patience)[0]:
            packet = os.read(tunnel, _PACKET)
            if packet[0] >> 4 == 4 and random.random() >= loss:  # noqa: S311  nothing secret
                heapq.heappush(waiting, (time.monotonic() + delay, next(number), packet))
        while waiting and waiting[0][0] <= time.monotonic():
            packet = heapq.heappop(waiting)[2]
            try:
                out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
            except OSError:
                continue  # as a network does: what cannot be sent is lost, and whoever sent it tries again


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
