"""One "send" job: the objects of a result to a peer of the settings, by C-STORE.

The UIDs of what we make follow from the job that made it, so sending again replaces what is there
and doubles nothing.
"""

from __future__ import annotations

from sqlalchemy import select

from radloop.errors import InputError, RadloopError
from radloop.service.node.options import Peer
from radloop.service.settings import Settings
from radloop.service.store.database import Store
from radloop.service.store.schema import Job, Output


class SendError(RadloopError):
    """A peer did not take everything."""


def send(store: Store, job: Job) -> int:
    """Send a result's objects. Returns how many.

    Raises NodeError for a peer that cannot be reached and SendError for one that refuses, to be
    tried again; InputError where trying again cannot help.
    """
    from radloop.service.node.client import send as store_at

    peer = peer_of(store.settings, str(job.data.get("to")))
    wanted = list(job.data.get("outputs", ()))
    with store.reading() as session:
        blobs = list(
            session.scalars(
                select(Output.blob)
                .where(Output.result_id == job.data.get("result"), Output.sop_uid.in_(wanted))
                .order_by(Output.id)
            )
        )
    if not blobs:
        raise InputError("There is nothing to send.")
    paths = [store.blobs.path(blob) for blob in blobs]
    sent = store_at(peer, paths, store.settings.node.ae_title)
    refused = [one for one in sent if not one.taken]
    if refused:
        raise SendError(
            f"The peer '{peer.name}' refused {len(refused)} of {len(sent)} objects"
            f" (status {refused[0].status:#06x}).",
            "Its log says why.",
        )
    return len(sent)


def peer_of(settings: Settings, name: str) -> Peer:
    """A peer of the settings that can be sent to. Raises InputError."""
    for peer in settings.node.peers:
        if peer.name == name and peer.port:
            return peer
    raise InputError(
        f"The settings have no peer '{name}' with a port.", "Add it to node.peers, then try again."
    )
