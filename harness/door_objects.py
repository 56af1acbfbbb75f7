"""Objects of the door's own S3, as the door itself reads and writes them: by the requests that any program makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from harness.moto_dispatch import signed
from harness.wire import Request, Response

_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Objects:
    """``call`` answers requests for S3."""

    def __init__(self, call: Callable[[Request], Response]) -> None:
        self._call = call

    def read(self, bucket: str, key: str) -> bytes:
        """Raises `FileNotFoundError`."""
        answer = self._call(_request("GET", bucket, key))
        if answer.status != 200:
            raise FileNotFoundError(f"s3://{bucket}/{key}")
        return _content(answer)

    def put(self, bucket: str, key: str, body: bytes, content_type: str) -> None:
        """Raises `FileNotFoundError` where there is no such bucket."""
        request = Request("PUT", f"/{quote(bucket)}/{quote(key)}", {**signed("s3"), "content-type": content_type}, body)
        if self._call(request).status != 200:
            raise FileNotFoundError(f"s3://{bucket}/{key} cannot be written")

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """All that begin with ``prefix``, in their order; none where there is no such bucket."""
        query = f"list-type=2&encoding-type=url&prefix={quote(prefix, safe='')}"
        more = ""
        while True:
            answer = self._call(_request("GET", bucket, "", query + more))
            if answer.status != 200:
                return
            page = ElementTree.fromstring(_content(answer))  # noqa: S314 - an answer of our own process
            yield from (unquote(each.text or "") for each in page.findall(f"{_XML}Contents/{_XML}Key"))
            token = page.findtext(f"{_XML}NextContinuationToken")
            if not token:
                return
            more = f"&continuation-token={quote(token, safe='')}"


def _content(answer: Response) -> bytes:
    return answer.body if answer.stream is None else b"".join(answer.stream)


def _request(method: str, bucket: str, key: str, query: str = "") -> Request:
    return Request(method, f"/{quote(bucket)}/{quote(key)}" + (f"?{query}" if query else ""), signed("s3"))
