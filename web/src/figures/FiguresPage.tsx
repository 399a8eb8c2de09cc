/** How good the alarms are, counted as EEMUA 191 and ISA-18.2 do: by operator, all together, the largest, and what they were worth. */

import { CheckCircleFilled, CloseCircleFilled } from "@ant-design/icons";
import { Empty, Segmented, Skeleton } from "antd";
import { useCallback } from "react";

import type { AlarmFigures, AlarmShare, Figure, Named } from "../api/contract";
import { OUTCOMES } from "../api/contract";
import { fetchFigures } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { Choice } from "../parts/FilterFields";
import { formatNumber } from "../show/quantity";
import { timeOnDay } from "../show/time";
import { useCatalogue } from "../state/catalogue";
import { nowMs } from "../state/clock";
import { replaceRoute, useRoute } from "../state/route";
import { useZone } from "../state/site";
import { figureWord, texts } from "./texts";
import "./figures.css";

const DAY_MS = 86_400_000;
const SPANS = ["1", "7", "30", "90"] as const;
type Days = (typeof SPANS)[number];

export default function FiguresPage() {
  const words = useWords(texts);
  const language = useLanguage();
  const { sites, sitesById } = useCatalogue();
  const { days: wanted, where: typed } = useRoute();
  const days: Days = SPANS.find((each) => each === wanted) ?? "7";
  const where = sitesById.has(typed ?? "") ? typed : undefined;
  const ask = useCallback(() => fetchFigures(nowMs() - Number(days) * DAY_MS, nowMs(), where), [days, where]);
  const { answer, problem, load } = useAnswer(ask);
  return (
    <div className="plain-page">
      <h2 className="page-title">{words.title}</h2>
      <p className="soft">{words.hint}</p>
      <div className="filter-bar">
        <Segmented<Days>
          size="large"
          aria-label={words.span}
          value={days}
          options={SPANS.map((value) => ({ value, label: words.days(Number(value)) }))}
          onChange={(value) => replaceRoute({ days: value })}
        />
        {sites.length > 1 && (
          <Choice
            label={words.site} value={where ?? ""} any={words.allSites}
            options={sites.map(({ id, name }) => [id, inLanguage(name, language, id)])}
            change={(value) => replaceRoute({ where: value })}
          />
        )}
      </div>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} />}
      {answer !== null && <All figures={answer} />}
    </div>
  );
}

function All({ figures }: { figures: AlarmFigures }) {
  const words = useWords(texts);
  const zone = useZone();
  const operators = Object.entries(figures.operators);
  const at = (time_ms: number) => timeOnDay(time_ms, zone, nowMs());
  return (
    <>
      <p className="soft">{words.counted(at(figures.start_ms), at(figures.end_ms))}</p>
      <div className="figures-columns">
        <section aria-label={words.together}>
          <h3>{words.together}</h3>
          <Rows figures={figures.alarms} />
        </section>
        <section aria-label={words.largest}>
          <h3>{words.largest}</h3>
          {figures.top_rules.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={words.noAlarms} />}
          <Shares shares={figures.top_rules} />
          {figures.top_instances.length > 0 && <h4>{words.instances}</h4>}
          <Shares shares={figures.top_instances} />
        </section>
      </div>
      <section aria-label={words.operators}>
        <h3>{words.operators}</h3>
        <p className="soft">{words.operatorsHint}</p>
        {operators.length === 0 && <p className="soft">{words.nobodyCalled}</p>}
        <div className="figures-columns">
          {operators.map(([name, rows]) => <Operator key={name} name={name} figures={rows} />)}
        </div>
      </section>
      <Outcomes outcomes={figures.outcomes} />
    </>
  );
}

function Operator({ name, figures }: { name: string; figures: readonly Figure[] }) {
  const words = useWords(texts);
  const language = useLanguage();
  const { sitesById } = useCatalogue();
  const [sort, id = ""] = name.split(/:(.*)/s);
  const title = sort === "site" ? inLanguage(sitesById.get(id)?.name, language, id) : words.role(id);
  return (
    <div>
      <h4>{title}</h4>
      <Rows figures={figures} />
    </div>
  );
}

function Rows({ figures }: { figures: readonly Figure[] }) {
  const words = useWords(texts);
  return (
    <div className="table-frame">
      <table className="plain-table">
        <thead>
          <tr>{[words.figure, words.value, words.aim, words.met].map((head) => <th key={head}>{head}</th>)}</tr>
        </thead>
        <tbody>
          {figures.map(({ what, value, unit, reference, source, is_met }) => (
            <tr key={what}>
              <td>{figureWord(words, what)}</td>
              <td className="figures-value">{formatNumber(value, Number.isInteger(value) ? 0 : value < 1 ? 3 : 1)}{unit === "%" ? "%" : unit}</td>
              <td>{referenceWords(reference, words.atMost)}<div className="soft small">{source}</div></td>
              <td className="figures-met"><Met is_met={is_met} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** "≤ 6, at most 12" in the language of the page; all else is numbers. */
function referenceWords(reference: string, atMost: (aim: string, most: string) => string): string {
  const [aim = "", most] = reference.split(", at most ");
  return most === undefined ? aim : atMost(aim, most);
}

function Met({ is_met }: { is_met: boolean | null }) {
  const words = useWords(texts);
  if (is_met === null) return <>–</>;
  return is_met ? (
    <span className="figures-yes"><CheckCircleFilled aria-hidden /> {words.yes}</span>
  ) : (
    <span className="figures-no"><CloseCircleFilled aria-hidden /> {words.no}</span>
  );
}

function Shares({ shares }: { shares: readonly AlarmShare[] }) {
  const words = useWords(texts);
  const nameOf = useRuleNames();
  const language = useLanguage();
  const { devicesById, gatewaysById } = useCatalogue();
  // The longest bar is the largest, not the whole: ten of many would all be slivers.
  const most = Math.max(...shares.map(({ share }) => share), 0);
  return (
    <ol className="figures-shares">
      {shares.map(({ what, alarms, share }) => {
        const [rule = "", device] = what.split(" ");
        const named = device === undefined ? undefined : devicesById.get(device) ?? gatewaysById.get(device);
        const where = device === undefined ? "" : ` · ${inLanguage(named?.name, language, device)}`;
        return (
          <li key={what}>
            <span>{nameOf(rule)}{where}</span>
            <span className="figures-count">{words.shareOf(alarms, formatNumber(100 * share, 1) ?? "")}</span>
            <span className="figures-bar" style={{ width: `${(100 * share) / most}%` }} />
          </li>
        );
      })}
    </ol>
  );
}

function useRuleNames(): (rule: string) => string {
  const language = useLanguage();
  const { rules } = useCatalogue();
  const names = new Map<string, Named | undefined>(rules.map(({ id, name }) => [id, name]));
  return (rule) => inLanguage(names.get(rule), language, rule);
}

function Outcomes({ outcomes }: { outcomes: AlarmFigures["outcomes"] }) {
  const words = useWords(texts);
  const shared = useTexts();
  const nameOf = useRuleNames();
  const rules = Object.entries(outcomes);
  return (
    <section aria-label={words.worth}>
      <h3>{words.worth}</h3>
      <p className="soft">{words.worthHint}</p>
      {rules.length === 0 && <p className="soft">{words.noOutcomes}</p>}
      {rules.length > 0 && (
        <div className="table-frame">
          <table className="plain-table">
            <thead>
              <tr>
                <th>{words.rule}</th>
                {OUTCOMES.map((outcome) => <th key={outcome}>{shared.actions.dispositions[outcome]}</th>)}
                <th>{words.precision}</th>
              </tr>
            </thead>
            <tbody>
              {rules.map(([rule, counted]) => (
                <tr key={rule}>
                  <td>{nameOf(rule)}</td>
                  {OUTCOMES.map((outcome) => <td key={outcome} className="figures-value">{counted[outcome] ?? 0}</td>)}
                  <td className="figures-value">{counted.precision == null ? "–" : `${formatNumber(100 * counted.precision, 0)}%`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
