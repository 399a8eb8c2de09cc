"""Reports as documents. Nothing is computed here that is not in the report, so that both languages say the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from api.contract import Named
from api.documents.document import Cell, Column, Document, Language, Table
from api.drains.storm_report import StormReport
from api.reports.period import Kind
from api.reports.shift import ShiftReport
from api.reports.site import SiteReport
from api.reports.words import WORDS


@dataclass(frozen=True, slots=True)
class Naming:
    """How things are called: places, rules and devices by id, in both languages; and the site's clock."""

    names: Mapping[str, Named]
    zone: ZoneInfo

    def of(self, name: str, language: Language) -> str:
        return self.names[name][language] if name in self.names else name

    def at(self, time_ms: int | None, form: str = "%m-%d %H:%M") -> Cell:
        return None if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, self.zone):{form}}"

    def span(self, start_ms: int, end_ms: int) -> str:
        form = "%Y-%m-%d %H:%M"
        return f"{self.at(start_ms, form)} – {self.at(end_ms, form)} ({self.zone.key})"


def site_document(kind: Kind, told: SiteReport, naming: Naming, language: Language) -> Document:
    """A day or a month of a site."""
    words = WORDS[language]
    made = words["made"].format(time=naming.at(told.as_of_ms, "%Y-%m-%d %H:%M"))
    about = [naming.span(told.period.start_ms, told.period.end_ms), made]
    if not told.is_over:
        about.append(words["not_over"])
    if told.is_cut:
        about.append(words["alarms_cut"].format(count=sum(each.count for each in told.classes)))
    tables = [
        _classes(told, language),
        _rules(told, naming, language),
        *([] if told.gates is None else [_gates(told, language)]),
        *([_peaks(told, naming, language)] if told.peaks else []),
        *([_storms(told, naming, language)] if told.storms else []),
        *([_use(told, language)] if told.use else []),
        *([_duties(told, language)] if told.duties else []),
        _days(told, language),
    ]
    title = words[f"title_{kind.value}"].format(site=naming.of(told.site, language), key=told.period.key)
    return Document(title, language, tuple(about), tuple(tables), (words["note_site"],), words["page"])


def shift_document(told: ShiftReport, naming: Naming, language: Language) -> Document:
    """A shift at a gate."""
    words = WORDS[language]
    signed = words["unsigned"] if told.guard is None else words["signed"].format(who=told.guard)
    about = [naming.span(told.period.start_ms, told.period.end_ms), signed]
    if told.note:
        about.append(words["hand_over_note"].format(note=told.note))
    lanes = tuple((naming.of(lane.place, language), lane.passages) for lane in told.lanes)
    passages = sum(lane.passages for lane in told.lanes)
    summary = (
        (words["passages"], passages),
        (words["fevers"], len(told.fevers)),
        (words["rechecks"], told.rechecks),
        (words["decided_count"], sum(fever.disposition is not None for fever in told.fevers)),
        (words["other_alarms"], told.other_alarms),
        (words["left_open"], len(told.left_open)),
    )
    fevers = tuple(
        (
            naming.at(fever.raised_ms),
            naming.of(fever.place, language),
            fever.value,
            _said(fever.disposition, language),
            fever.decided_by,
            _minutes(fever.answer_s),
            fever.note,
        )
        for fever in told.fevers
    )
    tables = (
        Table(words["summary"], (Column(words["what"], share=3), Column(words["count"], 0)), summary),
        Table(words["lanes"], (Column(words["lane"], share=3), Column(words["passages"], 0)), lanes,
              (words["sum"], passages), words["none"]),
        Table(words["fevers"], (Column(words["time"]), Column(words["lane"], share=1.4), Column(words["celsius"], 1),
              Column(words["decision"]), Column(words["who"]), Column(words["answer_min"], 1),
              Column(words["remark"], share=1.6)), fevers, empty=words["none"]),
        Table(words["left_open"], (Column(words["place"], share=2), Column(words["class"])),
              tuple((naming.of(item.place, language), _class(item.alarm_class, language)) for item in told.left_open),
              empty=words["none"]),
    )  # fmt: skip
    title = words["title_shift"].format(gate=naming.of(told.place, language))
    return Document(title, language, tuple(about), tables, (words["note_shift"],), words["page"])


def storm_document(told: StormReport, naming: Naming, language: Language) -> Document:
    """A storm over a network of drains."""
    words, storm = WORDS[language], told.storm
    about = [naming.span(storm.start_ms, storm.end_ms)]
    if not storm.is_over:
        about.append(words["storm_on"])
    summary = (
        (words["depth_mm"], storm.depth_mm),
        (words["peak_mm_h"], storm.peak_mm_h),
        (words["heard_percent"], 100 * storm.heard),
    )
    hours: dict[int, float] = {}
    for time_ms, fallen in zip(told.rain_ms, told.rain_mm, strict=True):
        hours[time_ms // 3_600_000] = hours.get(time_ms // 3_600_000, 0.0) + fallen
    rain = tuple((naming.at(hour * 3_600_000, "%d %H:%M"), fallen) for hour, fallen in sorted(hours.items()))
    manholes = tuple(
        (
            naming.of(each.place, language),
            each.before_m,
            each.peak_m,
            None if each.share is None else 100 * each.share,
            naming.at(each.peak_ms),
            naming.at(each.overflow_ms),
            naming.at(each.alarm_ms),
            _minutes(each.lead_overflow_s if each.overflow_ms is not None else each.lead_peak_s),
            _minutes(each.response_s),
            each.acknowledged_by,
        )
        for each in told.manholes
    )
    columns = (
        Column(words["manhole"], share=1.6), Column(words["before_m"], 2), Column(words["peak_m"], 2),
        Column(words["full_percent"], 0), Column(words["peak_at"]), Column(words["overflow_at"]),
        Column(words["alarm_at"]), Column(words["lead_min"], 1), Column(words["answer_min"], 1), Column(words["who"]),
    )  # fmt: skip
    work = tuple(
        (naming.at(done.time_ms), naming.of(each.place, language), words["work"].get(done.what, done.what), done.actor,
         done.note)
        for each in told.manholes
        for done in each.work
    )  # fmt: skip
    tables = (
        Table(words["rain"], (Column(words["what"], share=3), Column(words["amount"], 1)), summary),
        Table(words["rain_by_hour"], (Column(words["hour"]), Column("mm", 1)), rain, empty=words["none"], bars=(1,)),
        Table(words["manholes"], columns, manholes, empty=words["none"]),
        Table(words["work_done"], (Column(words["time"]), Column(words["manhole"], share=1.4), Column(words["what"]),
              Column(words["who"]), Column(words["remark"], share=2)), work, empty=words["none"]),
    )  # fmt: skip
    title = words["title_storm"].format(network=told.name[language], time=naming.at(storm.start_ms, "%Y-%m-%d %H:%M"))
    return Document(title, language, tuple(about), tables, (words["note_storm"],), words["page"])


def _classes(told: SiteReport, language: Language) -> Table:
    words = WORDS[language]
    rows = tuple(
        (
            _class(each.alarm_class, language),
            words["severities"][each.severity.word],
            each.count,
            each.answered,
            _minutes(each.median_s),
            _minutes(each.longest_s),
            each.still_open,
        )
        for each in told.classes
    )
    columns = (
        Column(words["class"]), Column(words["severity"]), Column(words["alarms"], 0), Column(words["answered"], 0),
        Column(words["median_min"], 1, 1.5), Column(words["longest_min"], 1, 1.3), Column(words["still_open"], 0),
    )  # fmt: skip
    sums = (sum(each.count for each in told.classes), sum(each.answered for each in told.classes))
    still_open = sum(each.still_open for each in told.classes)
    total = (words["sum"], "", *sums, None, None, still_open)
    return Table(words["alarms_by_class"], columns, rows, total, words["no_alarms"])


def _rules(told: SiteReport, naming: Naming, language: Language) -> Table:
    words = WORDS[language]
    rows = tuple(
        (
            naming.of(each.rule, language),
            each.count,
            each.true,
            each.false,
            each.unsaid,
            None if each.precision is None else 100 * each.precision,
        )
        for each in told.rules
    )
    columns = (
        Column(words["rule"], share=2.4), Column(words["alarms"], 0), Column(words["true"], 0),
        Column(words["false"], 0), Column(words["unsaid"], 0), Column(words["precision"], 0),
    )  # fmt: skip
    return Table(words["by_rule"], columns, rows, empty=words["no_alarms"])


def _gates(told: SiteReport, language: Language) -> Table:
    words, gates = WORDS[language], told.gates
    assert gates is not None
    rows: list[tuple[Cell, ...]] = [
        (words["passages"], gates.passages),
        (words["fevers"], gates.fevers),
        (words["rechecks"], gates.rechecks),
    ]
    rows += [(f"{words['decision']} – {_said(name, language)}", count) for name, count in sorted(gates.decided.items())]
    rows.append((words["undecided"], gates.undecided))
    return Table(words["gates"], (Column(words["what"], share=3), Column(words["count"], 0)), tuple(rows))


def _peaks(told: SiteReport, naming: Naming, language: Language) -> Table:
    words = WORDS[language]
    rows = tuple(
        (
            naming.of(peak.place, language),
            peak.depth_m,
            peak.peak_m,
            None if peak.peak_m is None else 100 * peak.peak_m / peak.depth_m,
            naming.at(peak.peak_ms),
        )
        for peak in told.peaks
    )
    columns = (
        Column(words["manhole"], share=2), Column(words["depth_m"], 2), Column(words["peak_m"], 2),
        Column(words["full_percent"], 0), Column(words["peak_at"]),
    )  # fmt: skip
    return Table(words["peaks"], columns, rows)


def _storms(told: SiteReport, naming: Naming, language: Language) -> Table:
    words = WORDS[language]
    rows = tuple(
        (naming.at(storm.start_ms), naming.at(storm.end_ms), storm.depth_mm, storm.peak_mm_h) for storm in told.storms
    )
    columns = (Column(words["start"]), Column(words["end"]), Column("mm", 1), Column("mm/h", 1))
    return Table(words["storms"], columns, rows)


def _use(told: SiteReport, language: Language) -> Table:
    words = WORDS[language]
    rows = tuple(
        (
            each.name[language] + (words["of_main"] if each.is_main else ""),
            each.meters,
            each.silent,
            round(each.total, each.decimals),
            _unit(each.unit),
        )
        for each in told.use
    )
    columns = (
        Column(words["what"], share=2), Column(words["meters"], 0), Column(words["silent"], 0),
        Column(words["used"], 1), Column(words["unit"]),
    )  # fmt: skip
    return Table(words["use"], columns, rows)


def _duties(told: SiteReport, language: Language) -> Table:
    words = WORDS[language]
    rows = tuple((each.name[language], each.done, each.late, each.missed) for each in told.duties)
    total = (words["sum"], *(sum(getattr(each, name) for each in told.duties) for name in ("done", "late", "missed")))
    columns = (Column(words["duty"], share=3), *(Column(words[name], 0) for name in ("done", "late", "missed")))
    return Table(words["duties"], columns, rows, total)


def _days(told: SiteReport, language: Language) -> Table:
    words = WORDS[language]
    shown = [each for each in told.use if not each.is_main]
    rows = tuple(
        (
            f"{day.day:%m-%d}",
            day.expected,
            day.received,
            day.missing,
            None if not day.expected else 100 * (day.expected - day.missing) / day.expected,
            day.alarms,
            *([] if told.gates is None else [day.passages]),
            *(day.use.get(each.metric) for each in shown),
        )
        for day in told.days
    )
    columns = (
        Column(words["day"]), Column(words["expected"], 0), Column(words["received"], 0), Column(words["missing"], 0),
        Column(words["complete_percent"], 1), Column(words["alarms"], 0),
        *([] if told.gates is None else [Column(words["passages"], 0)]),
        *(Column(f"{each.name[language]} ({_unit(each.unit)})", 1) for each in shown),
    )  # fmt: skip
    return Table(words["by_day"], columns, rows, bars=tuple(range(5, len(columns))))


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _class(name: str, language: Language) -> str:
    return str(WORDS[language]["classes"].get(name, name))


def _said(disposition: str | None, language: Language) -> str | None:
    return None if disposition is None else str(WORDS[language]["dispositions"].get(disposition, disposition))


def _unit(unit: str) -> str:
    return "m³" if unit == "m3" else unit
