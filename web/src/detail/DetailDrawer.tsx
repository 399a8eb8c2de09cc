/** The drawer over the page: one alarm, or one device with its charts. */

import { ExpandOutlined } from "@ant-design/icons";
import { Drawer } from "antd";

import { inLanguage, useLanguage, useTexts } from "../i18n/language";
import { useAlarm } from "../state/alarms";
import { useCatalogue } from "../state/catalogue";
import { closeDrawer, pageAddress, useRoute } from "../state/route";
import { AlarmView } from "./AlarmView";
import { DeviceView } from "./DeviceView";
import "./detail.css";

const WIDTH = "min(780px, 100vw)";

export default function DetailDrawer() {
  const { alarm, device, metric } = useRoute();
  const title = useTitle(alarm, device);
  return (
    <Drawer open size={WIDTH} title={title} onClose={closeDrawer} className="detail" extra={alarm !== undefined && <PageLink alarm={alarm} />}>
      {alarm !== undefined ? (
        <AlarmView key={alarm} id={alarm} />
      ) : device !== undefined ? (
        <DeviceView key={device} deviceId={device} metricId={metric ?? ""} />
      ) : null}
    </Drawer>
  );
}

function PageLink({ alarm }: { alarm: string }) {
  const words = useTexts().detail;
  return (
    <a className="page-of-alarm" href={pageAddress("alarm", { of: alarm })}>
      <ExpandOutlined aria-hidden /> {words.fullPage}
    </a>
  );
}

function useTitle(alarmId: string | undefined, deviceId: string | undefined): string {
  const language = useLanguage();
  const catalogue = useCatalogue();
  const alarm = useAlarm(alarmId ?? "");
  if (alarmId !== undefined) return inLanguage(alarm?.rule_name, language, "…");
  return inLanguage(catalogue.devicesById.get(deviceId ?? "")?.name, language, deviceId);
}
