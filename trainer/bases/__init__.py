"""Pretrained models: which there are, which may be used, and which fits the images of a site.

Reading order: `catalogue` (what is known of each), `ancestry` (what it was made from), `policy` and `verify` (which may
be used, and that a file is what it says), `backbone` (one of them, loaded), `stages` (cut into what stays frozen and
what learns), `transferability` and `ranking` (which of them fits), `yardstick` and `worth` (is it better than random
weights?). `torchvision_shim` is called before timm.
"""
