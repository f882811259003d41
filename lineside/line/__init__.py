"""The simulated line: takes a seed and `Conditions`, hands on `Part`s (image, true label, severity, box).

In reading order: `finish` (surfaces), `product` (shapes), `defect` (what can be wrong), `lens` (camera, focus, dirt),
`conditions` (the knobs), `simulated` (the line), `dataset` (a folder with a manifest). NumPy and Pillow only.

>>> line = SimulatedLine(seed=1, cameras=("cam-a", "cam-b"))
>>> part = line.next_part("cam-a", Conditions(product="cap"))
>>> part.image.shape, part.part_id
((128, 128, 3), '1-cam-a-000000')
"""

from lineside.line.conditions import Conditions
from lineside.line.dataset import write_dataset
from lineside.line.defect import DEMO_DEFECTS, GOOD, PRETRAIN_DEFECTS
from lineside.line.finish import Finish, draw_new_finish, draw_pretrain_finish
from lineside.line.lens import IMAGE_PX, Dirt, draw_dirt
from lineside.line.product import DEMO_PRODUCTS, PRETRAIN_PRODUCTS, Product
from lineside.line.simulated import Part, SimulatedLine

__all__ = [
    "DEMO_DEFECTS", "DEMO_PRODUCTS", "GOOD", "IMAGE_PX", "PRETRAIN_DEFECTS", "PRETRAIN_PRODUCTS", "Conditions", "Dirt",
    "Finish", "Part", "Product", "SimulatedLine", "draw_dirt", "draw_new_finish", "draw_pretrain_finish",
    "write_dataset",
]  # fmt: skip
