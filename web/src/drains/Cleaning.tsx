/** Which pipe to clean first, and the jobs: planned, done, signed off, with what they did to the dry-night level. */

import { Button, Input, Modal, Skeleton } from "antd";
import { useCallback, useState } from "react";

import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, labelled, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { failureText } from "../show/failure";
import { dayOf } from "../show/time";
import { typedNumber } from "../show/typed";
import { nowMs } from "../state/clock";
import { useMay } from "../state/session";
import { useTyped } from "../state/typed";
import { fetchJob, fetchJobs, fetchPlan, planJob, stepJob, type Job, type Pipe } from "./shapes";
import { texts } from "./texts";

const CONFLICT = 409;
const metres = (value: number | null) => (value === null ? "—" : `${value.toFixed(2)} m`);

export function Cleaning({ network, site, zone }: { network: string; site: string; zone: string }) {
  const words = useWords(texts);
  const language = useLanguage();
  const mayClean = useMay("clean", site);
  const askPlan = useCallback(() => fetchPlan(network), [network]);
  const askJobs = useCallback(() => fetchJobs(network), [network]);
  const plan = useAnswer(askPlan);
  const jobs = useAnswer(askJobs);
  const [planned, setPlanned] = useState<Pipe | null>(null);
  const names = new Map(plan.answer?.map((pipe) => [pipe.place, inLanguage(pipe.name, language, pipe.place)]));
  const reload = () => {
    void plan.load();
    void jobs.load();
  };

  return (
    <>
      <h3>{words.plan}</h3>
      {plan.problem !== null && <Failure problem={plan.problem} retry={plan.load} />}
      {plan.answer === null && plan.problem === null && <Skeleton active />}
      {plan.answer !== null && (
        <div className="table-frame" tabIndex={0} role="group" aria-label={words.plan}>
          <table className="plain-table">
            <thead>
              <tr>
                <th>{words.pipe}</th><th>{words.half}</th><th>{words.base}</th><th>{words.ofPipe}</th><th>{words.rise}</th><th>{words.nights}</th><th>{words.cleaned}</th><th />
              </tr>
            </thead>
            <tbody>
              {plan.answer.map((pipe) => (
                <tr key={pipe.place}>
                  <td>{names.get(pipe.place)}</td>
                  <td>{pipe.days_to_half !== null ? words.days(pipe.days_to_half) : pipe.rise_m_30d === null ? words.few : words.flat}</td>
                  <td>{metres(pipe.base_m)}</td>
                  <td>{pipe.share === null ? "—" : <Share share={pipe.share} />}</td>
                  <td>{pipe.rise_m_30d === null ? "—" : `${pipe.rise_m_30d >= 0 ? "+" : "−"}${Math.abs(pipe.rise_m_30d * 100).toFixed(1)} cm`}</td>
                  <td>{pipe.nights}</td>
                  <td>{pipe.last_cleaned_ms === null ? words.never : dayOf(pipe.last_cleaned_ms, zone)}</td>
                  <td>{mayClean && <Button size="large" onClick={() => setPlanned(pipe)}>{words.planIt}</Button>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <h3>{words.jobs}</h3>
      {jobs.problem !== null && <Failure problem={jobs.problem} retry={jobs.load} />}
      {jobs.answer === null && jobs.problem === null && <Skeleton active />}
      {jobs.answer?.length === 0 && <p className="soft">{words.noJobs}</p>}
      <ul className="jobs">
        {jobs.answer?.map((job) => <JobLine key={`${job.id} ${job.seq}`} job={job} name={names.get(job.place) ?? job.place} mayClean={mayClean} changed={reload} />)}
      </ul>
      {planned !== null && (
        <PlanDialog network={network} pipe={planned} zone={zone} close={() => setPlanned(null)} made={reload} />
      )}
    </>
  );
}

function Share({ share }: { share: number }) {
  return (
    <span className="share">
      <span className="share-bar" aria-hidden><i style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} /></span> {Math.round(share * 100)}%
    </span>
  );
}

function PlanDialog({ network, pipe, zone, close: shut, made }: { network: string; pipe: Pipe; zone: string; close: () => void; made: () => void }) {
  const words = useWords(texts);
  const shared = useTexts();
  const language = useLanguage();
  const [typed, setTyped, letGo] = useTyped(`cleaning ${pipe.place}`, () => ({ planned: dayOf(nowMs(), zone), crew: "", note: "" }));
  const { planned, crew, note } = typed;
  const close = () => {
    letGo();
    shut();
  };
  const [isAsked, setAsked] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const noDay = isAsked && planned === "";
  const noCrew = isAsked && crew.trim() === "";

  const save = async () => {
    setAsked(true);
    if (planned === "" || crew.trim() === "") return;
    setBusy(true);
    try {
      await planJob({ network, place: pipe.place, planned, crew, note });
      made();
      close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Modal
      open centered title={`${words.planIt} · ${inLanguage(pipe.name, language, pipe.place)}`} onCancel={close}
      footer={[
        <Button key="cancel" size="large" onClick={close}>{shared.actions.cancel}</Button>,
        <Button key="save" size="large" type="primary" loading={isBusy} onClick={() => void save()}>{words.save}</Button>,
      ]}
    >
      <div className="job-fields">
        <label htmlFor="job-day">{words.date}</label>
        <Input id="job-day" type="date" size="large" value={planned} status={noDay ? "error" : ""} onChange={(event) => setTyped({ ...typed, planned: event.target.value })} />
        {noDay && <p role="alert" className="job-wrong">{words.needsDay}</p>}
        <label htmlFor="job-crew">{words.crew}</label>
        <Input id="job-crew" size="large" maxLength={200} value={crew} status={noCrew ? "error" : ""} onChange={(event) => setTyped({ ...typed, crew: event.target.value })} />
        {noCrew && <p role="alert" className="job-wrong">{words.needsCrew}</p>}
        <label htmlFor="job-note">{words.note}</label>
        <Input.TextArea id="job-note" maxLength={2000} value={note} onChange={(event) => setTyped({ ...typed, note: event.target.value })} />
        {problem !== null && <p role="alert" className="job-wrong">{failureText(problem, shared)}</p>}
      </div>
    </Modal>
  );
}

function JobLine({ job, name, mayClean, changed }: { job: Job; name: string; mayClean: boolean; changed: () => void }) {
  const words = useWords(texts);
  const language = useLanguage();
  const shared = useTexts();
  const [typed, setTyped, letGo] = useTyped(`cleaned ${job.id}`, () => ({ silt: "", leftOver: "" }));
  const { silt, leftOver } = typed;
  const [isWrong, setWrong] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isDone = job.done_ms !== null;
  const askEffect = useCallback(async () => (isDone ? fetchJob(job.id) : null), [job.id, isDone]);
  const effect = useAnswer(askEffect).answer;

  const step = async (what: "done" | "sign-off" | "cancel", body: Record<string, unknown> = {}) => {
    setBusy(true);
    setProblem(null);
    try {
      await stepJob(job.id, what, { seq: job.seq, ...body });
      letGo();
      changed();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
      if (error.status === CONFLICT) changed();
    } finally {
      setBusy(false);
    }
  };
  const finish = () => {
    const [before, after] = [numberOf(silt), numberOf(leftOver)];
    setWrong(before === undefined || after === undefined);
    if (before !== undefined && after !== undefined) void step("done", { silt_m: before, left_m: after });
  };

  return (
    <li className="job">
      <div>
        <strong>{name}</strong> · <span className={`job-state job-${job.state}`}>{words.states[job.state]}</span> · {job.planned} · {job.crew}
        {job.note !== "" && <p>{job.note}</p>}
        {isDone && (
          <p>
            {labelled(words.silts, `${metres(job.silt_m)} → ${metres(job.left_m)}`, language)} ·{" "}
            {words.effect(metres(effect?.before_m ?? null), effect?.after_m == null ? words.effectLater : metres(effect.after_m))}
            {" · "}{job.done_by}{job.signed_by !== null && ` · ${labelled(words.states.signed, job.signed_by, language)}`}
          </p>
        )}
        {problem !== null && <p role="alert" className="job-wrong">{problem.status === CONFLICT ? words.conflict : failureText(problem, shared)}</p>}
      </div>
      {mayClean && job.state === "planned" && (
        <div className="job-acts">
          <label>{words.silt} <Input size="large" inputMode="decimal" value={silt} onChange={(event) => setTyped({ ...typed, silt: event.target.value })} /></label>
          <label>{words.siltLeft} <Input size="large" inputMode="decimal" value={leftOver} onChange={(event) => setTyped({ ...typed, leftOver: event.target.value })} /></label>
          <Button size="large" type="primary" loading={isBusy} onClick={finish}>{words.done}</Button>
          <Button size="large" disabled={isBusy} onClick={() => void step("cancel")}>{words.cancelJob}</Button>
          {isWrong && <p role="alert" className="job-wrong">{words.number}</p>}
        </div>
      )}
      {mayClean && job.state === "done" && (
        <div className="job-acts"><Button size="large" type="primary" loading={isBusy} onClick={() => void step("sign-off")}>{words.signOff}</Button></div>
      )}
    </li>
  );
}

/** A depth of silt: null where nothing was typed, undefined where it is none. */
function numberOf(typed: string): number | null | undefined {
  if (typed.trim() === "") return null;
  const value = typedNumber(typed);
  return value !== null && value >= 0 && value <= 20 ? value : undefined;
}
