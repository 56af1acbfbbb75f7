"""The least that can be hosted: the model is a factor, which the numbers of a request are multiplied with."""

import json
import os


def model_fn(model_dir):
    with open(os.path.join(model_dir, "factor")) as file:
        return float(file.read())


def input_fn(body, content_type):
    print("predicting {}".format(body if isinstance(body, str) else body.decode()), flush=True)
    return json.loads(body)


def predict_fn(values, factor):
    return [value * factor for value in values]


def output_fn(answer, accept):
    return json.dumps(answer)
