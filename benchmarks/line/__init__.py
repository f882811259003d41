"""One station for an hour: two cameras, while everything that a station does beside inspecting goes on.

Reading order: `cadence` (when triggers are due), `client` and `cameras` (a process of its own, which writes the
ledger), `ledger` (what they were told, beside the station's own record), `centre` (broker, monitor, registry), `outage`
(the outbox that an outage leaves), `shift` (the hour), `verdict` (figures), `__main__`.
"""
