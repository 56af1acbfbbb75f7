"""The handler that TorchServe runs: the toolkit's, which also reports how loading the model went.

A handler of one's own is the inference toolkit's documented extension point
(`start_torchserve(handler_service=…)`). Everything it needs is imported while loading, so that
an import that fails is reported like any other failure.
"""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path
from typing import Any

REPORTS = Path("/run/model-load")


class ModelHandler:
    def initialize(self, context: Any) -> None:
        _report("loading", str(os.getpid()))
        try:
            from sagemaker_pytorch_serving_container.handler_service import (  # type: ignore[import-not-found]
                HandlerService,
            )

            self._service = HandlerService()
            self._service.initialize(context)
        except BaseException:  # a module that calls sys.exit() has failed as well
            _report("failed", traceback.format_exc())
            time.sleep(10)  # `serve` ends the container meanwhile, with the traceback said once and last
            raise
        _report("loaded", "")

    def handle(self, data: Any, context: Any) -> Any:
        return self._service.handle(data, context)


def _report(name: str, text: str) -> None:
    part = REPORTS / ("." + name + str(os.getpid()))
    part.write_text(text)
    part.rename(REPORTS / name)  # whoever sees it, sees all of it
