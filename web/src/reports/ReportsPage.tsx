/** Reports of the chosen site: made now, those that lie ready, and what is made on schedule. */

import { DownloadOutlined } from "@ant-design/icons";
import { App, Button, Empty, Skeleton } from "antd";
import { useCallback, useEffect, useState } from "react";

import type { Site } from "../api/contract";
import {
  beginReportSchedule, endReportSchedule, fetchReports, fetchReportSchedules, fetchSignedShifts, fetchStormBegins, makeReport,
  REPORT_KINDS, reportFile, type MadeReport, type ReportKind, type ReportSchedule, type ReportSchedules, type ReportSubject,
} from "../api/reports";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { Choice, MonthField } from "../parts/FilterFields";
import { TimeField } from "../parts/TimeField";
import { changeFailureText } from "../show/failure";
import { dayAfter, dayOf, timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { useMay } from "../state/session";
import { useSite } from "../state/site";
import { texts } from "./texts";
import "./reports.css";

export default function ReportsPage() {
  const words = useWords(texts);
  const language = useLanguage();
  const site = useSite();
  return (
    <div className="plain-page">
      <h2 className="page-title">{words.title}{site !== undefined && ` · ${inLanguage(site.name, language, site.id)}`}</h2>
      {site === undefined ? <Empty description={words.none} /> : <Reports key={site.id} site={site} />}
    </div>
  );
}

function Reports({ site }: { site: Site }) {
  const made = useAnswer(useCallback(() => fetchReports(site.id), [site.id]));
  const planned = useAnswer(fetchReportSchedules);
  const problem = made.problem ?? planned.problem;
  const reload = () => {
    void made.load();
    void planned.load();
  };
  if (made.answer === null || planned.answer === null) {
    return problem === null ? <Skeleton active paragraph={{ rows: 6 }} /> : <Failure problem={problem} retry={reload} />;
  }
  const subjects = planned.answer.subjects.filter((subject) => subject.site === site.id);
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={reload} />}
      <Wanted site={site} subjects={subjects} people={planned.answer.people} changed={reload} />
      <Made reports={made.answer} subjects={subjects} zone={site.timezone} />
      <Schedules schedules={planned.answer.items.filter((each) => each.site === site.id)} subjects={subjects} changed={reload} />
    </>
  );
}

interface WantedProps {
  site: Site;
  subjects: readonly ReportSubject[];
  people: ReportSchedules["people"];
  changed: () => void;
}

/** What report, of what and when: made now, or from now on. */
function Wanted({ site, subjects, people, changed }: WantedProps) {
  const words = useWords(texts);
  const language = useLanguage();
  const maySchedule = useMay("schedule-reports", site.id);
  const act = useActing(changed);
  const [kind, setKind] = useState<ReportKind>("day");
  const [chosen, setChosen] = useState("");
  const [period, setPeriod] = useState("");
  const [at, setAt] = useState("07:00");
  const [recipient, setRecipient] = useState("");
  const possible = subjects.filter((subject) => subject.kind === kind);
  const subject = (possible.find(({ id }) => id === chosen) ?? possible[0])?.id;
  const choose = (next: ReportKind) => {
    setKind(next);
    setPeriod("");
  };
  const isByCalendar = kind === "day" || kind === "month" || kind === "bill";
  const [channel, person] = recipient.split(" ");
  return (
    <section aria-label={words.makeTitle}>
      <h3>{words.makeTitle}</h3>
      <div className="filter-bar">
        <Choice label={words.kind} value={kind} change={(value) => choose(value as ReportKind)}
          options={REPORT_KINDS.filter((each) => subjects.some((one) => one.kind === each)).map((each) => [each, words.kinds[each]])} />
        <Choice label={words.subject} value={subject ?? ""} change={setChosen}
          options={possible.map(({ id, name }) => [id, inLanguage(name, language, id)])} />
        {subject !== undefined && <Period key={`${kind} ${subject}`} kind={kind} subject={subject} zone={site.timezone} value={period} change={setPeriod} />}
        <Button size="large" type="primary" loading={act.isBusy} disabled={subject === undefined || period === ""}
          onClick={() => void act.run(words.madeOne, () => makeReport({ kind, subject: subject ?? "", period, language }))}>
          {words.make}
        </Button>
      </div>
      {maySchedule && subject !== undefined && (
        <div className="filter-bar">
          {isByCalendar && (
            <label className="filter">
              <span>{words.at}</span>
              <TimeField value={at} change={setAt} />
            </label>
          )}
          <Choice label={words.recipient} value={recipient} change={setRecipient}
            options={[["", words.nobody], ...people.flatMap((one) => one.channels.map((by): [string, string] => [`${by} ${one.id}`, `${inLanguage(one.name, language, one.id)} (${by})`]))]} />
          <Button size="large" loading={act.isBusy} disabled={at === ""}
            onClick={() => void act.run(words.begun, () => beginReportSchedule({
              kind, subject, language, at, recipients: channel && person ? [{ channel, person }] : [],
            }))}>
            {words.begin}
          </Button>
        </div>
      )}
    </section>
  );
}

interface PeriodProps {
  kind: ReportKind;
  subject: string;
  zone: string;
  value: string;
  change: (period: string) => void;
}

function Period({ kind, subject, zone, value, change }: PeriodProps) {
  const words = useWords(texts);
  const today = dayOf(nowMs(), zone);
  const [times, setTimes] = useState<readonly number[] | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    if (kind === "day") change(dayAfter(today, -1));
    if (kind === "month" || kind === "bill") change(today.slice(0, 7));
    if (kind === "shift") change("now");
    if (kind !== "shift" && kind !== "storm") return undefined;
    setProblem(null);
    const ask = kind === "shift" ? fetchSignedShifts : fetchStormBegins;
    ask(subject).then(
      (found) => {
        // An answer that comes late would be the period of what has been chosen since.
        if (!isCurrent) return;
        setTimes(found);
        if (kind === "storm") change(String(found[0] ?? ""));
      },
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
        if (isCurrent) setProblem(error);
      },
    );
    return () => {
      isCurrent = false;
    };
    // Only another report or subject begins anew.
  }, [kind, subject, attempt]);
  if (problem !== null) return <Failure problem={problem} retry={() => setAttempt((count) => count + 1)} />;
  if (kind === "shift" || kind === "storm") {
    const shown = (time_ms: number) => timeOnDay(time_ms, zone, nowMs());
    const options = (times ?? []).map((time_ms): [string, string] =>
      [String(time_ms), kind === "shift" ? words.handedOver(shown(time_ms)) : words.began(shown(time_ms))]);
    if (kind === "storm" && times?.length === 0) return <p className="soft">{words.noPeriod}</p>;
    return <Choice label={words[kind]} value={value} change={change} options={kind === "shift" ? [["now", words.present], ...options] : options} />;
  }
  if (kind !== "day") return <MonthField label={words.month} value={value} today={today} change={change} />;
  return (
    <label className="filter">
      <span>{words.day}</span>
      <input type="date" required max={today} value={value} onChange={({ target }) => change(target.value)} />
    </label>
  );
}

function Made({ reports, subjects, zone }: { reports: readonly MadeReport[]; subjects: readonly ReportSubject[]; zone: string }) {
  const words = useWords(texts);
  const language = useLanguage();
  return (
    <section aria-label={words.madeTitle}>
      <h3>{words.madeTitle}</h3>
      {reports.length === 0 && <p className="soft">{words.noneMade}</p>}
      <ul className="report-rows">
        {reports.map((report) => {
          const failed = report.told.filter(({ state }) => state === "failed").length;
          const told = report.told.filter(({ state }) => state === "delivered").length;
          const isByTime = report.kind === "shift" || report.kind === "storm";
          return (
            <li key={report.id} className="report-row">
              <div>
                <strong>{words.kinds[report.kind]} · {nameOf(subjects, report, language)} · {isByTime ? timeOnDay(report.start_ms, zone, nowMs()) : report.period}</strong>
                <div className="soft">
                  {words.madeBy(report.schedule === null ? report.made_by : words.bySchedule, timeOnDay(report.made_ms, zone, nowMs()))}
                  {` · ${words.languages[report.language]}`}
                  {told > 0 && ` · ${words.told(told)}`}
                  {failed > 0 && ` · ${words.notTold(failed)}`}
                </div>
              </div>
              <div className="report-files">
                {(["pdf", "xlsx"] as const).map((form) => (
                  <Button key={form} size="large" icon={<DownloadOutlined aria-hidden />} href={reportFile(report.id, form)} download>
                    {form === "pdf" ? "PDF" : "Excel"}
                  </Button>
                ))}
              </div>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

interface SchedulesProps {
  schedules: readonly ReportSchedule[];
  subjects: readonly ReportSubject[];
  changed: () => void;
}

function Schedules({ schedules, subjects, changed }: SchedulesProps) {
  const words = useWords(texts);
  const language = useLanguage();
  const { modal } = App.useApp();
  const act = useActing(changed);
  const end = (schedule: ReportSchedule) =>
    void modal.confirm({
      title: words.endTitle, okText: words.end, cancelText: words.cancel, centered: true,
      onOk: () => act.run(words.ended, () => endReportSchedule(schedule)),
    });
  return (
    <section aria-label={words.schedulesTitle}>
      <h3>{words.schedulesTitle}</h3>
      {schedules.length === 0 && <p className="soft">{words.noSchedules}</p>}
      <ul className="report-rows">
        {schedules.map((schedule) => (
          <li key={schedule.id} className="report-row">
            <div>
              <strong>{words.kinds[schedule.kind]} · {nameOf(subjects, schedule, language)}</strong>
              <div className="soft">
                {words.each[schedule.kind](schedule.at)}
                {` · ${words.languages[schedule.language]} · ${schedule.actor}`}
                {schedule.recipients.map(({ person, channel }) => ` · ${person} (${channel})`)}
              </div>
            </div>
            {schedule.may_change && <Button size="large" onClick={() => end(schedule)}>{words.end}</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function nameOf(subjects: readonly ReportSubject[], of: { kind: ReportKind; subject: string }, language: "en" | "zh"): string {
  const found = subjects.find(({ kind, id }) => kind === of.kind && id === of.subject);
  return inLanguage(found?.name, language, of.subject);
}

/** Something that is asked of the server, and what is said of it. */
function useActing(changed: () => void) {
  const shared = useTexts();
  const { message } = App.useApp();
  const [isBusy, setBusy] = useState(false);
  const run = async (done: string, ask: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await ask();
      void message.success(done);
      changed();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { title, text } = changeFailureText(error, shared);
      void message.error(`${title} ${text}`);
    } finally {
      setBusy(false);
    }
  };
  return { isBusy, run };
}
