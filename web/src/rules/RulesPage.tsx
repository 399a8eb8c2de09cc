/** Which rules there are; one of them is read, tried on the past, changed or retired. */

import { LeftOutlined, PlusOutlined } from "@ant-design/icons";
import { Button, Empty, Skeleton } from "antd";
import { useState } from "react";

import type { Named, RuleDocument } from "../api/contract";
import { fetchRuleDocuments } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { texts as alarmTexts } from "../alarm-list/texts";
import { inLanguage, listed, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { ONLINE } from "../show/alarmQuantity";
import { useCatalogue } from "../state/catalogue";
import { openPage, pageAddress, useRoute } from "../state/route";
import { useMay } from "../state/session";
import { NewRule } from "./NewRule";
import { RuleEditor } from "./RuleEditor";
import { texts } from "./texts";
import "./rules.css";

export default function RulesPage() {
  const words = useWords(texts);
  const { rule: chosen } = useRoute();
  const mayChange = useMay("change-rules", null);
  const [isBeginning, setBeginning] = useState(false);
  const [begun, setBegun] = useState<RuleDocument | null>(null);
  const { answer: rules, problem, load } = useAnswer(fetchRuleDocuments);

  // A new rule is only on this screen until it is saved.
  const rule = rules?.find(({ id }) => id === chosen) ?? (begun !== null && begun.id === chosen ? begun : undefined);
  return (
    <div className="plain-page">
      <h2 className="page-title">{words.title}</h2>
      {chosen === undefined ? (
        <p className="soft">{words.hint}</p>
      ) : (
        <a className="back-link" href={pageAddress("rules")}>
          <LeftOutlined aria-hidden /> {words.back}
        </a>
      )}
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {rules === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} />}
      {rules !== null && chosen === undefined && mayChange && (
        <Button size="large" icon={<PlusOutlined />} onClick={() => setBeginning(true)}>{words.newRule}</Button>
      )}
      {rules !== null && chosen === undefined && <RuleList rules={rules} />}
      {rules !== null && isBeginning && (
        <NewRule
          rules={rules}
          close={() => setBeginning(false)}
          begin={(made) => {
            setBegun(made);
            setBeginning(false);
            openPage("rules", { rule: made.id });
          }}
        />
      )}
      {rules !== null && chosen !== undefined && rule === undefined && <Empty description={words.gone} />}
      {rule !== undefined && <RuleEditor key={`${rule.id} ${rule.version === 0}`} rule={rule} reload={load} />}
    </div>
  );
}

function RuleList({ rules }: { rules: readonly RuleDocument[] }) {
  const words = useWords(texts);
  const language = useLanguage();
  const classes: Readonly<Record<string, string>> = useWords(alarmTexts).classes;
  const catalogue = useCatalogue();
  const metrics = new Map([...catalogue.kindsById.values()].flatMap((kind) => kind.metrics).map((metric) => [metric.id, metric]));
  const whereOf = (rule: RuleDocument): string => {
    const { devices, kinds, metric } = rule as { devices?: string[] | null; kinds?: string[] | null; metric?: string };
    if (devices) return listed(devices.map((id) => inLanguage(catalogue.devicesById.get(id)?.name, language, id)), language);
    if (kinds) return listed(kinds.map((id) => inLanguage(catalogue.kindsById.get(id)?.name, language, id)), language);
    if (metric === ONLINE) return words.gateways;
    return words.everywhere(inLanguage(metrics.get(String(metric))?.name, language, String(metric)));
  };
  if (rules.length === 0) return <Empty description={words.none} />;
  return (
    <div className="table-frame">
      <table className="plain-table rule-list">
        <thead>
          <tr>
            {[words.rule, words.class, words.where, words.limits, words.version].map((head) => <th key={head}>{head}</th>)}
          </tr>
        </thead>
        <tbody>
          {rules.map((rule) => (
            <tr key={rule.id}>
              <td>
                <a className="rule-link" href={pageAddress("rules", { rule: rule.id })}>
                  {inLanguage(rule.name as Named | undefined, language, rule.id)}
                </a>
                <div className="soft small">{rule.id} · {String(rule.type)}</div>
              </td>
              <td>{classes[String(rule.class)] ?? String(rule.class)}</td>
              <td>{whereOf(rule)}</td>
              <td className="number">{limitsOf(rule)}</td>
              <td className="number">{rule.version}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function limitsOf(rule: RuleDocument): string {
  const levels = (rule.levels ?? []) as { at_least?: number | null; at_most?: number | null }[];
  return levels.map(({ at_least, at_most }) => (at_least == null ? `≤ ${at_most}` : `≥ ${at_least}`)).join(" · ") || "–";
}
