/** Who did what to what, and what came of it: searched, checked for changes behind its back, taken along. */

import { CheckCircleFilled, DownloadOutlined, SafetyCertificateOutlined, WarningFilled } from "@ant-design/icons";
import { Alert, App, Button, Empty, Input, Skeleton } from "antd";
import { useCallback, useEffect, useMemo, useState } from "react";

import type { AuditRow, AuditVerdict } from "../api/contract";
import { exportAudit, fetchAudit, verifyAudit, type AuditQuery } from "../api/gatehouse";
import { Problem } from "../api/request";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { Choice, TextField } from "../parts/FilterFields";
import { saveFile } from "../parts/save";
import { failureText } from "../show/failure";
import { dayOf, timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { replaceRoute, useRoute } from "../state/route";
import { useZone } from "../state/site";
import { auditFiltersOf, auditQueryOf, NO_AUDIT_FILTERS } from "./filters";
import { actionWord, outcomeWord, texts } from "./texts";
import "./audit.css";

const PAGE = 100;

export default function AuditPage() {
  const words = useWords(texts);
  const zone = useZone();
  const route = useRoute();
  const filters = auditFiltersOf(route);
  const key = JSON.stringify(filters);
  const query = useMemo(() => auditQueryOf(filters, zone), [key, zone]);
  return (
    <div className="plain-page">
      <h2 className="page-title">{words.title}</h2>
      <p className="soft">{words.hint}</p>
      <Filters />
      <Chain query={query} />
      <Rows key={key} query={query} zone={zone} />
    </div>
  );
}

function Filters() {
  const words = useWords(texts);
  const language = useLanguage();
  const { sites } = useCatalogue();
  const filters = auditFiltersOf(useRoute());
  const actions = Object.entries(words.actions);
  return (
    <div className="filter-bar" role="search" aria-label={words.filters}>
      <TextField label={words.person} value={filters.person ?? ""} change={(person) => replaceRoute({ person })} />
      <Choice
        label={words.action} value={filters.action ?? ""} any={words.any} options={actions} change={(action) => replaceRoute({ action })}
      />
      <Choice
        label={words.site} value={filters.where ?? ""} any={words.any}
        options={sites.map(({ id, name }) => [id, inLanguage(name, language, id)])}
        change={(where) => replaceRoute({ where })}
      />
      <TextField label={words.text} value={filters.q ?? ""} change={(q) => replaceRoute({ q })} />
      <label className="filter">
        <span>{words.from}</span>
        <input type="date" value={filters.from ?? ""} max={filters.to} onChange={({ target }) => replaceRoute({ from: target.value })} />
      </label>
      <label className="filter">
        <span>{words.to}</span>
        <input type="date" value={filters.to ?? ""} min={filters.from} onChange={({ target }) => replaceRoute({ to: target.value })} />
      </label>
      {Object.values(filters).some((value) => value !== undefined) && (
        <Button size="large" onClick={() => replaceRoute(NO_AUDIT_FILTERS)}>{words.reset}</Button>
      )}
    </div>
  );
}

/** Whether the record is whole, and the record as a file. */
function Chain({ query }: { query: AuditQuery }) {
  const words = useWords(texts);
  const shared = useTexts();
  const zone = useZone();
  const { message } = App.useApp();
  const [anchor, setAnchor] = useState("");
  const [verdict, setVerdict] = useState<AuditVerdict | null>(null);
  const [busy, setBusy] = useState<"verify" | "export" | null>(null);
  const run = async (what: "verify" | "export", done: () => Promise<void>) => {
    setBusy(what);
    try {
      await done();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      void message.error(error.status === 422 ? words.badAnchor : failureText(error, shared));
    } finally {
      setBusy(null);
    }
  };
  const verify = () =>
    run("verify", async () => {
      setVerdict(null);
      setVerdict(await verifyAudit(anchor.trim() === "" ? undefined : anchor.trim()));
    });
  const take = () => run("export", async () => saveFile(await exportAudit(query), `audit-${dayOf(nowMs(), zone)}.jsonl`));
  return (
    <section className="audit-chain" aria-label={words.chain}>
      <Button size="large" icon={<SafetyCertificateOutlined />} loading={busy === "verify"} onClick={() => void verify()}>
        {words.verify}
      </Button>
      <Input size="large" className="audit-anchor" aria-label={words.anchor} placeholder={words.anchor} value={anchor} onChange={({ target }) => setAnchor(target.value)} />
      <Button size="large" icon={<DownloadOutlined />} loading={busy === "export"} onClick={() => void take()}>{words.export}</Button>
      <div role="status" className="audit-verdict">
        {verdict?.is_whole === true && (
          <Alert type="success" showIcon icon={<CheckCircleFilled />} title={words.whole(verdict.head.id)} description={<span className="code">{`${verdict.head.id}:${verdict.head.hash}`}</span>} />
        )}
        {verdict?.is_whole === false && (
          <Alert
            type="error" showIcon icon={<WarningFilled />} title={words.damaged}
            description={<ul>{verdict.faults.slice(0, 20).map((fault) => <li key={fault}>{fault}</li>)}</ul>}
          />
        )}
      </div>
    </section>
  );
}

function Rows({ query, zone }: { query: AuditQuery; zone: string }) {
  const words = useWords(texts);
  const [rows, setRows] = useState<AuditRow[] | null>(null);
  const [next, setNext] = useState<number | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const load = useCallback(
    async (cursor: number | undefined) => {
      setBusy(true);
      try {
        const page = await fetchAudit({ ...query, limit: PAGE, cursor });
        setRows((before) => (cursor === undefined ? page.items : [...(before ?? []), ...page.items]));
        setNext(page.next);
        setProblem(null);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        setProblem(error);
      } finally {
        setBusy(false);
      }
    },
    [query],
  );
  useEffect(() => void load(undefined), [load]);
  if (rows === null && problem === null) return <Skeleton active paragraph={{ rows: 8 }} />;
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load(undefined)} />}
      {rows?.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={words.none} />}
      {rows !== null && rows.length > 0 && (
        <>
          <div className="table-frame">
            <table className="plain-table audit-rows">
              <thead>
                <tr>{[words.time, words.person, words.action, words.subject, words.outcome].map((head) => <th key={head}>{head}</th>)}</tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.id}>
                    <td className="audit-time">{timeOnDay(row.time_ms, zone, nowMs())}<div className="soft">{row.id}</div></td>
                    <td>{row.actor}</td>
                    <td>{actionWord(words, row.action)}</td>
                    <td className="audit-subject">{row.subject}</td>
                    <td className={row.outcome.startsWith("refused") ? "audit-refused" : ""}>{outcomeWord(words, row.outcome)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {next !== null && <Button size="large" loading={isBusy} onClick={() => void load(next)}>{words.more}</Button>}
        </>
      )}
    </>
  );
}
