/** Who was told about an alarm, and whether the message arrived. */

import { CheckCircleFilled, ClockCircleOutlined, CloseCircleFilled } from "@ant-design/icons";

import type { Notice } from "../api/contract";
import { useTexts } from "../i18n/language";
import { channelText } from "../show/codes";
import { timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";

export function Notices({ notices, zone }: { notices: Notice[]; zone: string }) {
  const texts = useTexts();
  if (notices.length === 0) return <p className="soft">{texts.detail.noNotices}</p>;
  return (
    <div className="table-frame">
      <table className="plain-table">
        <thead>
          <tr>
            <th>#</th>
            <th>{texts.detail.recipient}</th>
            <th>{texts.detail.channel}</th>
            <th>{texts.detail.tries}</th>
            <th>{texts.detail.state}</th>
          </tr>
        </thead>
        <tbody>
          {notices.map((notice) => (
            <tr key={`${notice.channel} ${notice.recipient} ${notice.seq}`}>
              <td className="number">{notice.seq}</td>
              <td>{notice.recipient === notice.channel ? "—" : notice.recipient}</td>
              <td>{channelText(notice.channel, texts)}</td>
              <td className="number">{notice.attempts}</td>
              <td>
                <NoticeState notice={notice} zone={zone} />
                {notice.error !== null && <div className="code soft">{notice.error}</div>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function NoticeState({ notice, zone }: { notice: Notice; zone: string }) {
  const texts = useTexts();
  switch (notice.state) {
    case "delivered":
      return (
        <span className="device-state device-ok">
          <CheckCircleFilled aria-hidden />
          {notice.delivered_ms === null ? "" : texts.detail.delivered(timeOnDay(notice.delivered_ms, zone, nowMs()))}
        </span>
      );
    case "failed":
      return (
        <span className="device-state device-silent">
          <CloseCircleFilled aria-hidden /> {texts.detail.failed}
        </span>
      );
    case "waiting":
      return (
        <span className="device-state">
          <ClockCircleOutlined aria-hidden /> {texts.detail.waiting}
        </span>
      );
  }
}
