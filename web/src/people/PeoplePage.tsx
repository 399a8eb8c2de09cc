/** Who may log in: everybody at a glance, somebody new, and one person with all they come in by. */

import { LeftOutlined, UserAddOutlined } from "@ant-design/icons";
import { Button, Empty, Input, Skeleton } from "antd";
import { useCallback, useEffect, useState } from "react";

import type { Account, Grant } from "../api/contract";
import { fetchAccounts } from "../api/gatehouse";
import { useAnswer } from "../api/useAnswer";
import { inLanguage, listed, useLanguage } from "../i18n/language";
import { useWords } from "../i18n/words";
import { Failure } from "../parts/Failure";
import { useCatalogue } from "../state/catalogue";
import { pageAddress, useRoute } from "../state/route";
import { AddUser } from "./AddUser";
import { OneUser } from "./OneUser";
import { roleWord, texts } from "./texts";
import "./people.css";

export default function PeoplePage() {
  const words = useWords(texts);
  const { who } = useRoute();
  return (
    <div className="plain-page people">
      <h2 className="page-title">{words.title}</h2>
      {who === undefined ? (
        <Everybody />
      ) : (
        <>
          <a className="back-link" href={pageAddress("people")}>
            <LeftOutlined aria-hidden /> {words.back}
          </a>
          <OneUser key={who} name={who} />
        </>
      )}
    </div>
  );
}

function Everybody() {
  const words = useWords(texts);
  const { answer, problem, load } = useAnswer(fetchAccounts);
  const [sought, setSought] = useState("");
  const [isAdding, setAdding] = useState(false);
  const close = useCallback(() => setAdding(false), []);
  useEffect(() => {
    if (!isAdding) void load();
  }, [isAdding, load]);
  const shown = answer?.filter(({ name }) => name.toLowerCase().includes(sought.trim().toLowerCase())) ?? [];
  return (
    <>
      <div className="people-head">
        <Input
          size="large"
          allowClear
          aria-label={words.search}
          placeholder={words.search}
          value={sought}
          onChange={({ target }) => setSought(target.value)}
        />
        <Button size="large" type="primary" icon={<UserAddOutlined />} onClick={() => setAdding(true)}>{words.add}</Button>
      </div>
      {problem !== null && <Failure problem={problem} retry={() => void load()} />}
      {answer === null && problem === null && <Skeleton active paragraph={{ rows: 6 }} />}
      {answer !== null && shown.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={words.nobody} />}
      {shown.length > 0 && <UserTable accounts={shown} />}
      {isAdding && <AddUser close={close} />}
    </>
  );
}

function UserTable({ accounts }: { accounts: readonly Account[] }) {
  const words = useWords(texts);
  return (
    <div className="table-frame">
      <table className="plain-table">
        <thead>
          <tr>{[words.user, words.grants, words.state].map((head) => <th key={head}>{head}</th>)}</tr>
        </thead>
        <tbody>
          {accounts.map((account) => (
            <tr key={account.name}>
              <td><a className="people-link" href={pageAddress("people", { who: account.name })}>{account.name}</a></td>
              <td><GrantWords grants={account.grants} /></td>
              <td className={account.disabled_ms === null ? "" : "people-off"}>
                {account.disabled_ms === null ? words.mayLogIn : words.disabled}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function GrantWords({ grants }: { grants: readonly Grant[] }) {
  const words = useWords(texts);
  const language = useLanguage();
  const { sitesById } = useCatalogue();
  if (grants.length === 0) return <span className="soft">{words.noGrants}</span>;
  const of = (site: string | null) => (site === null ? words.allSites : inLanguage(sitesById.get(site)?.name, language, site));
  const byRole = new Map<string, string[]>();
  for (const { role, site } of grants) byRole.set(role, [...(byRole.get(role) ?? []), of(site)]);
  return (
    <>
      {[...byRole].map(([role, sites]) => (
        <div key={role}><strong>{roleWord(words, role)}</strong> · {listed(sites, language)}</div>
      ))}
    </>
  );
}
