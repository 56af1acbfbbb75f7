"""Train the MNIST network on all hosts of a job together, with Horovod.

Runs unchanged under `horovodrun`, under SageMaker's own toolkit (mpirun) and, on one machine, by itself:
    python mnist.py --data-dir ../data --model-dir /tmp/model
"""

import os
import socket
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that all of torch's documentation uses)

import checkpoint
import mnist_data
from arguments import make_parser
from model_def import Net, normalise, save_weights


def say(text):
    # Flushed at once: a launcher reads from a pipe, where Python would keep lines back.
    print(text, flush=True)


class Alone:
    """A world of one rank: what training asks of Horovod, for a machine that does not have it."""

    rank, size, local_rank = 0, 1, 0
    carrier = None

    def unite(self, _model, optimizer):
        return optimizer

    def agree(self, model, optimizer):
        pass

    def total(self, numbers, _name):
        return numbers


class Horovod:
    """The ranks that the launcher started."""

    def __init__(self, hvd):
        hvd.init()
        self.hvd = hvd
        self.rank, self.size, self.local_rank = hvd.rank(), hvd.size(), hvd.local_rank()
        self.carrier = "gloo" if hvd.gloo_enabled() else "mpi"

    def unite(self, model, optimizer):
        """An optimizer with which all ranks step together. It has no state yet, whatever the given one had."""
        # In one group, so that the eight gradients, 85 KB together, are negotiated and sent as one message:
        # between hosts this network pays for each message's latency, not for its size.
        return self.hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters(), groups=1)

    def agree(self, model, optimizer):
        """All ranks go on from rank 0's weights and optimizer state."""
        self.hvd.broadcast_parameters(model.state_dict(), root_rank=0)
        self.hvd.broadcast_optimizer_state(optimizer, root_rank=0)

    def total(self, numbers, name):
        """The sum over all ranks of a list of numbers."""
        mine = torch.tensor(numbers, dtype=torch.float64)
        return self.hvd.allreduce(mine, name=name, op=self.hvd.Sum).tolist()


def join_world(hosts):
    """The world this process belongs to. Ends the program when hosts would train apart without knowing."""
    try:
        import horovod.torch as hvd
    except ImportError as problem:
        if len(hosts) > 1:
            sys.exit(
                "mnist.py: Horovod cannot be imported ({}), so the {} hosts {} cannot train together".format(
                    problem, len(hosts), ", ".join(hosts)
                )
            )
        say("Horovod is not installed ({}): training alone, on one host".format(problem))
        return Alone()
    return Horovod(hvd)


def introduce(world, args):
    """What each rank says at the start, and what is not as the job asked for."""
    say("Horovod world: rank {} of {} on {}".format(world.rank, world.size, socket.gethostname()))
    if world.rank:
        return
    if len(args.hosts) > world.size:
        say(
            "warning: the job has {} hosts, this world {} rank: the hosts train apart, each on all of the "
            "data; give the job a distribution, or start it with horovodrun".format(len(args.hosts), world.size)
        )
    if world.size > 1 and args.backend in ("gloo", "mpi") and args.backend != world.carrier:
        say("backend {} was asked for, the launcher chose {}".format(args.backend, world.carrier))


def choose_device(args, world):
    """The GPU with this rank's number on its host, or the CPU where there is none."""
    gpus = torch.cuda.device_count()
    if args.num_gpus is not None:
        gpus = min(gpus, args.num_gpus)
    if not gpus:
        return torch.device("cpu")
    device = torch.device("cuda", world.local_rank % gpus)
    torch.cuda.set_device(device)
    return device


def load_tensors(args, names, device):
    """Images and labels on the device. They are normalised here, once (60,000 images take 190 MB): a step
    then only picks rows, where decoding and transforming each image anew costs as much as training."""
    images, labels = mnist_data.load(args.data_dir, names)
    return normalise(torch.tensor(images)).to(device), torch.tensor(labels, dtype=torch.int64).to(device)


def epoch_order(args, epoch, number, world):
    """The numbers of this rank's images, in an order that is new each epoch, the same on all ranks."""
    order = np.random.RandomState((args.seed + epoch) % 2**32).permutation(number)
    return torch.from_numpy(mnist_data.training_shard(order, world.rank, world.size))


def train_epoch(args, epoch, model, optimizer, data, world):
    """One pass over this rank's shard of the images."""
    images, labels = data
    order = epoch_order(args, epoch, len(labels), world).to(labels.device)
    epoch_loss = interval_loss = torch.zeros((), device=labels.device)
    interval_images = 0
    model.train()
    started = time.perf_counter()
    for step, chosen in enumerate(order.split(args.batch_size), start=1):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images.index_select(0, chosen)), labels.index_select(0, chosen))
        loss.backward()
        optimizer.step()
        interval_loss = interval_loss + loss.detach() * len(chosen)
        interval_images += len(chosen)
        if step % args.log_interval == 0 and world.rank == 0:
            done = min(step * args.batch_size, len(order))
            mean = interval_loss.item() / interval_images
            say("epoch {}: {}/{} images, train loss {:.6f}".format(epoch, done, len(order), mean))
        if step % args.log_interval == 0:
            epoch_loss, interval_loss, interval_images = epoch_loss + interval_loss, interval_loss * 0, 0
    summed = (epoch_loss + interval_loss).item()  # also waits for a GPU to finish
    seconds = time.perf_counter() - started
    total, count = world.total([summed, len(order)], "train")
    if world.rank == 0:
        done, rate = len(order), len(order) / seconds
        say("epoch {}: trained {} images in {:.2f} s ({:.0f} images/s per rank)".format(epoch, done, seconds, rate))
        say("epoch {}: train loss {:.6f}".format(epoch, total / count))


def test(args, epoch, model, data, world):
    """Loss and accuracy over the whole test set, of which each rank looks at its share."""
    images, labels = (part[world.rank :: world.size] for part in data)
    loss, correct = 0.0, 0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(labels), args.test_batch_size):
            batch = slice(start, start + args.test_batch_size)
            output = model(images[batch])
            loss += F.nll_loss(output, labels[batch], reduction="sum").item()
            correct += (output.argmax(dim=1) == labels[batch]).sum().item()
    # Sums and counts travel, not averages: shares may differ in size.
    loss, correct, count = world.total([loss, correct, len(labels)], "test")
    if world.rank == 0:
        loss, accuracy = loss / count, 100 * correct / count
        say("epoch {}: test loss {:.4f}, test accuracy {:.2f} %".format(epoch, loss, accuracy))


def run(args):
    mnist_data.locate(args.data_dir)  # before anything slow, and before other ranks wait for this one
    world = join_world(args.hosts)
    introduce(world, args)
    device = choose_device(args, world)
    train_data = load_tensors(args, mnist_data.TRAIN, device)
    test_data = load_tensors(args, mnist_data.TEST, device)

    model, optimizer, done = prepare(args, world, device)
    for epoch in range(done + 1, args.epochs + 1):
        # Of this epoch and rank alone: all ranks must not drop out the same neurons, and a run that goes on from a
        # checkpoint must drop those that it would have dropped without the interruption.
        torch.manual_seed(args.seed + epoch * world.size + world.rank)
        train_epoch(args, epoch, model, optimizer, train_data, world)
        test(args, epoch, model, test_data, world)
        if args.checkpoint_dir and world.rank == 0:
            checkpoint.save(args.checkpoint_dir, epoch, model, optimizer)
    if world.rank == 0:  # all ranks hold the same weights
        args.model_dir.mkdir(parents=True, exist_ok=True)
        save_weights(model, args.model_dir / "model.pth")
        say("saved {}".format(args.model_dir / "model.pth"))


def prepare(args, world, device):
    """Model, optimizer, and the number of epochs that a checkpoint of rank 0 has behind it, all ranks alike."""
    torch.manual_seed(args.seed)
    model = Net().to(device)
    # A step averages the gradients of `size` batches, so it may be that much longer (Goyal et al. 2017).
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr * world.size, momentum=args.momentum)
    optimizer = world.unite(model, optimizer)
    done = 0
    if args.checkpoint_dir and world.rank == 0:  # other hosts may have another checkpoint, or none yet
        done = checkpoint.load(args.checkpoint_dir, model, optimizer, device)
    world.agree(model, optimizer)
    done = int(world.total([done], "done")[0])
    if done and world.rank == 0:
        say("resuming after epoch {} from {}".format(done, args.checkpoint_dir / checkpoint.NAME))
    return model, optimizer, done


def main():
    args = make_parser(os.environ).parse_args()
    try:
        run(args)
    except mnist_data.DataError as problem:
        sys.exit("mnist.py: {}".format(problem))


if __name__ == "__main__":
    main()
