/** A month's bill: what each bed owes, how it adds up to the main meter, and its issue. */

import { DownloadOutlined } from "@ant-design/icons";
import { Alert, Button, Modal, Skeleton } from "antd";
import { useCallback, useState } from "react";

import { fetchBill, issueBill, billFile, type Bill, type BillAnswer, type RoomUse } from "../api/dormitories";
import { Problem } from "../api/request";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { MonthField } from "../parts/FilterFields";
import { prettyUnit } from "../show/quantity";
import { dayOf, monthBefore, timeOnDay } from "../show/time";
import { nowMs } from "../state/clock";
import { replaceRoute, useRoute } from "../state/route";
import { yuan } from "./money";
import { NotTaken } from "./NotTaken";
import { texts } from "./texts";

const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;

interface Props {
  building: string;
  decides: boolean;
  zone: string;
  nameOf: (room: string) => string;
}

export function BillView({ building, decides, zone, nameOf }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const asked = useRoute().month ?? "";
  const today = dayOf(nowMs(), zone);
  const month = MONTH.test(asked) && asked <= today ? asked : monthBefore(today);
  const { answer, problem, load } = useAnswer(useCallback(() => fetchBill(building, month), [building, month]));
  return (
    <>
      <div className="bill-bar">
        <MonthField label={words.month} value={month} today={today} change={(next) => replaceRoute({ month: next })} />
        {(["xlsx", "pdf"] as const).map((form) => (
          <Button key={form} size="large" icon={<DownloadOutlined aria-hidden />} href={billFile(building, month, form, language)} download>
            {form === "pdf" ? words.pdf : words.excel}
          </Button>
        ))}
        {answer !== null && decides && answer.state === "draft" && answer.is_over && <Issue answer={answer} saved={load} />}
      </div>
      {problem !== null && <Failure problem={problem} retry={load} />}
      {answer === null && problem === null && <Skeleton active paragraph={{ rows: 8 }} aria-label={words.loading} />}
      {answer !== null && <Shown answer={answer} zone={zone} nameOf={nameOf} />}
    </>
  );
}

const sumOf = (bill: Bill) => bill.fen + bill.corrections.reduce((sum, line) => sum + line.fen, 0);

function Issue({ answer: { bill }, saved }: { answer: BillAnswer; saved: () => void }) {
  const words = useWords(texts);
  const [isOpen, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const send = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await issueBill(bill.building, bill.month, bill.inputs_hash, sumOf(bill));
      setOpen(false);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
      saved();
    }
  };
  return (
    <>
      <Button
        type="primary"
        size="large"
        onClick={() => {
          setProblem(null);
          setOpen(true);
        }}
      >
        {words.issue}
      </Button>
      <Modal
        open={isOpen}
        title={words.issue}
        okText={words.issue}
        cancelText={words.cancel}
        okButtonProps={{ size: "large", loading: isBusy }}
        cancelButtonProps={{ size: "large" }}
        onOk={() => void send()}
        onCancel={() => setOpen(false)}
      >
        <p>{words.issueAsk(bill.month, yuan(sumOf(bill)))}</p>
        {problem !== null && <NotTaken problem={problem} />}
      </Modal>
    </>
  );
}

function Shown({ answer, zone, nameOf }: { answer: BillAnswer; zone: string; nameOf: (room: string) => string }) {
  const words = useWords(texts);
  const language = useLanguage();
  const { bill } = answer;
  const tariffName = (id: string) => inLanguage(bill.tariffs.find((each) => each.id === id)?.name, language, id);
  const bedName = (bed: number | null) => (bed === null ? words.house : String(bed));
  const beds = bill.rooms.flatMap((room) => room.beds);
  return (
    <>
      {answer.is_intact === false && <Alert type="error" showIcon title={words.broken} />}
      {!answer.is_over && <Alert type="info" showIcon title={words.notOver} />}
      <p className="bill-sum">
        <span className={`bill-state bill-state-${answer.state}`}>
          {answer.state === "draft" ? words.draft : words.issued(answer.issued_by ?? "", timeOnDay(answer.issued_ms ?? 0, zone, nowMs()))}
        </span>
        <span>
          {words.sum} <strong>{yuan(sumOf(bill))}</strong> {words.yuan}
        </span>
      </p>
      <h3>{words.adds}</h3>
      <div className="table-frame">
        <table className="plain-table">
          <thead>
            <tr>
              <th scope="col">{words.publicHead.tariff}</th>
              {(["main", "rooms", "common", "difference", "amount"] as const).map((name) => (
                <th key={name} scope="col" className="number">{words.publicHead[name]}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {bill.public.map((each) => (
              <tr key={each.tariff}>
                <td>
                  {tariffName(each.tariff)} ({prettyUnit(bill.tariffs.find(({ id }) => id === each.tariff)?.unit)})
                  <Doubts of={each} />
                </td>
                <td className="number">{each.main ?? words.noMain}</td>
                <td className="number">{each.rooms}</td>
                <td className="number">{each.common}</td>
                <td className="number">{each.difference ?? "—"}</td>
                <td className="number">{yuan(each.fen)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div className="table-frame">
        <table className="plain-table bill-table">
          <thead>
            <tr>
              <th scope="col">{words.room}</th>
              <th scope="col">{words.used}</th>
              <th scope="col">{words.bed}</th>
              <th scope="col" className="number">{words.amount}</th>
              <th scope="col" className="number">{words.correction}</th>
              <th scope="col" className="number">{words.due}</th>
            </tr>
          </thead>
          <tbody>
            {bill.rooms.flatMap((room) =>
              room.beds.map((bed, at) => (
                <tr key={`${room.room} ${bed.bed}`} className={at === 0 ? "bill-room" : ""}>
                  {at === 0 && (
                    <>
                      <th scope="rowgroup" rowSpan={room.beds.length}>{nameOf(room.room)}</th>
                      <td rowSpan={room.beds.length}>
                        {room.uses.map((use) => (
                          <Used key={use.tariff} use={use} name={tariffName(use.tariff)} unit={bill.tariffs.find(({ id }) => id === use.tariff)?.unit} />
                        ))}
                      </td>
                    </>
                  )}
                  <td>{bedName(bed.bed)}</td>
                  <td className="number">{yuan(bed.fen)}</td>
                  <td className="number">{bed.correction_fen === 0 ? "" : yuan(bed.correction_fen)}</td>
                  <td className="number"><strong>{yuan(bed.due_fen)}</strong></td>
                </tr>
              )),
            )}
            <tr className="bill-total">
              <th scope="row" colSpan={3}>{words.total}</th>
              <td className="number">{yuan(beds.reduce((sum, bed) => sum + bed.fen, 0))}</td>
              <td className="number">{yuan(beds.reduce((sum, bed) => sum + bed.correction_fen, 0))}</td>
              <td className="number"><strong>{yuan(beds.reduce((sum, bed) => sum + bed.due_fen, 0))}</strong></td>
            </tr>
          </tbody>
        </table>
      </div>
      <h3>{words.corrections}</h3>
      {bill.corrections.length === 0 ? (
        <p className="soft">{words.noCorrections}</p>
      ) : (
        <ul className="bill-corrections">
          {bill.corrections.map((line) => (
            <li key={`${line.month} ${line.tariff} ${line.room} ${line.bed}`}>
              {line.month} · {tariffName(line.tariff)} · {line.room === null ? words.house : `${nameOf(line.room)}, ${bedName(line.bed)}`}:{" "}
              <strong>{line.fen > 0 ? `+${yuan(line.fen)}` : yuan(line.fen)}</strong>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

type Doubtful = Pick<Bill["public"][number], "is_whole" | "breaks"> & { estimated?: string };

function Doubts({ of: { estimated = "0", is_whole, breaks = [] } }: { of: Doubtful }) {
  const words = useWords(texts);
  const doubts = [
    Number(estimated) > 0 && words.estimated(estimated),
    !is_whole && words.notWhole,
    breaks.some(({ counted }) => counted === null) && words.unknownStep,
  ].filter((each) => each !== false);
  return doubts.length > 0 && <div className="bill-doubts">{doubts.join(" · ")}</div>;
}

function Used({ use, name, unit }: { use: RoomUse; name: string; unit: string | undefined }) {
  const words = useWords(texts);
  return (
    <div className="bill-used">
      {name} <strong>{use.quantity}</strong> {prettyUnit(unit)} · {yuan(use.fen)} {words.yuan}
      <Doubts of={use} />
    </div>
  );
}
