"""Fits y = 3x + 1 on all ranks together. Started by torchrun on every host."""

import argparse
import hashlib
import os
import socket

import torch
import torch.distributed as dist


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    print("rank {} of {} on {}".format(rank, size, socket.gethostname()), flush=True)

    torch.manual_seed(args.seed)
    model = torch.nn.Linear(1, 1)
    together = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(together.parameters(), lr=0.1)
    torch.manual_seed(args.seed + rank)  # every rank draws samples of its own
    for step in range(args.steps):
        x = torch.randn(64, 1)
        loss = torch.nn.functional.mse_loss(together(x), 3 * x + 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        dist.all_reduce(loss.detach().div_(size))
        if rank == 0:
            print("step {}: loss {:.6f}".format(step, loss.item()), flush=True)

    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    print("parameters of rank {}: {}".format(rank, hashlib.sha256(weights).hexdigest()), flush=True)
    if rank == 0:
        torch.save(model.state_dict(), os.path.join(os.environ["SM_MODEL_DIR"], "line.pth"))


if __name__ == "__main__":
    main()
