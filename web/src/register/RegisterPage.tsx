/** The visitor temperature register: at the gate; for registrars also search, print, Excel and counts. */

import { Empty, Segmented, Skeleton } from "antd";

import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { replaceRoute, useRoute } from "../state/route";
import { useMay } from "../state/session";
import { CountsTab } from "./CountsTab";
import { GateTab } from "./GateTab";
import { SearchTab } from "./SearchTab";
import { texts } from "./texts";
import { useGateNames } from "./useGateNames";
import "./register.css";

const TABS = { gate: "atGate", find: "find", counts: "counts" } as const;
type Tab = keyof typeof TABS;

export default function RegisterPage() {
  const words = useWords(texts);
  const language = useLanguage();
  const wanted = useRoute().tab;
  const mayRead = useMay("register-read");
  const { gates, gate, problem, choose, retry } = useGateNames();
  const tab: Tab = mayRead && (wanted === "find" || wanted === "counts") ? wanted : "gate";

  return (
    <div className="plain-page register">
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
      {tab === "gate" && gate !== null && <GateTab gate={gate.id} />}
    </div>
  );
}
