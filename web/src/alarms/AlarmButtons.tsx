/** What a person may do with an open alarm: acknowledge it, and decide on a person with fever. */

import { CheckOutlined, LoginOutlined, MedicineBoxOutlined, StopOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { lazy, Suspense, useState, type ReactNode } from "react";

import type { Alarm, Disposition } from "../api/contract";
import { useTexts } from "../i18n/language";
import { useActsOn } from "../state/session";
import type { Handling } from "../handling/HandlingDialog";
import type { Asked } from "./NoteDialog";
import { isShelved } from "./shelf";
import { useAlarmActions } from "./useAlarmActions";

export const loadNoteDialog = () => import("./NoteDialog");
const NoteDialog = lazy(loadNoteDialog);
export const loadHandling = () => import("../handling/HandlingDialog");
const HandlingDialog = lazy(loadHandling);

type Question = Asked | Handling;

const DECISIONS: { disposition: Disposition; Icon: typeof CheckOutlined }[] = [
  { disposition: "admit", Icon: LoginOutlined },
  { disposition: "refuse", Icon: StopOutlined },
  { disposition: "refer", Icon: MedicineBoxOutlined },
];

interface Props {
  alarm: Alarm;
  /** Further questions offered, such as closing; the card keeps to the urgent ones. */
  also?: readonly Question[];
  /** Put after the buttons, in the same row. */
  children?: ReactNode;
}

export function AlarmButtons({ alarm, also = [], children }: Props) {
  const texts = useTexts();
  const { isBusy, acknowledge } = useAlarmActions();
  const [asked, setAsked] = useState<Question | null>(null);
  const mayAct = useActsOn(alarm.class, alarm.site);
  const decides = mayAct && alarm.class === "fever" && alarm.disposition === null && alarm.state === "open";
  const mayAcknowledge = mayAct && !alarm.acknowledged && alarm.state === "open";
  // A fever is closed by the decision; closing it past the decision would leave none on record.
  const questions = mayAct ? also.filter((each) => each !== "close" || alarm.class !== "fever") : [];

  return (
    <div className={decides ? "alarm-buttons alarm-deciding" : "alarm-buttons"} onClick={(event) => event.stopPropagation()}>
      {decides &&
        DECISIONS.map(({ disposition, Icon }) => (
          <Button
            key={disposition}
            size="large"
            danger={disposition === "refuse"}
            icon={<Icon />}
            onClick={() => setAsked(disposition)}
          >
            {texts.actions[disposition]}
          </Button>
        ))}
      {mayAcknowledge && (
        <Button
          size="large"
          type="primary"
          icon={<CheckOutlined />}
          loading={isBusy}
          onClick={() => acknowledge(alarm)}
        >
          {texts.actions.acknowledge}
        </Button>
      )}
      {questions.map((each) => (
        <Button key={each} size="large" onClick={() => setAsked(each)}>
          {each === "shelve" && isShelved(alarm) ? texts.actions.unshelve : texts.actions[each]}
        </Button>
      ))}
      {!mayAct && alarm.state === "open" && <span className="alarm-read-only">{texts.actions.readOnly}</span>}
      {children}
      {asked !== null && (
        <Suspense fallback={null}>
          {asked === "assign" || asked === "shelve" ? (
            <HandlingDialog asked={asked} alarm={alarm} close={() => setAsked(null)} />
          ) : (
            <NoteDialog asked={asked} alarm={alarm} close={() => setAsked(null)} />
          )}
        </Suspense>
      )}
    </div>
  );
}
