# /// script
# requires-python = ">=3.11"
# dependencies = ["onnx==1.23.2"]
# ///
"""Writes churn.onnx: a small network that says how likely a customer is to leave.

    uv run --locked model/make.py

Its numbers stand here and were not trained, so the file comes out the same, byte for byte, wherever it is made. They
are multiples of 1/64, and the features are whole numbers: no sum in the network is ever rounded, and so none depends on
the order in which it is summed up, which differs between machines and between sizes of batches.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

FEATURES = ["months", "visits", "tickets", "spent"]

# Per unit of the hidden layer: a weight for each feature, the constant, and what the unit adds to the answer.
HIDDEN = {
    "is new": ([-1 / 8, 0, 0, 0], 3, 3 / 4),
    "stays away": ([0, -1 / 2, 0, 0], 3, 1),
    "complains": ([0, 0, 1, -1 / 64], 0, 5 / 4),
    "is loyal": ([1 / 32, 1 / 8, -1 / 2, 1 / 64], -1, -3 / 2),
}
ANSWER = -3 / 2


def tensor(name: str, shape: list[int], values: list[float]) -> onnx.TensorProto:
    """Numbers of the network."""
    return helper.make_tensor(name, TensorProto.FLOAT, shape, values)


def network() -> onnx.ModelProto:
    """Features to hidden units to one number between 0 and 1, for any number of rows."""
    weights, constants, adds = zip(*HIDDEN.values(), strict=True)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "weights", "constants"], ["sums"], transB=1),
            helper.make_node("Relu", ["sums"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "adds", "answer"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["score"]),
        ],
        "churn",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(FEATURES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [
            tensor("weights", [len(HIDDEN), len(FEATURES)], [weight for unit in weights for weight in unit]),
            tensor("constants", [len(HIDDEN)], list(constants)),
            tensor("adds", [len(HIDDEN), 1], list(adds)),
            tensor("answer", [1], [ANSWER]),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {"features": ",".join(FEATURES)})
    onnx.checker.check_model(made, full_check=True)
    return made


if __name__ == "__main__":
    onnx.save(network(), Path(__file__).with_name("churn.onnx"))
