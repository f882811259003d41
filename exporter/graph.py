"""Torch -> fp32 ONNX: one input `image`, outputs `logits`, `embedding` and those of the tasks, batch 1, weights
inline."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import nn

from contracts.errors import BundleError
from exporter.passes.shrunk import shrink
from runtime.graph import check_graph
from runtime.session import INPUT, Signature

OPSET = 20
"""Pinned: onnxruntime fuses what its quantiser writes at this one; a newer one has to be measured first."""


def export_graph(module: nn.Module, signature: Signature, path: Path) -> None:
    """Write `module` as ONNX. Requires eval mode; ensures a file that passes onnx's full check and the bundle's own.

    Raises BundleError when the network cannot be exported or uses what a bundle may not hold.
    """
    example = torch.zeros(signature.shape)
    try:
        with quiet(), torch.inference_mode():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(signature.outputs),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise BundleError(f"the network cannot be written as ONNX: {error}; use another backbone") from error
    if program is None:
        raise BundleError("torch wrote no ONNX graph; use another backbone")
    program.save(str(path), external_data=False)
    shrink_file(path)


def shrink_file(path: Path) -> None:
    """Leave out of a model file what nobody reads; its answers stay the same, bit by bit. Raises as `check_file`."""
    model = onnx.load(path)
    shrink(model)
    onnx.save(model, path)
    check_file(path)


def check_file(path: Path) -> None:
    """Raise BundleError unless onnx's checker and the bundle's rules for model files accept `path`."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BundleError(f"{path.name} is not valid ONNX: {error}") from error
    check_graph(path.read_bytes(), path.name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' chatter (prints, logs below errors, warnings) out of the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
