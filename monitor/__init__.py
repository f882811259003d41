"""Takes telemetry, labels and candidate bundles; hands on acknowledgements, orders, a signed channel and the reasons.

Reading order:

- memory: `settings`, `store/`, `blobs`, `bundles`
- telemetry in, each message once: `link`, `ingest`, `loop`, `agent_events`
- thinking: `rules/` (values in, values out), `rulebook` with `memory` (what they know), `actions` (what they decide),
  `fleet` (what sites have in common), `timeline` (why), `changes` (what came into service), `history` (to try policies)
- asking: `orders` (agents), `benchmarks` (what bundles cost on their devices), `audit`; `labels`, `classes`, `ratings`,
  `people`, `label_studio` and `gold` (people); `retrain_order`, `retraining`, `trainer_process` and `label_check` (a
  trainer), with `label_manifest` and `job_process`
- from a bundle to a release or a refusal: `candidates`, `judging`, `gate`, `first_release`, `shadow`, with `evidence`,
  `comparing` and `evaluation`; then `releases`, `publishing`, `registry/`
- people and programs: `desk` and `label_desk` (acting), `queries` (looking), `api`, `label_api`, `label_check_api`,
  `benchmark_api`, `door`, `app`, `web/`, `metrics`
- all of it together: `works`, `retention`, `service`
"""
