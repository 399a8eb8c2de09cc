/** What is written about a visitor, large enough for gloves; used at the gate and by who announces them. */

import { Button, Input } from "antd";

import type { VisitorTold } from "../api/contract";
import { useWords } from "../i18n/words";
import { texts } from "./texts";

const NEEDED = ["visitor", "purpose", "department"] as const;
const FIELDS = ["visitor", "organisation", "purpose", "department", "phone", "remark"] as const;

export const missingFields = (told: VisitorTold) => NEEDED.filter((name) => told[name].trim() === "");

interface Props {
  told: VisitorTold;
  change: (told: Partial<VisitorTold>) => void;
  /** Whether what is missing is said. */
  isAsked: boolean;
  departments: readonly string[];
}

export function VisitorFields({ told, change, isAsked, departments }: Props) {
  const words = useWords(texts);
  const missing: readonly string[] = isAsked ? missingFields(told) : [];
  return (
    <div className="visitor-fields">
      {FIELDS.map((name) => (
        <div key={name} className={`visitor-field visitor-field-${name}`}>
          <label htmlFor={`visitor-${name}`}>{words[name]}</label>
          <Input
            id={`visitor-${name}`}
            value={told[name]}
            maxLength={name === "phone" ? 20 : 100}
            inputMode={name === "phone" ? "tel" : "text"}
            autoComplete="off"
            list={name === "department" ? "register-departments" : undefined}
            aria-invalid={missing.includes(name)}
            aria-describedby={missing.includes(name) ? `visitor-${name}-missing` : undefined}
            onChange={(event) => change({ [name]: event.target.value })}
          />
          {missing.includes(name) && (
            <p id={`visitor-${name}-missing`} className="register-missing">
              {words.needed}
            </p>
          )}
          {name === "purpose" && (
            <div className="purpose-presets">
              {words.purposes.map((purpose) => (
                <Button key={purpose} aria-pressed={told.purpose === purpose} onClick={() => change({ purpose })}>
                  {purpose}
                </Button>
              ))}
            </div>
          )}
        </div>
      ))}
      <datalist id="register-departments">
        {departments.map((department) => (
          <option key={department} value={department} />
        ))}
      </datalist>
    </div>
  );
}
