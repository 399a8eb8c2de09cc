/** The visitor temperature register: at the gate; for registrars also search, print, Excel and counts. */

import { WarningOutlined } from "@ant-design/icons";
import { Alert, Empty, Segmented, Skeleton } from "antd";

import { SoundWarning, useTone } from "../guard/Sound";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { useGateNames } from "../state/gateNames";
import { useOpenAlarms } from "../state/alarms";
import { openPage, replaceRoute, useRoute } from "../state/route";
import { useMay, useMaySomewhere } from "../state/session";
import { useSite } from "../state/site";
import { CountsTab } from "./CountsTab";
import { GateTab } from "./GateTab";
import { SearchTab } from "./SearchTab";
import { texts } from "./texts";
import "./register.css";

const TABS = { gate: "atGate", find: "find", counts: "counts" } as const;
type Tab = keyof typeof TABS;

export default function RegisterPage() {
  const words = useWords(texts);
  const language = useLanguage();
  const wanted = useRoute().tab;
  const mayRead = useMaySomewhere("register-read");
  const { gates, gate, problem, choose, retry } = useGateNames();
  const tab: Tab = mayRead && (wanted === "find" || wanted === "counts") ? wanted : "gate";

  // The page of the gate, which would take the screen, is not open now: the fever sounds here as it would there.
  const site = useSite()?.id;
  const isFever = useOpenAlarms().some((alarm) => alarm.class === "fever" && alarm.site === site && !alarm.acknowledged);
  const mayGuard = useMay("guard", site ?? null);
  useTone(isFever && mayGuard);
  const mayWrite = useMay("register-write", site ?? null);

  return (
    <div className="plain-page register">
      {mayGuard && <SoundWarning />}
      {isFever && mayGuard && (
        <div role="alert">
          <button type="button" className="register-fever" onClick={() => openPage("guard")}>
            <WarningOutlined aria-hidden />
            <strong>{words.fever}</strong>
            <span>{words.toGate}</span>
          </button>
        </div>
      )}
      <div className="section-head">
        <h2>{words.title}</h2>
        {mayRead && (
          <Segmented<Tab>
            size="large"
            value={tab}
            options={(Object.keys(TABS) as Tab[]).map((value) => ({ value, label: words[TABS[value]] }))}
            onChange={(value) => replaceRoute({ tab: value })}
          />
        )}
        {tab === "gate" && gates !== null && gates.length > 1 && (
          <Segmented
            size="large"
            aria-label={words.gate}
            value={gate?.id ?? ""}
            options={gates.map(({ id, name }) => ({ value: id, label: inLanguage(name, language, id) }))}
            onChange={choose}
          />
        )}
      </div>
      {tab === "find" && <SearchTab />}
      {tab === "counts" && <CountsTab />}
      {tab === "gate" && problem !== null && gate === null && <Failure problem={problem} retry={retry} />}
      {tab === "gate" && gates === null && problem === null && <Skeleton active />}
      {tab === "gate" && gates !== null && gates.length === 0 && <Empty description={words.noGate} />}
      {tab === "gate" && site !== undefined && !mayWrite && <Alert type="info" showIcon title={words.notWrittenHere} />}
      {tab === "gate" && gate !== null && mayWrite && <GateTab key={gate.id} gate={gate.id} />}
    </div>
  );
}
