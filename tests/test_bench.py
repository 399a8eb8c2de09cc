"""The benches at tiny numbers on every run, so that they never rot. Their figures mean nothing here."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench import (
    backtest,
    behind,
    box,
    catch_up,
    codecs,
    drain,
    hostile,
    influx_history,
    ladder,
    latency,
    line_protocol,
    many_meters,
    memory,
    notices,
    page,
    polling,
    processes,
    receipt,
    restart,
    row_latency,
    rules,
    screens,
    service,
    sim_devices,
    small_gateway,
    soak,
    steady,
    store,
    stream,
    telegraf,
)
from bench.detection import fever, flood, plots, valve
from bench.report import Report
from gateway.spool import Spool
from ingest.packets import PacketReader
from telemetry import frames
from telemetry.clock import SystemClock
from tests import servers

DATASETS = Path(__file__).parents[2] / "shared" / "datasets"
needs_data = pytest.mark.skipif(
    not DATASETS.is_dir(), reason="labelled data is not beside the project: ../shared/datasets"
)
T0 = 1_795_000_000_000


def check(report: Report, folder: Path) -> None:
    """A report can be printed and read back, and holds a figure for every goal."""
    console = Console(record=True, width=200, quiet=True)
    report.show(console)
    kept = json.loads(report.save(folder).read_text())
    assert kept["name"] == report.name
    assert kept["machine"]["cores"] >= 1
    assert report.tables
    assert report.goals
    assert all(goal.figure == goal.figure for goal in report.goals)  # not NaN


def needs_mosquitto() -> None:
    if processes.broker_program() is None:
        servers.missing("mosquitto", "apt-get install mosquitto")


def needs_influxdb() -> None:
    if processes.influxdb_program() is None:
        servers.missing("influxd (InfluxDB 2)", "run deploy/influxdb/build.sh, which builds and caches it")


@pytest.mark.integration
def test_the_ladder_stores_and_raises_what_was_generated(tmp_path: Path) -> None:
    needs_influxdb()
    report = ladder.run(readings=4_000, series=(40, 1_200), rounds=1, alarm_readings=400)
    check(report, tmp_path)
    assert len(report.goals) == len(ladder.GOALS) * 2 + 1  # and what many series cost


def test_every_codec_finds_what_is_intact_and_nothing_in_noise(tmp_path: Path) -> None:
    report = codecs.run(frames=200, noise_bytes=100_000, damaged=300, lines=300)
    check(report, tmp_path)
    assert report.figure("share of intact frames lost behind damaged ones") <= 0.01


def test_meters_on_lines_say_what_they_are(tmp_path: Path) -> None:
    check(polling.run(lines=2, meters=2, every_s=0.5, seconds=1.0), tmp_path)


@pytest.mark.integration
@pytest.mark.skipif(processes.broker_program() is None, reason="mosquitto is missing: apt-get install mosquitto")
def test_simulated_devices_at_a_broker_are_counted(tmp_path: Path) -> None:
    report = sim_devices.run(devices=(200,), seconds=1.0)
    check(report, tmp_path)
    assert report.figure("devices per core at 1 reading/s") > 0


def test_a_calm_stream_raises_nothing() -> None:
    assert stream.expected_steps(stream.generate(10_000, 100, T0)) == (0, 0)


def test_in_a_storm_four_in_a_hundred_readings_change_one_rule() -> None:
    made = stream.generate(100_000, 100, T0, stream.STORM_SHARE)
    # As many alarms as steps upwards: about half of the changes, a little more because each level starts at the bottom.
    assert 0.018 < stream.expected_steps(made)[0] / len(made) < 0.024


def test_one_alarm_a_step_upwards() -> None:
    made = stream.generate(40_000, 10, T0, stream.STORM_SHARE)
    bands = made.value.astype(int)
    assert (bands[0] <= 1).all()
    upwards = (bands[1:] > bands[:-1]).sum() + bands[0].sum()
    downwards = (bands[1:] < bands[:-1]).sum()
    assert stream.expected_steps(made) == (upwards, downwards)


@pytest.mark.integration
def test_the_drain_takes_in_every_reading(tmp_path: Path) -> None:
    needs_mosquitto()
    if shutil.which("mosquitto_sub") is None:
        servers.missing("mosquitto_sub", "apt-get install mosquitto-clients")
    check(drain.run(readings=600, rounds=1, frame_messages=10, frame_rounds=1), tmp_path)


@pytest.mark.integration
def test_every_fever_comes_back_as_an_alarm(tmp_path: Path) -> None:
    needs_mosquitto()
    check(latency.run(seconds=0.5, series=20, flood=100), tmp_path)


def test_a_stream_of_events_is_counted_whatever_it_is_cut_into() -> None:
    alarms = [f"{number:020x}" for number in range(40)]
    events = ["retry: 2000\n\n", 'event: health\ndata: {"ready":true}\n\n']
    events += [
        f'id: {number}\nevent: alarm\ndata: {{"id":"{name}","rule":"fever"}}\n\n' for number, name in enumerate(alarms)
    ]
    sent = b"".join(f"{len(event):x}\r\n{event}\r\n".encode() for event in events)
    for size in (1, 7, 61, 64, len(sent)):
        client = service.Client()
        for start in range(0, len(sent), size):
            client.take(sent[start : start + size])
        assert client.alarms == {name.encode() for name in alarms}
        assert (client.last_id, client.event_count) == (b"39", 41)
    # What is cut off within an event is no event, and its id none to resume from.
    client = service.Client()
    client.take(events[2].encode() + events[3].encode()[:-4])
    assert (client.alarms, client.last_id) == ({alarms[0].encode()}, b"0")


@pytest.mark.integration
def test_screens_are_waited_for(tmp_path: Path) -> None:
    needs_mosquitto()
    if shutil.which("chromium") is None:
        servers.missing("chromium", "apt-get install chromium")
    report = screens.run(
        seconds=2.0, screens=2, clients=3, requests_per_s=5.0, ingest_per_s=50.0, visits=1, hours=0.1, series=10
    )
    check(report, tmp_path)
    assert report.figure("alarms missed by streams that resumed") == 0


@pytest.mark.integration
def test_the_memory_of_a_fed_core_is_seen(tmp_path: Path) -> None:
    needs_mosquitto()
    check(memory.run(cases=((20, 400.0), (40, 400.0)), seconds=2.0), tmp_path)


@pytest.mark.integration
def test_a_small_gateway_ships_every_reading_once(tmp_path: Path) -> None:
    needs_mosquitto()
    check(small_gateway.run(readings=2_000, steady_rate=500, steady_s=1.0, series=20), tmp_path)


@pytest.mark.integration
def test_receipts_are_waited_for_frame_by_frame(tmp_path: Path) -> None:
    needs_mosquitto()
    report = receipt.run(rates=(500,), seconds=1.5, flood_readings=2_000, series=20)
    check(report, tmp_path)
    assert all(samples for samples in report.samples.values())


@pytest.mark.integration
def test_an_outage_is_made_good_beside_live_readings(tmp_path: Path) -> None:
    needs_mosquitto()
    # An outage that is shorter than a minute would go out in order, without any backlog.
    report = catch_up.run(rate=200, gateways=2, outage_s=90.0, fever_count_max=20)
    check(report, tmp_path)
    assert len(report.samples["fever → alarm, ms"]) > 0


@pytest.mark.integration
def test_what_is_behind_is_all_taken_in(tmp_path: Path) -> None:
    needs_mosquitto()
    check(behind.run(readings=20_000, series=400), tmp_path)


@pytest.mark.integration
def test_a_killed_core_judges_what_is_new(tmp_path: Path) -> None:
    needs_mosquitto()
    report = restart.run(series=20, day_s=1_200, every_s=60, rounds=1)
    check(report, tmp_path)
    assert report.samples["start → alarm, s"][0] > 0


def test_a_spooled_outage_holds_every_reading(tmp_path: Path) -> None:
    made = catch_up.spool_an_outage(tmp_path, first=0, rate=30, outage_s=60)
    assert made == 30 * 60
    spool = Spool(tmp_path, SystemClock())
    (lane,) = [lane for lane in spool.lanes if lane.count]
    found = [frames.decode(frames.encode("g", "e", 1, 1, r.payload)) for r in lane.read(0, 10_000, 10_000_000)]
    assert sum(map(len, found)) == made
    times = [time_ms for frame in found for time_ms in frame.time_ms]
    assert times == sorted(times)
    spool.close()


def test_the_boxes_of_a_bench_are_as_lean_as_a_gateway() -> None:
    # Else the memory that is measured would be the bench's own.
    (_, box_mb, _), (_, gateway_mb, _) = (box.import_costs([name])[1] for name in ("bench.box", "gateway.__main__"))
    assert box_mb - gateway_mb < 5


def test_rules_judge_as_their_twin_does() -> None:
    report = rules.run(series=60, rounds=30, tall_rounds=30, twin_series=60)
    raised = [(row[6], row[7]) for row in report.tables[0].rows]
    assert [told for _, told in raised] == [f"{count}: the same" for count, _ in raised]
    assert raised[1][0] and raised[3][0]


def test_notices(tmp_path: Path) -> None:
    check(notices.run(alarms=150, seconds=0.5, hang_s=1.0), tmp_path)


def test_a_back_test_reads_all_of_the_history(tmp_path: Path) -> None:
    report = backtest.run(days=2, series=300)
    check(report, tmp_path)
    assert report.tables[0].rows[0][0] == 2 * 300 * 1440
    assert report.tables[0].rows[0][2]


def test_lines_by_column_say_what_points_say(tmp_path: Path) -> None:
    check(line_protocol.run(rows=2_000, point_rows=500, series=10, rounds=1), tmp_path)


def test_the_embedded_history_holds_and_shows_every_reading(tmp_path: Path) -> None:
    check(store.run(series=20, year_series=2, year_days=33, rounds=1), tmp_path)


def test_many_meters_read_at_once_are_what_each_is_alone(tmp_path: Path) -> None:
    check(many_meters.run(sizes=(3,), days=2, rounds=1), tmp_path)


@pytest.mark.integration
def test_history_in_influxdb_holds_and_shows_every_reading(tmp_path: Path) -> None:
    needs_influxdb()
    check(influx_history.run(rows=3_000, series=30, rounds=1, year_days=3), tmp_path)


@pytest.mark.integration
def test_rows_are_waited_for_in_influxdb(tmp_path: Path) -> None:
    needs_mosquitto()
    needs_influxdb()
    check(row_latency.run(rate=200, seconds=1.0, series=20), tmp_path)


@pytest.mark.integration
def test_a_steady_stream_is_all_there_at_the_end(tmp_path: Path) -> None:
    needs_mosquitto()
    needs_influxdb()
    report = steady.run(rate=2_000, seconds=2.0, series=400, change_share=0.01)
    check(report, tmp_path)
    assert report.samples["behind"]


@pytest.mark.integration
def test_all_that_runs_for_hours_is_looked_at_from_outside(tmp_path: Path) -> None:
    needs_mosquitto()
    report = soak.run(rate=2_000, seconds=4.0, series=400, fevers_per_s=1.0, screens=2, look_every_s=0.2)
    check(report, tmp_path)
    assert set(report.samples) == {"core, MB", "API, MB", "gateway, MB", "at_s"}
    assert not any("not answered" in note for note in report.notes)


@pytest.mark.skipif(telegraf.program() is None, reason="Telegraf is not here; bench/rivals/build_telegraf.sh builds it")
def test_telegraf_and_the_core_store_the_same(tmp_path: Path) -> None:
    check(telegraf.run(readings=2_000, frame_messages=20, rounds=1), tmp_path)


def test_the_page_of_figures_is_written_by_the_benches() -> None:
    """Whoever edits it by hand, or records a figure without the page, sees it here."""
    assert page.PAGE.read_text(encoding="utf-8") == page.render(page.read())


def test_a_plot_of_the_ladder_is_drawn_and_the_same_for_the_same_figures(tmp_path: Path) -> None:
    table = {
        "title": "",
        "columns": ["rung", "1,000 calm"],
        "rows": [["vet", 0.1], ["the chain", 0.2], ["alarms", 0.4]],
    }
    for name in ("a.svg", "b.svg"):
        page.draw({"tables": [table]}, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert page._rungs({"tables": [table]}) == {"vet": {"1,000 calm": 0.1}, "alarms": {"1,000 calm": 0.4}}


def test_arrays_for_telegraf_hold_what_frames_hold() -> None:
    made = stream.generate(1_000, 500, T0)
    packets = PacketReader(1_000_000).feed(b"".join(telegraf.arrays(made))).messages
    rows = [row for packet in packets for row in json.loads(packet.payload or b"")["readings"]]
    assert [row["value"] for row in rows] == made.value.ravel().tolist()
    assert len({(row["device"], row["time"]) for row in rows}) == len(made)


def test_every_plot_of_gate_and_drain_is_that_of_a_page() -> None:
    for name, draw in plots.PLOTS.items():
        assert f"]({name}.svg)" in (plots.FOLDER / f"{name}.md").read_text(encoding="utf-8")
        drawn = draw(np.random.default_rng(7))
        assert (plots.signals(drawn)[1] >= drawn.limit).any(), name


@needs_data
def test_fever_is_scored(tmp_path: Path) -> None:
    check(fever.run(shifts_at=(200,)), tmp_path)


@needs_data
def test_a_flood_is_scored(tmp_path: Path) -> None:
    check(flood.run(sites=1), tmp_path)


@needs_data
def test_closing_valves_are_scored(tmp_path: Path) -> None:
    report = valve.run(runs=2)
    check(report, tmp_path)
    assert report.figure("share of runs found within 60 s, flow") == 1


@pytest.mark.integration
def test_hostile_clients(tmp_path: Path) -> None:
    check(hostile.run(seconds=2.0, attacks=["odd topics"]), tmp_path)
