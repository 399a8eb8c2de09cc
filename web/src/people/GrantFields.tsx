/** Which role at which site, a line each. */

import { DeleteOutlined, PlusOutlined } from "@ant-design/icons";
import { Button, Select } from "antd";

import type { Grant } from "../api/contract";
import { inLanguage, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { useCatalogue } from "../state/catalogue";
import { roleWord, ROLES, texts } from "./texts";

const ALL = "";

interface Props {
  grants: readonly Grant[];
  change: (next: Grant[]) => void;
  error: string | undefined;
}

export function GrantFields({ grants, change, error }: Props) {
  const words = useWords(texts);
  const language = useLanguage();
  const { sites } = useCatalogue();
  const options = [
    { value: ALL, label: words.allSites },
    ...sites.map(({ id, name }) => ({ value: id, label: inLanguage(name, language, id) })),
  ];
  const set = (at: number, part: Partial<Grant>) =>
    change(grants.map((grant, number) => (number === at ? { ...grant, ...part } : grant)));
  return (
    <fieldset className="people-grants" aria-describedby="people-grants-error">
      <legend>{words.grants}</legend>
      {grants.length === 0 && <p className="soft">{words.noGrants}</p>}
      {grants.map((grant, at) => (
        <div className="people-grant" key={at}>
          <Select
            size="large"
            aria-label={words.role}
            value={grant.role}
            options={ROLES.map((role) => ({ value: role, label: roleWord(words, role) }))}
            onChange={(role) => set(at, { role })}
          />
          <Select
            size="large"
            aria-label={words.site}
            showSearch={{ optionFilterProp: "label" }}
            value={grant.site ?? ALL}
            options={options}
            onChange={(site) => set(at, { site: site === ALL ? null : site })}
          />
          <Button
            size="large"
            icon={<DeleteOutlined />}
            aria-label={words.removeGrant(roleWord(words, grant.role))}
            onClick={() => change(grants.filter((_, number) => number !== at))}
          />
        </div>
      ))}
      <Button
        size="large"
        icon={<PlusOutlined />}
        onClick={() => change([...grants, { role: "viewer", site: sites[0]?.id ?? null }])}
      >
        {words.addGrant}
      </Button>
      <p id="people-grants-error" className="people-error" role="alert">{error}</p>
    </fieldset>
  );
}
