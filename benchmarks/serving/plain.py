"""What everybody writes first: decode with OpenCV, resize, ask onnxruntime, take the likeliest class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from runtime.bundle import open_bundle


def decoded_small(image: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """[h, w, 3] RGB of this width and height: every pixel decoded, then averaged over areas."""
    cv2.setNumThreads(1)
    decoded = cv2.imdecode(np.frombuffer(image, dtype=np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("not an image")
    small = cv2.cvtColor(cv2.resize(decoded, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    return np.asarray(small, dtype=np.uint8)


class Plain:
    """One onnxruntime variant of a bundle, without anything of Lineside around it."""

    def __init__(self, path: Path, variant: str = "onnxruntime-cpu/int8") -> None:
        bundle = open_bundle(path)
        spec = bundle.manifest.preprocessing
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = bundle.read(bundle.manifest.variant(variant).file)
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._size = spec.width, spec.height
        self._scale = (1.0 / (255.0 * np.array(spec.std, dtype=np.float32))).astype(np.float32)
        self._shift = (np.array(spec.mean) / np.array(spec.std)).astype(np.float32)
        self._labels = bundle.manifest.labels

    def answer(self, image: bytes) -> dict[str, object]:
        """Label and logits of an encoded image."""
        logits = self.logits(self.tensor(image))
        return {"label": self._labels[int(logits.argmax())], "logits": logits.tolist()}

    def tensor(self, image: bytes) -> NDArray[np.float32]:
        """[1, 3, h, w]."""
        scaled = decoded_small(image, self._size).astype(np.float32) * self._scale - self._shift
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[np.newaxis])

    def logits(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """[k]."""
        found: NDArray[np.float32] = self._session.run(None, {self._input: tensor})[0][0]
        return found
