"""Where the hosts of one training job reach the AWS door: an address of their own network, and nobody else's."""

from __future__ import annotations

import errno
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from harness.door_environment import Keys, host_environment
from harness.door_server import Server
from harness.errors import BadInput
from harness.wire import Request, Response, ServiceError, json_error

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.networks import Network

Handle = Callable[[Request], Response]
UNREACHABLE = (
    "hosts cannot reach the AWS door to fetch their code: the gateway of their network, {}, is no address of this "
    "machine (an engine elsewhere, in a virtual machine, or rootless). Run the door where the engine runs, or send "
    "EnableNetworkIsolation, with which the SDK ships the code as a channel"
)


class Gateway:
    """Serves ``handle`` to the hosts on ``network``, with keys made for them: no other request passes.

    ``door`` is host and port of the door, in whose place it stands. Raises `BadInput` where hosts could not reach it.
    """

    def __init__(self, client: DockerClient, network: Network, handle: Handle, door: str) -> None:
        self._handle, self._door = handle, door
        self.keys = Keys(f"ASIA{uuid.uuid4().hex[:16].upper()}", uuid.uuid4().hex)
        self._joined: Callable[[], object] = lambda: None
        self._server = self._listen(client, network)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="gateway", daemon=True).start()

    @property
    def url(self) -> str:
        return self._server.url

    def environment(self) -> dict[str, str]:
        """What a host needs to find it."""
        return host_environment(self.url, self.keys)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._joined()

    def answer(self, request: Request) -> Response:
        """What a host is answered; never raises."""
        here = urlsplit(self.url).netloc
        if request.header("host") != here:
            why = "the AWS door is not called that here"
        elif key_of(request) != self.keys.access_key_id:
            why = "the request is not signed with the keys of this training job"
        else:
            return self._handle(replace(request, headers={**request.headers, "host": self._door}))
        return json_error(ServiceError("AccessDeniedException", why, 403), str(uuid.uuid4()))

    def _listen(self, client: DockerClient, network: Network) -> Server:
        network.reload()
        address = gateway_of(network.attrs)
        try:
            return Server(self.answer, 0, address)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        own = own_container(client)
        if own is None:
            raise BadInput(UNREACHABLE.format(address))
        network.connect(own)
        self._joined = lambda: network.disconnect(own, force=True)
        own.reload()
        return Server(self.answer, 0, str(own.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]))


def gateway_of(network: dict[str, Any]) -> str:
    """The IPv4 address that a network of the engine has on the engine's machine.

    It is the first of the subnet where the network names none, as the default bridge does from the first start of an
    engine to its second (docker 20.10).
    """
    configs = [config for config in network["IPAM"]["Config"] or () if "." in config.get("Subnet", "")]
    return next(config.get("Gateway") or str(ip_network(config["Subnet"])[1]) for config in configs)


def refuse_where_unreachable(client: DockerClient) -> None:
    """Raise `BadInput` where no hosts could reach a door in this process."""
    address = gateway_of(client.networks.get("bridge").attrs)
    try:
        with socket.socket() as probe:
            probe.bind((address, 0))
    except OSError:
        if own_container(client) is None:
            raise BadInput(UNREACHABLE.format(address)) from None


def own_container(client: DockerClient) -> Any:
    """The container of ``client``'s engine that this process runs in, None where there is none."""
    from docker.errors import NotFound

    try:
        return client.containers.get(socket.gethostname())
    except NotFound:
        return None


def key_of(request: Request) -> str:
    """The id of the key that a request is signed with, in a header or, as presigned ones, in its query; else ''."""
    signed = (request.header("authorization") or "").partition("Credential=")[2]
    query = parse_qs(urlsplit(request.target).query)
    presigned = [*query.get("X-Amz-Credential", ()), *query.get("AWSAccessKeyId", ()), ""]  # version 4, and 2 before it
    return (signed or presigned[0]).partition("/")[0]
