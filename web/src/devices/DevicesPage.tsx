/** Every device of the chosen site with its calibration; one of them with all that is on record about it. */

import { LeftOutlined } from "@ant-design/icons";
import { Empty } from "antd";
import { useCallback } from "react";

import { fetchDueCalibrations } from "../api/gatehouse";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { DeviceStateMark } from "../parts/DeviceStateMark";
import { Failure } from "../parts/Failure";
import { placePath } from "../show/placePath";
import { useDeviceState } from "../site/deviceState";
import type { Device, DueDevice, Site } from "../api/contract";
import { useCatalogue } from "../state/catalogue";
import { pageAddress, useRoute } from "../state/route";
import { useSite } from "../state/site";
import { DeviceRecord } from "./DeviceRecord";
import { Standing } from "./Standing";
import { texts } from "./texts";
import { useAnswer } from "../api/useAnswer";
import "./devices.css";

export default function DevicesPage() {
  const words = useWords(texts);
  const catalogue = useCatalogue();
  const { of } = useRoute();
  const device = of === undefined ? undefined : catalogue.devicesById.get(of);
  const site = catalogue.sites.find((each) => each.devices.some(({ id }) => id === of));
  return (
    <div className="plain-page">
      {of === undefined ? (
        <>
          <h2 className="page-title">{words.title}</h2>
          <Devices />
        </>
      ) : (
        <>
          <a className="back-link" href={pageAddress("devices")}><LeftOutlined aria-hidden /> {words.back}</a>
          {device === undefined || site === undefined ? (
            <Empty description={words.gone} />
          ) : (
            <DeviceRecord key={device.id} device={device} site={site} />
          )}
        </>
      )}
    </div>
  );
}

function Devices() {
  const words = useWords(texts);
  const language = useLanguage();
  const catalogue = useCatalogue();
  const site = useSite();
  const { answer: due, problem, load } = useAnswer(useCallback(() => fetchDueCalibrations(), []));
  return (
    <>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {due !== null && (
        <section aria-label={words.due} className="device-due">
          <h3>{words.due} <span className="count-badge">{due.length}</span> <span className="soft small">{words.dueHint}</span></h3>
          {due.length === 0 ? (
            <p className="soft">{words.nothingDue}</p>
          ) : (
            <ul className="device-due-list">
              {due.map((each) => (
                <li key={each.device}>
                  <a href={pageAddress("devices", { of: each.device })}>
                    {inLanguage(catalogue.devicesById.get(each.device)?.name, language, each.device)}
                  </a>{" "}
                  <Standing of={each} />
                </li>
              ))}
            </ul>
          )}
        </section>
      )}
      {site !== undefined && <DeviceTable site={site} due={due ?? []} />}
    </>
  );
}

function DeviceTable({ site, due }: { site: Site; due: readonly DueDevice[] }) {
  const words = useWords(texts);
  return (
    <div className="table-frame">
      <table className="plain-table">
        <thead>
          <tr><th>{words.device}</th><th>{words.place}</th><th>{words.state}</th><th>{words.calibration}</th></tr>
        </thead>
        <tbody>
          {site.devices.map((device) => (
            <DeviceRow key={device.id} device={device} site={site} due={due.find((each) => each.device === device.id)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function DeviceRow({ device, site, due }: { device: Device; site: Site; due: DueDevice | undefined }) {
  const language = useLanguage();
  const catalogue = useCatalogue();
  const state = useDeviceState(device);
  return (
    <tr>
      <td>
        <a className="device-link" href={pageAddress("devices", { of: device.id })}>{inLanguage(device.name, language, device.id)}</a>
        <div className="soft small">{device.id}</div>
      </td>
      <td>{placePath(catalogue, site.id, device.place, language)}</td>
      <td><DeviceStateMark state={state} /></td>
      <td>{due === undefined ? "–" : <Standing of={due} />}</td>
    </tr>
  );
}
