"""A script that does nothing but one allreduce: what remains is the cost of launching."""

import horovod.torch as hvd
import torch

hvd.init()
total = hvd.allreduce(torch.ones(1), name="one", op=hvd.Sum).item()
print(f"rank {hvd.rank()} of {hvd.size()}: {total:g}", flush=True)
if total != hvd.size():
    raise SystemExit(f"the sum is {total:g}, not {hvd.size()}")
