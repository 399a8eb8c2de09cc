"""Every table of the SQL database: each is declared by the part that owns it, and known once that part is imported."""

import alerts.store
import api.dormitories.bills
import api.dormitories.cases
import api.drains.cleaning
import api.duties
import api.handovers
import api.instruments
import api.people.accounts
import api.reports.made
import api.visits
import ingest.history.completeness
import ingest.history.gateways
import ingest.history.quarantine
from telemetry.database import metadata as metadata

OWNERS = (
    alerts.store,
    api.people.accounts,
    api.dormitories.bills,
    api.dormitories.cases,
    api.drains.cleaning,
    api.duties,
    api.handovers,
    api.instruments,
    api.reports.made,
    api.visits,
    ingest.history.completeness,
    ingest.history.gateways,
    ingest.history.quarantine,
)
