"""What the node does with messages: C-STORE to the store, commitment from the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from radloop.service.logs import event
from radloop.service.node import commitment
from radloop.service.node.association import Answer, Incoming, Report, Services
from radloop.service.node.contexts import Context, Request
from radloop.service.node.dimse import Command
from radloop.service.node.header import SeriesFacts
from radloop.service.node.options import NodeOptions
from radloop.service.node.receive import Kept, Receiver
from radloop.service.store.database import Store
from radloop.service.store.intake_fast import FastIntake


def make_services(store: Store, options: NodeOptions) -> tuple[Services, Callable[[], None]]:
    """The services of one association, and what is to be called at its end."""
    intake, series = FastIntake(store), SeriesFacts()
    counts = {"count": 0, "new": 0, "failed": 0, "bytes": 0}

    def told(one: Kept) -> None:
        failed = one.status >= 0xA000 and one.status >> 12 != 0xB
        counts["failed" if failed else "count"] += 1
        counts["new"] += one.new
        counts["bytes"] += one.bytes
        if failed:
            event("node", "refused_object", logging.WARNING, status=f"{one.status:04X}")

    def receive(command: Command, context: Context) -> Incoming:
        return Receiver(store, intake.register, options.limits, command, context, series, told)

    def act(
        command: Command, context: Context, body: bytes, request: Request
    ) -> tuple[Answer, Report | None]:
        return commitment.answer(store, command, context, body)

    def unreported(report: Report, request: Request) -> None:
        peer = next((p for p in options.peers if p.ae_title == request.calling and p.port), None)
        if peer is not None:
            threading.Thread(
                target=commitment.report_later, args=(peer, options.ae_title, report), daemon=True
            ).start()

    def ended() -> None:
        intake.close()
        if counts["count"] or counts["failed"]:
            event("node", "received", **counts)

    return Services(receive, act, unreported), ended
