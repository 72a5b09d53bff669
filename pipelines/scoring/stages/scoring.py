"""Scores rows by a model in the ONNX format."""

import functools
from dataclasses import dataclass

import flowc
import numpy as np
import onnxruntime as ort
import pyarrow as pa


@dataclass
class Scoring:
    """The columns that the model is given, and the score from which on a customer counts as one who leaves."""

    features: list[str]
    threshold: float = 0.5


@functools.lru_cache(maxsize=1)
def session(model: bytes) -> ort.InferenceSession:
    """The model, ready to run. A process loads it once: it is known by its content, and another content replaces it."""
    options = ort.SessionOptions()
    # One thread: flowc runs segments side by side, and threads would sum up in any order.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ready(model: bytes, config: Scoring) -> ort.InferenceSession:
    """The same, if it was made for these features: numbers alone would not show that they are in another order."""
    loaded = session(model)
    features = loaded.get_modelmeta().custom_metadata_map["features"].split(",")
    if features != config.features:
        raise flowc.Problem(f"the model is made for the features {', '.join(features)}", config_path="/features")
    return loaded


@flowc.stage(
    reads={"rows": lambda config: config.features, "model": ["content"]},
    adds={"score": pa.float64(), "class": pa.string()},
    batch=flowc.Batching(rows=256, seconds=0.05),
)
class Scored:
    """Adds how likely a customer is to leave, and whether to count on it."""

    def __init__(self, config: Scoring) -> None:
        self.config = config
        self.session: ort.InferenceSession | None = None

    def __call__(self, rows: pa.RecordBatch, model: pa.Table) -> dict[str, np.ndarray]:
        """Once per batch; the model is the same for all of an object's life."""
        self.session = self.session or ready(model["content"][0].as_py(), self.config)
        features = np.column_stack([rows[name].to_numpy(zero_copy_only=False) for name in self.config.features])
        (scores,) = self.session.run(["score"], {"features": features.astype(np.float32)})
        # The last digits of a model's answer may differ between machines, and with the size of the batch.
        score = scores[:, 0].astype(np.float64).round(4)
        return {"score": score, "class": np.where(score >= self.config.threshold, "leaves", "stays")}
