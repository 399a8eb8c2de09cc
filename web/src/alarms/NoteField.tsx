/** A note, with what is missing said at the field. */

import { Input } from "antd";

const NOTE_LENGTH_MAX = 500;

interface Props {
  label: string;
  value: string;
  missing: string | null;
  change: (value: string) => void;
}

export function NoteField({ label, value, missing, change }: Props) {
  return (
    <>
      <label className="dialog-label" htmlFor="dialog-note">
        {label}
      </label>
      <Input.TextArea
        id="dialog-note"
        autoFocus
        rows={3}
        maxLength={NOTE_LENGTH_MAX}
        value={value}
        status={missing === null ? "" : "error"}
        aria-describedby="dialog-missing"
        onChange={(event) => change(event.target.value)}
      />
      <p id="dialog-missing" className="dialog-missing" role="alert">
        {missing}
      </p>
    </>
  );
}
