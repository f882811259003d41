"""Where images come from: a watched folder, HTTP, MQTT, cameras and video files. All hand on `Capture`s (`source`).

Reading order:

- what cannot die: `folder` (watched), `push` (HTTP)
- what can: `device` (what a library has to offer), `attempt` (one opening, in a thread of its own), `backoff` and
  `supervisor` (reopens what has died, and says so)
- on top of these: `camera` (one camera: in time, by software, by its own line), with `address`, `video` (OpenCV) or
  `genicam` (harvesters) beneath; `topics` and `mqtt` (images as messages)
- `settings`, and `making`, which makes all of them from the settings.
"""
