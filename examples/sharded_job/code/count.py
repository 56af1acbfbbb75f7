"""Counts the words of the files that this host was given, and writes a file of its own into the model."""

import json
import os

folder, host = os.environ["SM_CHANNEL_TEXT"], os.environ["SM_CURRENT_HOST"]
counts = {}
for name in sorted(os.listdir(folder)):
    print("{} has {}".format(host, name), flush=True)
    with open(os.path.join(folder, name)) as file:
        counts[name] = len(file.read().split())
print("words {}".format(sum(counts.values())), flush=True)
# Hosts must not write the same name: the archives of all hosts become one.
with open(os.path.join(os.environ["SM_MODEL_DIR"], "counts-{}.json".format(host)), "w") as file:
    json.dump(counts, file)
