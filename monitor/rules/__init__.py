"""The thinking of the monitor: values in, values out. Takes windows, labels, a person's words and the fate of
candidates, all with their times; hands on the next state and the actions to carry out, each with its reason.

Reading order: `reason` (why, in a form that pages can translate), `settings` (every limit), `facts` (what a bundle
promises), `happening` (what may come in), `action` (what may come out); then `camera` (what is remembered of one),
`judging` (a window against its profile), `decision` (where the camera goes), `cause` (what foretold a drift), `size`
(of its pictures), `diagnosis` (what a drift is), `evidence` (what labels prove), `incident` (alarms of one model,
merged), `governor` (may a retrain run?), `withdrawal` (is the served release wrong?), `pace` (is it slower?), `trigger`
(other reasons to retrain), `budget` (of labels); and all of it for one model: `turn` (its state), `serving` (a release,
its labels), `watching` (a window), `past` (one that comes late), `clicking` (a person), `answering` (from labels to a
retrain and back), with the door in `model`: `step(state, happening)`. Beside that circle stand `rating` (what several
people's answers come to), `symptom` (what a person would see), `paired` (two bundles on the same parts), `gate` (may a
candidate go on?), `shadowing` (may it be promoted?), `approval` (who says so?), `fleet` (which incidents of all models
have one cause?) and `replaying` (what would another policy have decided?).

No I/O, no clock, no randomness: times come in with what happens, and states are frozen pydantic models that survive a
trip through JSON, so a monitor killed at any moment goes on where its last commit was.
"""
