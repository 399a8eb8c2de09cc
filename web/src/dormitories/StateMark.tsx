/** What a room is, as sign, word and colour. */

import {
  CheckCircleFilled, DisconnectOutlined, ExperimentOutlined, HomeOutlined, MinusCircleOutlined, QuestionCircleOutlined, ThunderboltFilled,
} from "@ant-design/icons";

import type { RoomState } from "../api/dormitories";
import { useWords } from "../i18n/words";
import { texts } from "./texts";

const SIGNS = {
  "forbidden-load": ThunderboltFilled,
  leak: ExperimentOutlined,
  silent: DisconnectOutlined,
  "vacant-use": QuestionCircleOutlined,
  vacant: HomeOutlined,
  "no-meter": MinusCircleOutlined,
  ok: CheckCircleFilled,
} as const;

export function StateMark({ state }: { state: RoomState }) {
  const words = useWords(texts);
  const Sign = SIGNS[state];
  return (
    <span className={`room-mark room-mark-${state}`}>
      <Sign aria-hidden /> {words.states[state]}
    </span>
  );
}
