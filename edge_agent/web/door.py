"""The routes of one running agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from contracts.access import secret
from contracts.frame import Outcome
from edge_agent.outbound import connections
from edge_agent.web.app import create_app
from edge_agent.web.carrying import carrying_routes
from edge_agent.web.clients import Clients
from edge_agent.web.inspect import Defaults, inspect_routes
from edge_agent.web.outbound import outbound_routes
from edge_agent.web.outcomes import outcome_routes
from edge_agent.web.page import page_routes
from edge_agent.web.parts import part_routes
from edge_agent.web.pausing import pause_routes
from edge_agent.web.product import product_routes
from edge_agent.web.records import record_routes
from edge_agent.web.rendering import Rendering, static_routes
from edge_agent.web.trigger import trigger_routes
from edge_agent.web.troubles import trouble_routes
from edge_agent.web.verdicts import verdict_routes

if TYPE_CHECKING:
    from edge_agent.agent import Agent


def web_app(agent: Agent) -> FastAPI:
    """The application of this agent."""
    web, core = agent.settings.web, agent.core

    boot = core.outbox.started
    rendering = Rendering(site=agent.settings.site, agent=agent.settings.agent, boot=boot)

    def recorded(outcome: Outcome) -> None:
        core.recent.note(outcome.part_id, outcome.label)
        core.ledger.committed()

    routers = [
        inspect_routes(
            agent.push,
            defaults=Defaults(camera=web.camera, product=web.product, line=web.line),
            max_bytes=agent.settings.inspection.max_image_bytes,
            most_pairs=web.most_pairs,
            unready=agent.unready,
            count_refused=core.metrics.refused_images.inc,
        ),
        trigger_routes(agent.cameras, core.parts, unready=agent.unready, count_refused=core.metrics.refused_images.inc),
        outcome_routes(
            core.outcomes,
            labels=lambda: agent.view().labels,
            good_labels=lambda: agent.view().good_labels,
            recorded=recorded,
        ),
        product_routes(agent.products.changeover),
        verdict_routes(core.record),
        part_routes(core.parts),
        pause_routes(core.pause),
        carrying_routes(core.outbox, agent=agent.settings.agent, birth=agent.birth),
        page_routes(agent.view, core.recent, rendering, boot=boot),
        record_routes(
            core.record,
            rendering,
            cameras=lambda: sorted(core.record.last_sequences()),
            kept_days={
                "verdicts": agent.settings.record.retention_days,
                "images": agent.settings.buffer.retention_days,
            },
        ),
        outbound_routes(lambda: connections(agent), rendering),
        trouble_routes(agent.troubles),
        static_routes(),
    ]
    return create_app(
        routers,
        registry=core.metrics.registry,
        refresh_metrics=agent.refresh_metrics,
        ready=agent.ready,
        user=web.user,
        password=secret(web.password, web.password_file),
        clients=Clients(web.clients),
        came=lambda client: core.metrics.client_requests.labels(client).inc(),
    )
