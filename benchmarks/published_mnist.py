"""The yardstick for mnist.py: the same training, with its data loaded as AWS's published example loads it.

Each image goes through PIL and a chain of transforms every time it is used (torchvision.datasets.MNIST, a
DataLoader with a DistributedSampler), and the gradients travel one by one. Flags and log lines are mnist.py's
own. To be run as the entry point of the same job: it wants mnist_job/code's modules beside it.
"""

import os
import socket
import time

import horovod.torch as hvd
import torch
import torch.nn.functional as F  # noqa: N812 (the name that all of torch's documentation uses)
from arguments import make_parser
from model_def import MEAN, STD, Net, save_weights
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
from torchvision import datasets, transforms


def make_loader(args, train, batch_size):
    """A loader of this rank's share, decoding and transforming image by image."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    dataset = datasets.MNIST(str(args.data_dir), train=train, transform=transform)
    sampler = DistributedSampler(dataset, num_replicas=hvd.size(), rank=hvd.rank(), shuffle=train)
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler)


def train_epoch(args, epoch, model, optimizer, loader):
    loader.sampler.set_epoch(epoch)
    model.train()
    started = time.perf_counter()
    for step, (images, labels) in enumerate(loader, start=1):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), labels)
        loss.backward()
        optimizer.step()
        if step % args.log_interval == 0 and hvd.rank() == 0:
            done, number = step * args.batch_size, len(loader.sampler)
            print(f"epoch {epoch}: {done}/{number} images, train loss {loss.item():.6f}", flush=True)
    seconds, done = time.perf_counter() - started, len(loader.sampler)
    if hvd.rank() == 0:
        rate = done / seconds
        print(
            f"epoch {epoch}: trained {done} images in {seconds:.2f} s ({rate:.0f} images/s per rank)",
            flush=True,
        )


def test(epoch, model, loader):
    loss, correct, count = 0.0, 0, 0
    model.eval()
    with torch.no_grad():
        for images, labels in loader:
            output = model(images)
            loss += F.nll_loss(output, labels, reduction="sum").item()
            correct += int((output.argmax(dim=1) == labels).sum())
            count += len(labels)
    sums = torch.tensor([loss, correct, count], dtype=torch.float64)
    loss, correct, count = hvd.allreduce(sums, name="test", op=hvd.Sum).tolist()
    if hvd.rank() == 0:
        loss, accuracy = loss / count, 100 * correct / count
        print(f"epoch {epoch}: test loss {loss:.4f}, test accuracy {accuracy:.2f} %", flush=True)


def main():
    args = make_parser(os.environ).parse_args()
    hvd.init()
    print(f"Horovod world: rank {hvd.rank()} of {hvd.size()} on {socket.gethostname()}", flush=True)
    train_loader = make_loader(args, True, args.batch_size)
    test_loader = make_loader(args, False, args.test_batch_size)
    torch.manual_seed(args.seed)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr * hvd.size(), momentum=args.momentum)
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    hvd.broadcast_optimizer_state(optimizer, root_rank=0)
    optimizer = hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters())
    for epoch in range(1, args.epochs + 1):
        train_epoch(args, epoch, model, optimizer, train_loader)
        test(epoch, model, test_loader)
    if hvd.rank() == 0:
        args.model_dir.mkdir(parents=True, exist_ok=True)
        save_weights(model, args.model_dir / "model.pth")


if __name__ == "__main__":
    main()
