"""The image's `serve` command: AWS's PyTorch inference toolkit and TorchServe on port 8080.

TorchServe's /ping is 200 as soon as its front end is up, also when no worker can ever load the
model: it starts workers again for ever while invocations hang. Here a model that cannot be loaded
ends the container within moments, its traceback last in the log. `model_handler` reports from
the worker how the loading went, a thread of this process watches those reports, and the command
`model-ready` waits for them.

Multi-model hosting has no model at the start and is left to the toolkit as it is.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTS = Path("/run/model-load")  # `loading` (the worker's pid), `loaded`, `failed` (a traceback)
FAILED = "model-load failed"  # harness/endpoint_log.py looks for this line
LOG_CONFIG = Path("/run/log4j2.xml")

# Defaults that a user's own variables override.
DEFAULTS = {
    # The toolkit's default is one worker per CPU, each with its own torch (250 MB). The job names a
    # one-GPU instance, where TorchServe starts one; on a shared machine a second delays the first.
    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
    # TorchServe otherwise starts a Python process at once and every minute to measure the host.
    "TS_DISABLE_SYSTEM_METRICS": "true",
    # The front end lives for minutes and does little: compile quickly, collect garbage in one thread.
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto",
}

# The toolkit's own configuration prints some 90 lines before the first request and four metrics for
# each one. This keeps what the handler says, each access, and everything that is a warning.
LOG4J2 = """<Configuration>
  <Appenders>
    <Console name="stdout" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} [%-5p] %t %c - %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="MODEL_LOG" level="info"/>
    <Logger name="ACCESS_LOG" level="info"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Root level="warn"><AppenderRef ref="stdout"/></Root>
  </Loggers>
</Configuration>
"""


def main() -> None:
    stopped = _note_sigterm()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    handler = HERE / "serving" / "model_handler.py"  # a folder of its own, as it joins the handlers' sys.path
    if os.environ.get("SAGEMAKER_MULTI_MODEL") == "true":
        toolkits = importlib.util.find_spec("sagemaker_pytorch_serving_container.handler_service")
        handler = Path(toolkits.origin if toolkits and toolkits.origin else "")
    else:
        _forget_reports()
        threading.Thread(target=_watch_loading, daemon=True).start()

    # What the toolkit's serving.main() does, without its import of torch into this process (1.3 s).
    from sagemaker_pytorch_serving_container import torchserve  # type: ignore[import-not-found]

    if os.environ.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "20") != "10":  # 10 is DEBUG
        LOG_CONFIG.write_text(LOG4J2)
        torchserve.DEFAULT_TS_LOG_FILE = str(LOG_CONFIG)
    torchserve.start_torchserve(handler_service=str(handler))
    if not stopped():
        sys.exit("the model server has ended by itself")


def _note_sigterm() -> Callable[[], bool]:
    """Stop on SIGTERM from the first moment on, which process 1 otherwise ignores.

    The toolkit puts its own handler in place later; the pipe still learns of the signal.
    """
    received, note = os.pipe()
    os.set_blocking(received, False)
    os.set_blocking(note, False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.set_wakeup_fd(note, warn_on_full_buffer=False)

    def stopped() -> bool:
        try:
            return signal.SIGTERM in os.read(received, 64)
        except BlockingIOError:
            return False

    return stopped


def _forget_reports() -> None:
    REPORTS.mkdir(parents=True, exist_ok=True)
    for report in REPORTS.iterdir():
        report.unlink()


def _watch_loading() -> None:
    while not (REPORTS / "loaded").exists():
        failure = _failure()
        if failure:
            print(FAILED, failure, sep="\n", flush=True)
            os._exit(1)  # the end of process 1 takes TorchServe and its workers with it
        time.sleep(0.05)


def _failure() -> str | None:
    """Why the model cannot be loaded, or None as long as it may still be."""
    pid = _report("loading")
    alive = pid is None or Path("/proc", pid).exists()
    # Only now, as a worker reports before it ends.
    failure = _report("failed")
    if failure is None and not alive and not (REPORTS / "loaded").exists():
        return "the worker ended while it loaded the model: it crashed, was out of memory or left by itself"
    return failure


def _report(name: str) -> str | None:
    try:
        return (REPORTS / name).read_text()
    except FileNotFoundError:
        return None
