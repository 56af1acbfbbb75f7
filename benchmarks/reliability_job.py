"""The script that faults are done to: ranks that add up numbers together, write to disk and hold some memory."""

import os
import pathlib
import socket
import time

import horovod.torch as hvd
import torch

EPOCHS, STEPS = 12, 5

print("starting", flush=True)
held = torch.ones(25_000_000)  # 100 MB, so that a limit of less is felt
hvd.init()
print(f"rank {hvd.rank()} of {hvd.size()} on {socket.gethostname()}", flush=True)
written = pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"]) / f"rank-{hvd.rank()}"
written.parent.mkdir(parents=True, exist_ok=True)
for epoch in range(1, EPOCHS + 1):
    for step in range(STEPS):
        total = hvd.allreduce(torch.ones(25_000), op=hvd.Sum, name=f"{epoch}-{step}")
        assert total[0].item() == hvd.size()  # noqa: S101
        held += 1
    with written.open("ab") as file:
        file.write(bytes(300_000))
    print(f"epoch {epoch} of rank {hvd.rank()}", flush=True)
    time.sleep(0.3)
if hvd.rank() == 0:
    (pathlib.Path(os.environ["SM_MODEL_DIR"]) / "model").write_text("done")
