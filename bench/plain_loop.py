"""An evening without Temporal: the worker's own adapters, called one after the other for each move."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.database import database
from adapters.settings import Settings
from adapters.transfer.freeze_release import PostgresEnvironmentAccess
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.certification import PostgresCertifier
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m

_SCHEDULED = """
select t.transfer_id, e.schema_name as source, t.new_environment ->> 'schema_name' as target
from control.transfer t join control.environment e using (environment_id)
where t.state = 'scheduled' and t.environment_id = any ($1::uuid[])
"""


def _silence(_: m.CloneProgress) -> None:
    """Take a report that nobody asked for."""


async def moved_in_a_loop(settings: Settings, environment_ids: Sequence[UUID]) -> float:
    """Bring scheduled moves to where they can be released, as many at once as a worker does; return seconds."""
    slots, parallelism = settings.slots_clone, settings.clone_parallelism
    async with (
        database(settings.database_url, connections=slots * (parallelism + 1)) as heavy,
        database(settings.database_url, connections=settings.slots_transfers) as quick,
    ):
        verifier = PostgresVerifier(heavy, parallelism=parallelism)
        engine = PostgresCloneEngine(heavy, parallelism=parallelism, meanwhile=Prefetcher)
        setup = PostgresTargetSetup(quick)
        gate = PostgresEnvironmentAccess(quick, remind_every=settings.release_reminder_every)
        certifier = PostgresCertifier(heavy, verifier, CertificateSigner(settings.certificate_keys))

        async def move(transfer_id: UUID, source: str, target: str) -> None:
            sides = {"transfer_id": transfer_id, "source_schema": source, "target_schema": target}
            await engine.clone(m.CloneAdministrations(**sides), _silence)
            if not (await verifier.verify(m.VerifyClone(**sides), _silence)).equal:
                raise AssertionError(f"{transfer_id} is not equal")
            await setup.reconnect_banks(m.ReconnectBanks(transfer_id=transfer_id))
            await setup.apply_consequences(m.ApplyConsequences(transfer_id=transfer_id))
            await setup.compare(m.CompareEnvironments(transfer_id=transfer_id))
            await gate.open_for_inspection(m.OpenForInspection(transfer_id=transfer_id))
            await certifier.certify(m.IssueCertificate(**sides), _silence)

        rows = await quick.fetch(_SCHEDULED, environment_ids)
        if len(rows) != len(environment_ids):
            raise AssertionError(f"{len(rows)} of {len(environment_ids)} are scheduled")
        waiting = list(rows)

        async def slot() -> None:
            while waiting:
                row = waiting.pop()
                await move(row["transfer_id"], row["source"], row["target"])

        began = time.monotonic()
        await asyncio.gather(*(slot() for _ in range(slots)))
        return time.monotonic() - began
