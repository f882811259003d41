"""The small backbone that ships with Lineside: weights made by `scripts/make_backbone`, described beside them.

Takes nothing, hands on two paths. Pretrained on simulated products, defects and surfaces that the demo never uses.
"""

from pathlib import Path

METADATA = Path(__file__).with_name("lineside_small.json")
"""id, architecture and model_args for timm, sha256, licence, training data, input_size, interpolation, mean, std."""
WEIGHTS = Path(__file__).with_name("lineside_small.safetensors")
"""A timm state dict without classifier, float32."""
