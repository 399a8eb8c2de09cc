"""From what is wanted to the document of a report."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from api.contract import Named, named
from api.documents.document import Document, Language
from api.documents.pdf import as_pdf
from api.documents.xlsx import as_xlsx
from api.dormitories.printed import printed
from api.drains.network import networks
from api.drains.storm_report import report as storm_report
from api.parts import Parts
from api.reports.made import Wanted
from api.reports.period import Kind
from api.reports.printed import Naming, shift_document, site_document, storm_document
from api.reports.shift import shift_report
from api.reports.site import site_report
from api.routes.bills import bill_of
from api.routes.drains import overflow_share_of


def make(parts: Parts, wanted: Wanted, now_ms: int) -> Document | None:
    """The document; None where there is nothing of that name. Raises Unavailable."""
    zone = ZoneInfo(parts.catalogue.site[wanted.site].timezone)
    naming = Naming(names_of(parts), zone)
    language: Language = "en" if wanted.language == "en" else "zh"
    match wanted.kind:
        case Kind.DAY | Kind.MONTH:
            told = site_report(parts, wanted.site, wanted.period, now_ms)
            return site_document(wanted.kind, told, naming, language)
        case Kind.SHIFT:
            if wanted.subject not in parts.catalogue.place:
                return None
            key = None if wanted.period.key == "now" else wanted.period.key
            shift = shift_report(parts, wanted.subject, key, now_ms)
            return None if shift is None else shift_document(shift, naming, language)
        case Kind.STORM:
            network = networks(parts.catalogue).get(wanted.subject)
            if network is None or network.gauge is None:
                return None
            share = overflow_share_of(parts.rules.in_force())
            storm = storm_report(parts, network, wanted.period.start_ms, now_ms, share)
            return None if storm is None else storm_document(storm, naming, language)
        case Kind.BILL:
            building = parts.dormitories.building(wanted.subject)
            if building is None:
                return None
            made = bill_of(parts, building, wanted.site, wanted.period.key, is_fresh=True)
            issued = None
            if made.issued_ms is not None and made.issued_by is not None:
                issued = (f"{datetime.fromtimestamp(made.issued_ms / 1000, zone):%Y-%m-%d %H:%M %Z}", made.issued_by)
            return printed(made.bill, language, naming.names, issued)


def files_of(document: Document) -> dict[str, bytes]:
    """The document in every form."""
    return {"pdf": as_pdf(document), "xlsx": as_xlsx(document)}


def names_of(parts: Parts) -> dict[str, Named]:
    """How sites, places and rules are called, by id."""
    catalogue = parts.catalogue
    texts = {site.id: site.name for site in catalogue.sites} | {place.id: place.name for place in catalogue.places}
    found: dict[str, Named] = {rule["id"]: rule["name"] for rule in parts.rules.in_force()}
    return found | {name: named(text) for name, text in texts.items()}
