"""The core process: subscriber, journal, alert engine, history, live values and notices, a named thread each.

Any thread that fails in a way nobody foresaw stops the process with its reason in the log; whoever runs it (systemd, a
container engine, the demo) starts it again, and the journal makes that harmless.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import prometheus_client
import structlog

from alerts.escalation import DAMAGED, STORED, UNSTORED
from alerts.notify.channels import Channel, MqttChannel, WebhookChannel, WebhookSettings
from alerts.notify.heartbeat import Beats, Heartbeat
from alerts.notify.routing import MQTT_CHANNEL
from alerts.notify.sender import Sender
from alerts.notify.settings import make_channel
from alerts.notify.upkeep import Upkeep
from alerts.people import load_people, mistakes_of
from alerts.program import compile_rules
from alerts.rules import load_rule_files
from alerts.sampling import SamplingLoop
from alerts.store import Store
from alerts.worker import CURSOR as ALERTS_CURSOR
from alerts.worker import AlertWorker
from api.audit import Audit
from api.duties import Duties, load_duties
from gatehouse.admission import admit, check_transport
from gatehouse.anchor import Anchoring, mistakes_of_anchor
from gatehouse.catching_up import CatchUp
from gatehouse.guards import Guards
from gatehouse.identities import server_identities
from gatehouse.migrate import migrate
from gatehouse.missed import MissedDuties
from gatehouse.mqtt import Publisher
from gatehouse.settings import Settings
from gatehouse.watch import Watch
from ingest import events
from ingest.committer import Committer
from ingest.completeness import CURSOR as COMPLETENESS_CURSOR
from ingest.completeness import CompletenessLoop
from ingest.history.completeness import Completeness
from ingest.history.gateways import GatewayStates
from ingest.history.history import HistoryWriter, SeriesPlace, StoreAway, series_places
from ingest.history.loop import CURSOR as HISTORY_CURSOR
from ingest.history.loop import HistoryLoop
from ingest.history.parquet import ParquetWriter
from ingest.history.quarantine import Quarantine
from ingest.history.settings import ParquetSettings
from ingest.live import LiveValues
from ingest.local_alarms import Told
from ingest.recent import Recent
from ingest.subscriber import Subscriber
from ingest.vet import Vetter
from telemetry.catalogue import Catalogue
from telemetry.clock import Clock, SteadyClock, SystemClock
from telemetry.database import DATABASE_AWAY, open_database
from telemetry.errors import BadConfiguration, Unavailable
from telemetry.journal import Journal
from telemetry.series import SeriesRegistry
from telemetry.tls import Expiry, expiries, when_valid

if TYPE_CHECKING:
    from ingest.history.influx_rollups import InfluxRollups

_log = structlog.get_logger("core")

_TRIM_EVERY_S = 60.0
_WARN_MS = 30 * 86_400_000  # a certificate that ends within this time is told of
_BEHIND_MAX = 200  # records to judge and frames at gateways; with more than this the core is catching up


class Core:
    """All of the core, wired. `run` returns when stopped, or raises what made it stop."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        machine = clock or SystemClock()
        check_transport(settings, server_identities(settings.client_id)[:3], machine)
        self._ending: list[Expiry] = []
        self._catch_up = CatchUp()
        self._estimating = threading.Lock()  # live values and probes ask from threads of their own
        catalogue = Catalogue.load(settings.catalogue)
        declared = load_rule_files(settings.rules, catalogue)
        rules = declared.rules
        for rule in rules:
            for channel in rule.notify:
                if channel not in settings.channels:
                    raise BadConfiguration(f"rule '{rule.id}' notifies '{channel}', which is not among 'channels'")
        people = load_people(settings.people)
        for mistake in mistakes_of(people, [(rule.id, rule.route) for rule in rules], settings.channels):
            raise BadConfiguration(mistake)
        duties = load_duties(settings.duties, catalogue)
        migrate(settings.database.url)
        database = open_database(settings.database.url)
        self.journal = Journal(settings.journal.path, on_damage=events.journal_damaged)
        events.journal_opened(self.journal.torn, self.journal.damages())
        newest = self.journal.read(self.journal.last - 1, 1)
        self._clock = clock = SteadyClock(machine, newest[0].time_ms if newest else 0)
        registry = SeriesRegistry.open(self.journal, catalogue)
        committer = Committer(self.journal, clock)
        states = GatewayStates(database)
        self._vetter = vetter = Vetter(
            catalogue,
            registry,
            committer.seen(),
            Recent.open(self.journal),
            Told.open(self.journal),
            states.all(),
            Guards(database).is_guard,
        )
        entry = (lambda: None) if settings.insecure else partial(admit, settings, catalogue)
        self.subscriber = Subscriber(settings.broker, settings.client_id, vetter, committer, clock, entry)
        self._store = store = Store(database)
        self._told_of: set[str] = (
            set()
        )  # stretches of the journal that are damaged; the engine knows over restarts, too
        self._has_told_of_history: bool | None = None  # that it refuses us; None: whoever ran before may have
        self._publisher = Publisher(settings.broker, f"{settings.client_id}-out")
        mqtt = MqttChannel(self._publisher.publish)
        channels: dict[str, Channel] = {MQTT_CHANNEL: mqtt}
        channels |= {
            name: make_channel(name, channel, people, clock.now_ms) for name, channel in settings.channels.items()
        }
        self._senders = {name: Sender(name, channel, store, clock) for name, channel in channels.items()}
        self._anchoring: Anchoring | None = None
        if (anchor := settings.audit.anchor) is not None:
            wrong = mistakes_of_anchor(anchor, settings.channels, people)
            if wrong:
                raise BadConfiguration("\n".join(wrong))
            # A channel of its own: what waits for a slow answer must not hold up a notice.
            outside = make_channel(anchor.channel, settings.channels[anchor.channel], people, clock.now_ms)
            self._anchoring = Anchoring(anchor, outside, Audit(database, clock), clock)
        program = compile_rules(rules, catalogue, registry, declared.schedules)
        self.alerts = AlertWorker(
            self.journal, program, catalogue, store, clock, self._wake_senders, people, settings.channels.keys()
        )
        self._upkeep = Upkeep(database, clock, self.alerts.wanted, self._wake_senders)
        beating: dict[str, Beats] = {MQTT_CHANNEL: mqtt}
        beating |= {
            # A client of its own: what waits for a slow answer to a notice must not hold up the beat.
            name: WebhookChannel(channel)
            for name, channel in settings.channels.items()
            if isinstance(channel, WebhookSettings) and channel.heartbeat
        }
        self._heartbeats = {name: self._heartbeat(name, channel) for name, channel in beating.items()}
        places = series_places(registry, catalogue)
        self.history = HistoryLoop(self.journal, _history_writer(settings, places, clock), Quarantine(database), clock)
        self._rollups = _rollups(settings, self.journal, places)
        readers = {ALERTS_CURSOR, HISTORY_CURSOR, COMPLETENESS_CURSOR}
        readers |= set() if self._rollups is None else {self._rollups.reader}
        for name in self.journal.cursors().keys() - readers:
            # Another store was configured once: what nobody reads any more must not keep the journal from being trimmed.
            self.journal.forget_cursor(name)
        self.completeness = CompletenessLoop(
            self.journal,
            Completeness(database),
            states,
            catalogue,
            registry,
            clock,
            lambda: vetter.gateways,
            settings.completeness.late_after_s,
            settings.completeness.keep_days,
        )
        self._watch = Watch(
            settings,
            store,
            Completeness(database),
            self.journal,
            catalogue,
            registry,
            clock,
            lambda: vetter.gateways,
            lambda: self._records_behind() > _BEHIND_MAX,
        )
        self._sampling = SamplingLoop(database, self.alerts.in_force, self._publisher.publish, clock)
        self._missed = MissedDuties(Duties(database, catalogue, duties), store, catalogue, clock)
        self._live = LiveValues(self.journal, places, self._publisher.publish, self.readiness)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises what a thread failed with."""
        failures: list[BaseException] = []
        parts: dict[str, Callable[[threading.Event], None]] = {
            "subscriber": self.subscriber.run,
            "alerts": self.alerts.run,
            "history": self.history.run,
            **({} if self._rollups is None else {"history-rollups": self._rollups.run}),
            "completeness": self.completeness.run,
            "live": self._live.run,
            "sampling": self._sampling.run,
            "housekeeping": self._keep_house,
            **{f"notices-{name}": sender.run for name, sender in self._senders.items()},
            "notices-upkeep": self._upkeep.run,
            **({} if self._anchoring is None else {"audit-anchor": self._anchoring.run}),
            **{f"heartbeat-{name}": beat.run for name, beat in self._heartbeats.items() if beat is not None},
        }

        def supervised(name: str, part: Callable[[threading.Event], None]) -> None:
            try:
                part(stop)
            except BaseException as error:
                _log.exception("a part of the core failed; stopping", part=name)
                failures.append(error)
                stop.set()

        threads = [
            threading.Thread(target=supervised, args=(name, part), name=name, daemon=True)
            for name, part in parts.items()
        ]
        server = self._serve()
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join(timeout=20)
        if server is not None:
            server.shutdown()
        self._publisher.close()
        if failures:
            raise failures[0]
        if not any(thread.is_alive() for thread in threads):
            self.journal.close()

    def readiness(self) -> dict[str, object]:
        """Whether the core does its work now, and what is in the way."""
        reasons: list[dict[str, object]] = []
        if not self.subscriber.is_connected:
            reasons.append(
                {"code": "broker-away", "detail": "no connection to the broker; gateways keep their readings"}
            )
        if (refused := self.subscriber.refused) is not None:
            detail = f"nothing can be taken in: {refused}; gateways and the broker keep what comes"
            reasons.append({"code": "journal-refuses", "detail": detail})
        behind = self._records_behind()
        with self._estimating:
            self._catch_up.observe(self._clock.monotonic_s(), self.journal.last - self.alerts.lag)
            seconds = self._catch_up.seconds(behind)
        if behind > _BEHIND_MAX:
            about = "nothing is judged just now" if seconds is None else f"about {seconds} s"
            detail = f"{behind} records behind, {about}"
            reasons.append({"code": "catching-up", "detail": detail, "behind": behind, "seconds": seconds})
        warnings = [
            {"code": "journal-damaged", "detail": f"records {d.first} to {d.last} cannot be trusted: {d.detail}"}
            for d in self.journal.damages()[-3:]
        ]
        if self._settings.insecure:
            detail = "'insecure' is set: what goes over the broker can be read and forged by whoever reaches it"
            warnings.append({"code": "insecure", "detail": detail})
        warnings += [{"code": "certificate-ends", "detail": str(expiry)} for expiry in self._ending]
        # Certificates of ours are told of above, with what to do.
        ours = {f"certificate-ends/{n}" for n in ("ca", *server_identities(self._settings.client_id))}
        told = ours if self._ending else set()
        warnings += [{"code": f.alarm, "detail": f.detail} for f in self._watch.faults if f.name not in told]
        trouble = self._history_trouble()
        if trouble is not None:
            code = "history-refuses" if trouble.needs else "history-away"
            warnings.append({"code": code, "detail": f"{trouble}; readings wait in the journal"})
        if about := self.history.warning():
            warnings.append({"code": "history-full", "detail": about})
        return {"ready": not reasons, "reasons": reasons, "warnings": warnings}

    def _records_behind(self) -> int:
        # Of a gateway that is offline nobody knows what it holds now, and nothing of it is on its way.
        held = sum(state.spooled or 0 for state in self._vetter.gateways.values() if state.is_online)
        return self.alerts.behind + held

    def _heartbeat(self, name: str, channel: Beats) -> Heartbeat | None:
        beat = self._settings.heartbeat
        if beat is None:
            return None
        alerts = self.alerts
        judged = partial(self._judged_ms, beat.device, beat.metric)
        return Heartbeat(name, channel, beat, judged, lambda: alerts.lag, self._clock)

    def _judged_ms(self, device: str, metric: str) -> int | None:
        return self.alerts.engine.judged_ms(device, metric)  # of the engine there is now: other rules make another

    def _wake_senders(self) -> None:
        for sender in self._senders.values():
            sender.wake()

    def _keep_house(self, stop: threading.Event) -> None:
        self._look_at_certificates()
        self._watch.look()
        while not stop.wait(_TRIM_EVERY_S):
            self.keep_house()

    def keep_house(self) -> None:
        """One round, due every minute: look at ourselves, tell of what is wrong, let go of what everybody has read."""
        self._look_at_certificates()
        self._watch.look()
        self._tell_of_faults()
        self._tell_of_duties()
        self._tell_of_damage()
        self._tell_of_history()
        try:
            cursors = {ALERTS_CURSOR: 0, HISTORY_CURSOR: 0, COMPLETENESS_CURSOR: 0} | self.journal.cursors()
            seen = min(cursors.values())
            if not self.journal.trim_to(self._settings.journal.keep_mb * 1_000_000, seen):
                slowest = min(cursors, key=lambda name: cursors[name])
                _log.warning("the journal holds more than it should: a reader is behind", reader=slowest, at=seen)
        except Unavailable as error:
            _log.warning("the journal could not be trimmed; it is tried again", error=str(error))

    def _look_at_certificates(self) -> None:
        """What of ours at the broker ends soon; the authority is the same for all."""
        broker = self._settings.broker
        ending: dict[Path, Expiry] = {}
        try:
            for name in server_identities(self._settings.client_id)[:2]:
                for setting, (_, until_ms) in when_valid(broker, name).items():
                    events.certificate_ends(f"{name} {setting}", until_ms / 1000)
                soon = expiries(broker, name, self._clock.now_ms() + _WARN_MS)
                ending |= {expiry.file: expiry for expiry in soon}
        except BadConfiguration as error:
            _log.warning("a certificate cannot be read; the connection that stands goes on", error=str(error))
            return
        self._ending = list(ending.values())

    def _tell_of_faults(self) -> None:
        try:
            self._watch.tell()
        except DATABASE_AWAY as error:
            _log.warning("what is wrong with us could not be reported; it is tried again", error=str(error))

    def _tell_of_duties(self) -> None:
        try:
            if (count := self._missed.tell()) > 0:
                _log.info("told of daily duties that were missed or made good", count=count)
        except DATABASE_AWAY as error:
            _log.warning("missed duties could not be reported; it is tried again", error=str(error))

    def _tell_of_damage(self) -> None:
        for damage in self.journal.damages():
            subject = f"{damage.first}-{damage.last}"
            if subject not in self._told_of:
                try:
                    self._store.report(DAMAGED, subject, damage.detail, self._clock.now_ms())
                except DATABASE_AWAY as error:
                    _log.warning("damage of the journal could not be reported; it is tried again", error=str(error))
                    return
                self._told_of.add(subject)

    def _history_trouble(self) -> StoreAway | None:
        return self.history.trouble or (None if self._rollups is None else self._rollups.trouble)

    def _tell_of_history(self) -> None:
        trouble = self._history_trouble()
        refuses = trouble is not None and bool(trouble.needs)
        if refuses is self._has_told_of_history or not (refuses or self.history.has_written):
            return
        try:
            subject = self._settings.history.store
            note = str(trouble) if trouble is not None else ""
            self._store.report(UNSTORED if refuses else STORED, subject, note, self._clock.now_ms())
        except DATABASE_AWAY as error:
            _log.warning("the state of history could not be reported; it is tried again", error=str(error))
            return
        self._has_told_of_history = refuses

    def _serve(self) -> ThreadingHTTPServer | None:
        """/metrics, /health/live and /health/ready, apart from the API so that they answer when it does not."""
        metrics = self._settings.metrics
        if not metrics.port:
            return None
        core = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = 404, "text/plain", b"not here: /metrics, /health/live, /health/ready\n"
                if self.path == "/metrics":
                    status, kind, body = 200, prometheus_client.CONTENT_TYPE_LATEST, prometheus_client.generate_latest()
                elif self.path == "/health/live":
                    status, body = 200, b"alive\n"
                elif self.path == "/health/ready":
                    readiness = core.readiness()
                    status, kind = (200 if readiness["ready"] else 503), "application/json"
                    body = json.dumps(readiness).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes are no events."""

        try:
            server = ThreadingHTTPServer((metrics.host, metrics.port), Handler)
        except OSError as error:
            raise BadConfiguration(f"metrics.port {metrics.port}: {error}") from error
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return server


def _history_writer(settings: Settings, places: list[SeriesPlace], clock: Clock) -> HistoryWriter:
    if isinstance(settings.history, ParquetSettings):
        return ParquetWriter(settings.history.folder, places, settings.history, clock)
    from ingest.history.influx import InfluxWriter

    return InfluxWriter(settings.history, places, clock)


def _rollups(settings: Settings, journal: Journal, places: list[SeriesPlace]) -> InfluxRollups | None:
    """What rolls history up; none where its writer does so itself."""
    if isinstance(settings.history, ParquetSettings):
        return None
    from ingest.history.influx_rollups import CURSOR, InfluxRollups

    journal.set_cursor(CURSOR, journal.cursor(CURSOR))  # from here on the journal keeps what it has not seen
    return InfluxRollups(journal, settings.history, places)
