"""Who may pass the gateway of a training job, asked over a socket of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from docker.errors import NotFound

from harness.door_environment import Keys
from harness.errors import BadInput
from harness.gateway import Gateway, gateway_of
from harness.wire import Request, Response
from tests.functional.conftest import SESSION


@dataclass
class Network:
    """As far as the engine's has what is asked of it: an address that may be this machine's."""

    gateway: str
    name: str = "hosts"

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "IPAM": {
                "Config": [
                    {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
                    {"Subnet": "127.0.0.0/8", "Gateway": self.gateway},
                ]
            }
        }

    def reload(self) -> None: ...


class Containers:
    def get(self, _: str) -> Any:
        raise NotFound("no such container")


ENGINE = cast(Any, SimpleNamespace(containers=Containers()))
ELSEWHERE = "192.0.2.1"  # RFC 5737: nobody's


def heard_by(heard: list[Request]) -> Any:
    def handle(request: Request) -> Response:
        heard.append(request)
        return Response(200, (("Content-Type", "application/xml"),), b"<ListAllMyBucketsResult/>")

    return handle


@pytest.fixture
def heard() -> list[Request]:
    return []


@pytest.fixture
def gateway(heard: list[Request]) -> Iterator[Gateway]:
    made = Gateway(ENGINE, cast(Any, Network("127.0.0.2")), heard_by(heard), "127.0.0.1:4566")
    yield made
    made.close()


def client(gateway: Gateway, keys: Keys) -> Any:
    return SESSION.client(
        "s3",
        endpoint_url=gateway.url,
        region_name="us-west-2",
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
    )


def test_requests_with_the_jobs_keys_pass_as_if_they_came_to_the_door(gateway: Gateway, heard: list[Request]) -> None:
    s3 = client(gateway, gateway.keys)
    s3.list_buckets()
    presigned = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}))
    inside = gateway.answer(Request("GET", f"/b/k?{presigned.query}", {"host": presigned.netloc}))
    s3.close()

    assert [request.header("host") for request in heard] == ["127.0.0.1:4566"] * 2
    assert inside.status == 200


@pytest.mark.parametrize("keys", [Keys("ASIAOTHER", "x"), Keys("", "")], ids=str)
def test_requests_with_other_keys_or_none_do_not_pass(gateway: Gateway, heard: list[Request], keys: Keys) -> None:
    headers = {"host": urlsplit(gateway.url).netloc}
    signed = f"AWS4-HMAC-SHA256 Credential={keys.access_key_id}/20260101/us-west-2/s3/aws4_request, Signature=none"

    answer = gateway.answer(
        Request("GET", "/", {**headers, "authorization": signed} if keys.access_key_id else headers)
    )

    assert (answer.status, heard) == (403, [])


def test_a_name_that_was_made_to_point_there_does_not_pass(gateway: Gateway, heard: list[Request]) -> None:
    signed = f"AWS4-HMAC-SHA256 Credential={gateway.keys.access_key_id}/20260101/us-west-2/s3/aws4_request"

    answer = gateway.answer(Request("GET", "/", {"host": "example.com", "authorization": signed}))

    assert (answer.status, heard) == (403, [])


def test_it_listens_on_the_address_of_the_network_and_is_gone_when_closed(heard: list[Request]) -> None:
    gateway = Gateway(ENGINE, cast(Any, Network("127.0.0.3")), heard_by(heard), "127.0.0.1:4566")
    assert urlsplit(gateway.url).hostname == "127.0.0.3"
    gateway.close()
    again = Gateway(ENGINE, cast(Any, Network("127.0.0.3")), heard_by(heard), "127.0.0.1:4566")
    again.close()

    assert again.keys != gateway.keys


def test_an_engine_elsewhere_is_told_in_one_line_with_what_to_do(heard: list[Request]) -> None:
    with pytest.raises(
        BadInput, match=f"the gateway of their network, {ELSEWHERE}, is no address of this machine"
    ) as e:
        Gateway(ENGINE, cast(Any, Network(ELSEWHERE)), heard_by(heard), "127.0.0.1:4566")

    assert "\n" not in str(e.value)
    assert "EnableNetworkIsolation" in str(e.value)
    assert gateway_of(Network(ELSEWHERE).attrs) == ELSEWHERE


def test_the_gateway_of_a_network_that_names_none_is_the_first_address_of_its_subnet() -> None:
    """The default bridge of an engine that has just been started for the first time is like this."""
    config = [{"Subnet": "fd00::/64"}, {"Subnet": "172.17.0.0/16"}]

    assert gateway_of({"IPAM": {"Config": config}}) == "172.17.0.1"
