"""Alembic's entry: runs migrations on the connection it is given."""

from alembic import context

import alerts.store
import api.accounts
import ingest.history.completeness
import ingest.history.gateways
import ingest.history.quarantine  # noqa: F401  (imported so that every table is known)
from telemetry.database import metadata

assert alerts.store and api.accounts

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
