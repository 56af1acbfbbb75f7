"""Fits a line on all ranks together, and leaves what each of them was given."""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

import horovod.torch as hvd
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--note", required=True)
arguments = parser.parse_args()

hvd.init()
torch.manual_seed(arguments.seed)
points = json.loads(Path(os.environ["SM_CHANNEL_TRAINING"], "points.json").read_text())[hvd.rank() :: hvd.size()]
inputs = torch.tensor([point[:2] for point in points])
wanted = torch.tensor([point[2:] for point in points])
model = torch.nn.Linear(2, 1)
hvd.broadcast_parameters(model.state_dict(), root_rank=0)
plain = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
optimizer = hvd.DistributedOptimizer(plain, named_parameters=model.named_parameters())
for _ in range(arguments.epochs):
    optimizer.zero_grad()
    loss = ((model(inputs) - wanted) ** 2).mean()
    loss.backward()
    optimizer.step()
print("loss {:.6f}".format(float(hvd.allreduce(loss.detach()))), flush=True)

config = Path("/opt/ml/input/config")
seen = {
    "arguments": sys.argv,
    "folder": os.getcwd(),
    "python": platform.python_version(),
    "torch": torch.__version__,
    "rank": [hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size()],
    "variables": dict(os.environ),
    "documents": {path.name: json.loads(path.read_text()) for path in sorted(config.glob("*.json"))},
    "fitted": {"weight": model.weight[0].tolist(), "bias": float(model.bias[0])},
    "files": sorted(str(path) for top in ("code", "input/data") for path in Path("/opt/ml", top).rglob("*")),
}
Path(os.environ["SM_OUTPUT_DATA_DIR"], "rank-{}.json".format(hvd.rank())).write_text(json.dumps(seen))
if hvd.rank() == 0:
    torch.save(model.state_dict(), str(Path(os.environ["SM_MODEL_DIR"], "model.pth")))
