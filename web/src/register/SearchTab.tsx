/** Who came: searched, printed, taken as Excel, erased; a reason is asked first and put on record each time. */

import { Alert, App, Button, Empty, Input, Modal, Select } from "antd";
import { useEffect, useState } from "react";

import type { ReadReason, RegisterAsked, Visit } from "../api/contract";
import { eraseVisits, exportRegister, searchRegister } from "../api/gatehouse";
import { useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { saveFile } from "../parts/save";
import { dayAfter, dayOf } from "../show/time";
import { useNow } from "../state/clock";
import { useZone } from "../state/site";
import { PrintSheet, Sheet } from "./Sheet";
import { texts } from "./texts";
import { useChange } from "./useChange";

const SHOWN_AT_ONCE = 50;
const PRINTED_MAX = 500;
const FIRST_DAYS = 7;
const REASONS: readonly ReadReason[] = ["on-duty", "contact-tracing", "person-asked", "incident", "inspection", "other"];

export function SearchTab() {
  const words = useWords(texts);
  const language = useLanguage();
  const zone = useZone();
  const now_ms = useNow(60_000);
  const { notification } = App.useApp();
  const { isBusy, change } = useChange();
  const [reason, setReason] = useState<ReadReason | null>(null);
  const [asked, setAsked] = useState(() => ({
    words: "", text: "", first_day: dayAfter(dayOf(now_ms, zone), -FIRST_DAYS), last_day: dayOf(now_ms, zone),
  }));
  const [found, setFound] = useState<{ items: Visit[]; next: string | null; asked: RegisterAsked } | null>(null);
  const [printed, setPrinted] = useState<{ items: Visit[]; isCut: boolean } | null>(null);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [isErasing, setErasing] = useState(false);
  const isReady = reason !== null && (reason !== "other" || asked.words.trim() !== "");

  // Printed once it stands in the page: the sheet is all that the print styles show.
  useEffect(() => {
    if (printed === null) return;
    window.print();
    setPrinted(null);
  }, [printed]);

  const full = (): RegisterAsked | null => (isReady ? { ...asked, reason } : null);
  const search = async () => {
    const wanted = full();
    if (wanted === null) return;
    const page = await change(() => searchRegister(wanted, "read", SHOWN_AT_ONCE, null));
    setChosen(new Set());
    if (page !== null) setFound({ ...page, asked: wanted });
  };
  const more = async () => {
    if (found === null) return;
    const page = await change(() => searchRegister(found.asked, "read", SHOWN_AT_ONCE, found.next));
    if (page !== null) setFound({ ...page, items: [...found.items, ...page.items], asked: found.asked });
  };
  const print = async () => {
    const wanted = full();
    if (wanted === null) return;
    const page = await change(() => searchRegister(wanted, "print", PRINTED_MAX, null));
    if (page !== null) setPrinted({ items: [...page.items].reverse(), isCut: page.next !== null });
  };
  const excel = async () => {
    const wanted = full();
    if (wanted === null) return;
    const file = await change(() => exportRegister(wanted, language));
    if (file === null) return;
    saveFile(file, `register-${wanted.first_day}-${wanted.last_day}.xlsx`);
  };
  const erase = async () => {
    const wanted = full();
    if (wanted === null) return;
    const erased = await change(() => eraseVisits(wanted, [...chosen]));
    setErasing(false);
    if (erased === null) return;
    notification.success({ title: words.erased(erased.count) });
    setFound((now) => now && { ...now, items: now.items.filter(({ id }) => !chosen.has(id)) });
    setChosen(new Set());
  };
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };

  return (
    <div className="register-search">
      <form
        className="register-asking"
        onSubmit={(event) => {
          event.preventDefault();
          void search();
        }}
      >
        <div className="register-reason">
          <label htmlFor="register-reason">{words.reason}</label>
          <Select<ReadReason>
            id="register-reason"
            size="large"
            value={reason}
            placeholder={words.chooseReason}
            options={REASONS.map((value) => ({ value, label: words.reasons[value] }))}
            onChange={setReason}
          />
        </div>
        <div className="register-words">
          <label htmlFor="register-words">{words.words}</label>
          <Input id="register-words" size="large" maxLength={100} value={asked.words} onChange={(event) => setAsked({ ...asked, words: event.target.value })} />
        </div>
        <p className="soft register-record">{words.onRecord}</p>
        <div className="register-text">
          <label htmlFor="register-text">{words.text}</label>
          <Input id="register-text" size="large" maxLength={100} autoComplete="off" value={asked.text} onChange={(event) => setAsked({ ...asked, text: event.target.value })} />
        </div>
        {(["first_day", "last_day"] as const).map((name) => (
          <div key={name}>
            <label htmlFor={`register-${name}`}>{name === "first_day" ? words.firstDay : words.lastDay}</label>
            <Input
              id={`register-${name}`}
              size="large"
              type="date"
              required
              value={asked[name]}
              onChange={(event) => setAsked({ ...asked, [name]: event.target.value })}
            />
          </div>
        ))}
        <div className="register-buttons">
          <Button type="primary" size="large" htmlType="submit" disabled={!isReady} loading={isBusy}>
            {words.search}
          </Button>
          <Button size="large" disabled={!isReady || isBusy} onClick={() => void print()}>
            {words.print}
          </Button>
          <Button size="large" disabled={!isReady || isBusy} onClick={() => void excel()}>
            {words.excel}
          </Button>
          {chosen.size > 0 && (
            <Button size="large" danger disabled={!isReady || isBusy} onClick={() => setErasing(true)}>
              {words.erase(chosen.size)}
            </Button>
          )}
        </div>
      </form>
      {found !== null && found.items.length === 0 && (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={words.nobodyFound} />
      )}
      {found !== null && found.items.length > 0 && (
        <Sheet visits={found.items} zone={zone} chosen={chosen} toggle={toggle} />
      )}
      {found !== null && found.next !== null && (
        <Button size="large" loading={isBusy} onClick={() => void more()}>
          {words.more}
        </Button>
      )}
      {printed !== null && <PrintSheet visits={printed.items} isCut={printed.isCut} zone={zone} />}
      <Modal
        open={isErasing}
        centered
        title={words.erase(chosen.size)}
        okText={words.erase(chosen.size)}
        okButtonProps={{ danger: true, size: "large" }}
        cancelText={words.cancel}
        cancelButtonProps={{ size: "large" }}
        confirmLoading={isBusy}
        onOk={() => void erase()}
        onCancel={() => setErasing(false)}
      >
        <Alert type="warning" showIcon title={words.eraseHint} />
      </Modal>
    </div>
  );
}
