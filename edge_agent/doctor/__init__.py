"""What is wrong with this station, and what to do: everything that its settings name, tried from where it runs.

Looks and changes nothing: nothing is installed, no floor raised, no message sent but empty ones. Reading order: `box`
(files, disk, clock), `model` (bundle, signatures), `broker`, `monitor`, `devices` (cameras, folders, outputs),
`service` (the running agent, ports, systemd), and `examination`, which asks them all.
"""
