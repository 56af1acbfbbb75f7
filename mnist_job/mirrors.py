"""Downloads for prepare_data.py: short patience with a closed network, a progress bar on an open one."""

import http.client
import os
import ssl
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

STALL_SECONDS = 30.0  # a download may stand still this long
CHUNK = 1 << 16


class Unreachable(Exception):
    """A mirror does not give the file; another source may."""


def open_url(url, method, seconds):
    """The open response. Raises Unreachable with the reason."""
    if not url.startswith(("https://", "http://")):
        raise Unreachable("{}: neither https:// nor http://".format(url))
    try:
        request = urllib.request.Request(url, method=method, headers={"User-Agent": "prepare_data"})  # noqa: S310
        # SSL_CERT_FILE works by itself; behind a TLS-intercepting proxy, people often set only the other one.
        context = ssl.create_default_context()
        bundle = os.environ.get("REQUESTS_CA_BUNDLE")
        if bundle and Path(bundle).is_file():
            context.load_verify_locations(bundle)
        return urllib.request.urlopen(request, timeout=seconds, context=context)  # noqa: S310
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unreachable("{}: {}".format(url, problem)) from problem


def alive(bases, name, seconds, say):
    """The mirrors that answer for that file within `seconds` altogether, in their order.

    They are asked at the same time and in threads of their own, since looking up a name has no time limit:
    where the network drops what it does not like, several mirrors cost no more than one.
    """
    answers = {}

    def ask(base):
        try:
            open_url(base.rstrip("/") + "/" + name, "HEAD", seconds).close()
            answers[base] = None
        except Unreachable as problem:
            answers[base] = str(problem)

    threads = [threading.Thread(target=ask, args=(base,), daemon=True) for base in bases]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    for base in bases:
        reason = answers.get(base, "{}: no answer within {:g} s".format(base, seconds))
        if reason:
            say("data: {}".format(reason))
    return [base for base in bases if base in answers and answers[base] is None]


def fetch(url):
    """The content at that URL. Raises Unreachable, also when it stops half way."""
    with open_url(url, "GET", STALL_SECONDS) as response:
        length = int(response.headers.get("Content-Length") or 0)
        parts = []
        try:
            with progress(url.rsplit("/", 1)[1], length) as advance:
                for part in iter(lambda: response.read(CHUNK), b""):
                    parts.append(part)
                    advance(len(part))
        except (OSError, http.client.HTTPException) as problem:
            raise Unreachable("{}: {}".format(url, problem)) from problem
    content = b"".join(parts)
    if len(content) < length:
        raise Unreachable("{}: ended after {} of {} bytes".format(url, len(content), length))
    return content


@contextmanager
def progress(name, length):
    """Shows how far a download is; gives a function that is told of each part's size."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=length or None)
        yield lambda size: bar.advance(task, size)
