/** What a room is, as sign, word and colour. */

import {
  CheckCircleFilled, DisconnectOutlined, HomeOutlined, MinusCircleOutlined, QuestionCircleOutlined, ThunderboltFilled,
} from "@ant-design/icons";

import type { RoomState } from "../api/dormitories";
import { useWords } from "../i18n/words";
import { texts } from "./texts";

/** A drop of water: the icons have none. */
function Drop() {
  return (
    <svg className="anticon" viewBox="0 0 16 16" width="1em" height="1em" fill="currentColor" aria-hidden>
      <path d="M8 1 C11 5 13 7.5 13 10.2 A5 5 0 0 1 3 10.2 C3 7.5 5 5 8 1 Z" />
    </svg>
  );
}

const SIGNS = {
  "forbidden-load": ThunderboltFilled,
  leak: Drop,
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
