"""The least that can be trained: every host says who it is, and the first keeps a factor for a model."""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--factor", type=int, default=2)
arguments = parser.parse_args()
host, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])
seen = sorted(os.listdir(os.environ["SM_CHANNEL_TRAINING"])) if "SM_CHANNEL_TRAINING" in os.environ else []
print("this is {} of {}, which sees {}".format(host, " ".join(hosts), seen))
print("loss {};".format(1 / arguments.factor))
if host == hosts[0]:
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "factor"), "w") as file:
        file.write(str(arguments.factor))
