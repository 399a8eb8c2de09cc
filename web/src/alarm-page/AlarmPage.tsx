/** One alarm on a page of its own, for a link: facts and actions beside the evidence, then everything on record. */

import { LeftOutlined } from "@ant-design/icons";
import { Empty, Skeleton } from "antd";

import { EvidenceChart, History, Summary } from "../detail/AlarmView";
import { useAlarmDetail } from "../detail/useAlarmDetail";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { FALLBACK_ZONE } from "../show/time";
import { useAlarm } from "../state/alarms";
import { useCatalogue } from "../state/catalogue";
import { pageAddress, useRoute } from "../state/route";
import { Related } from "./Related";
import { Standing } from "./Standing";
import { texts } from "./texts";
import "../alarms/alarms.css";
import "../detail/detail.css";
import "./alarm-page.css";

export default function AlarmPage() {
  const words = useWords(texts);
  const { of } = useRoute();
  return (
    <div className="plain-page detail">
      <a className="back-link" href={pageAddress("alarms")}>
        <LeftOutlined aria-hidden /> {words.back}
      </a>
      {of === undefined ? <Empty description={words.missing} /> : <Whole key={of} id={of} />}
    </div>
  );
}

function Whole({ id }: { id: string }) {
  const language = useLanguage();
  const catalogue = useCatalogue();
  const { detail, problem, retry } = useAlarmDetail(id);
  // The stream may be ahead of the fetched detail; what can be decided on is always the newest.
  const alarm = useAlarm(id) ?? detail;
  const zone = catalogue.sitesById.get(alarm?.site ?? "")?.timezone ?? FALLBACK_ZONE;

  return (
    <>
      {alarm !== null && <h2 className="page-title">{inLanguage(alarm.rule_name, language, alarm.rule)}</h2>}
      {problem !== null && <Failure problem={problem} retry={retry} />}
      {detail === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} />}
      <div className="alarm-page">
        {alarm !== null && (
          <div className="alarm-page-acts">
            <Summary alarm={alarm} zone={zone} />
            {detail !== null && <Standing alarm={alarm} version={detail.rule_version ?? null} zone={zone} />}
            <Related alarm={alarm} />
          </div>
        )}
        {detail !== null && (
          <div className="alarm-page-record">
            <EvidenceChart detail={detail} zone={zone} />
            <History detail={detail} zone={zone} />
          </div>
        )}
      </div>
    </>
  );
}
