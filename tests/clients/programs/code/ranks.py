"""What a script sees that is launched by one of the drivers of SageMaker SDK v3."""

import argparse
import os
import socket

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=int)
parser.add_argument("--name")
arguments = parser.parse_args()
rank = os.environ.get("RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0"))
size = os.environ.get("WORLD_SIZE", os.environ.get("OMPI_COMM_WORLD_SIZE", "1"))
seen = sorted(os.listdir(os.environ["SM_CHANNEL_TRAINING"]))
told = "factor {} name {} data {}".format(arguments.factor, arguments.name, seen)
print("rank {} of {} on {}: {}".format(rank, size, socket.gethostname(), told), flush=True)
if rank == "0":
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "factor"), "w") as file:
        file.write(str(arguments.factor))
