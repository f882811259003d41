"""One round of training: a pretrained network and a lesson in, the best weights of its checks out.

Reading order: `head` (the class's, fitted), `heads` (those of further tasks), `lora` and `unfreezing` (what learns, and
when), `averaging` (the weights over the steps), `kept` (checks, and what is kept of them), `jump` (when a schedule is
given up), `finetune` (the loop), `ranks` (several processes at it), `standing`, `midway` and `checkpoint` (how a killed
one goes on).
"""
