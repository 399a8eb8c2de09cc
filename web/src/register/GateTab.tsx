/** The register at the gate: a form for who comes unannounced, who is expected today, and who is here. */

import { App, Button, Empty, Skeleton } from "antd";
import { useMemo, useState } from "react";

import type { RegisterBoard, TemperatureGiven, Visit } from "../api/contract";
import { admitVisitor, enterVisitor, recheckVisitor, visitorLeft } from "../api/gatehouse";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { timeOfDay } from "../show/time";
import { useNow } from "../state/clock";
import { useZone } from "../state/site";
import { MeasureDialog } from "./MeasureDialog";
import { TemperatureField, temperatureOf } from "./TemperatureField";
import { VisitLine } from "./VisitLine";
import { missingFields, VisitorFields } from "./VisitorFields";
import { draft, emptyDraft, putDraft, requestKey, type Draft } from "./draft";
import { texts } from "./texts";
import { useBoard } from "./useBoard";
import { useChange } from "./useChange";

export function GateTab({ gate }: { gate: string }) {
  const words = useWords(texts);
  const zone = useZone();
  const now_ms = useNow(1000);
  const { board, problem, reload } = useBoard(gate);
  const { isBusy, change } = useChange();
  const [measuring, setMeasuring] = useState<Visit | null>(null);

  const measured = async (visit: Visit, temperature: TemperatureGiven) => {
    const send = visit.state === "announced" ? admitVisitor : recheckVisitor;
    const done = await change(() => send(requestKey(), visit.id, visit.seq, temperature));
    if (done !== null) setMeasuring(null);
    await reload();
  };
  const admit = (visit: Visit) => {
    const temperature = temperatureOf("", board?.lanes ?? [], now_ms);
    if (temperature === null) setMeasuring(visit);
    else void measured(visit, temperature);
  };
  const leave = async (visit: Visit) => {
    await change(() => visitorLeft(requestKey(), visit.id, visit.seq));
    await reload();
  };

  if (board === null) return problem === null ? <Skeleton active /> : <Failure problem={problem} retry={() => void reload()} />;
  return (
    <div className="register-gate">
      {problem !== null && <Failure problem={problem} retry={() => void reload()} />}
      <EntryForm gate={gate} board={board} reload={reload} />
      <div className="register-lists">
        <p className="soft register-as-of">{words.asOf(timeOfDay(board.as_of_ms, zone))}</p>
        <h3>{words.expected(board.expected.length)}</h3>
        {board.expected.length === 0 && <p className="soft">{words.noneExpected}</p>}
        <ul>
          {board.expected.map((visit) => (
            <VisitLine key={visit.id} visit={visit} zone={zone} limit_c={board.limit_c}>
              <Button type="primary" size="large" disabled={isBusy || visit.person === null} onClick={() => admit(visit)}>
                {words.admitOne}
              </Button>
            </VisitLine>
          ))}
        </ul>
        <h3>{words.here(board.here.length)}</h3>
        {board.here.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={words.noneHere} />}
        <ul>
          {board.here.map((visit) => (
            <VisitLine key={visit.id} visit={visit} zone={zone} limit_c={board.limit_c}>
              <Button size="large" disabled={isBusy || visit.person === null} onClick={() => setMeasuring(visit)}>
                {words.recheck}
              </Button>
              <Button size="large" disabled={isBusy} onClick={() => void leave(visit)}>
                {words.leave}
              </Button>
            </VisitLine>
          ))}
        </ul>
        {board.gone.length > 0 && <h3>{words.gone(board.gone.length)}</h3>}
        <ul>
          {board.gone.map((visit) => (
            <VisitLine key={visit.id} visit={visit} zone={zone} limit_c={board.limit_c} />
          ))}
        </ul>
      </div>
      {measuring !== null && (
        <MeasureDialog
          visit={measuring}
          passages={measuring.state === "announced" ? board.lanes : [...board.thermometers, ...board.lanes]}
          limit_c={board.limit_c}
          isBusy={isBusy}
          save={(temperature) => void measured(measuring, temperature)}
          close={() => setMeasuring(null)}
        />
      )}
    </div>
  );
}

function EntryForm({ gate, board, reload }: { gate: string; board: RegisterBoard; reload: () => Promise<void> }) {
  const words = useWords(texts);
  const now_ms = useNow(1000);
  const { notification } = App.useApp();
  const { isBusy, change } = useChange();
  const [told, setTold] = useState<Draft>(draft);
  const [isAsked, setAsked] = useState(false);
  const departments = useMemo(() => {
    const all = [...board.expected, ...board.here, ...board.gone].map(({ person }) => person?.department ?? "");
    return [...new Set(all)].filter((name) => name !== "").sort();
  }, [board]);

  const put = (part: Partial<Draft>) => {
    const next = { ...told, ...part };
    setTold(next);
    putDraft(next);
  };
  const enter = async (decision: "admit" | "refuse") => {
    const temperature = temperatureOf(told.typed, board.lanes, now_ms);
    const isUnexplained = decision === "refuse" && told.remark.trim() === "";
    if (isUnexplained) notification.warning({ title: words.why });
    if (missingFields(told).length > 0 || temperature === null || isUnexplained) {
      setAsked(true);
      return;
    }
    const { key, typed: _typed, ...person } = told;
    const entered = await change(
      () => enterVisitor(key, { ...person, gate, temperature, decision }),
      () => put({ key: requestKey() }),
    );
    // Not waited for: with a slow network the form would stand there as if nothing had been taken.
    void reload();
    if (entered === null) return;
    notification.success({ title: words.entered(told.visitor) });
    putDraft(emptyDraft());
    setTold(draft());
    setAsked(false);
  };

  return (
    <form className="register-form" onSubmit={(event) => event.preventDefault()}>
      <TemperatureField
        id="entry-temperature"
        passages={board.lanes}
        limit_c={board.limit_c}
        typed={told.typed}
        type={(typed) => put({ typed })}
        isAsked={isAsked}
      />
      <VisitorFields told={told} change={put} isAsked={isAsked} departments={departments} />
      <div className="register-decisions">
        <Button type="primary" htmlType="submit" loading={isBusy} onClick={() => void enter("admit")}>
          {words.admit}
        </Button>
        <Button danger disabled={isBusy} onClick={() => void enter("refuse")}>
          {words.refuse}
        </Button>
      </div>
    </form>
  );
}
