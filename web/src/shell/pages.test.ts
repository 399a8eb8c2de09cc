import { expect, test } from "vitest";

import type { User } from "../api/contract";
import { firstPage, opening, PAGES, pagesInMenu, type PageEntry } from "./pages";

const guard: User = { name: "g", roles: ["guard"], sites: null, acts_on: [], permissions: ["look", "act"], may: [] };
const first = PAGES[0] as PageEntry;
const pages: PageEntry[] = [
  first,
  { ...first, id: "rules", needs: "change-rules" },
  { ...first, id: "alarm", isHidden: true },
];

test("an address without a page, as links of old are, opens the first page", () => {
  expect(opening(undefined, guard, pages)).toMatchObject({ kind: "page", entry: { id: "overview" } });
});

test("a page of another role is not in the menu, and refused when typed", () => {
  expect(pagesInMenu(guard, pages).map(({ id }) => id)).toEqual(["overview"]);
  expect(opening("rules", guard, pages)).toMatchObject({ kind: "refused", entry: { id: "rules" } });
});

test("a hidden page is opened by its address only", () => {
  expect(opening("alarm", guard, pages).kind).toBe("page");
});

test("what does not exist is unknown", () => {
  expect(opening("nonsense", guard, pages).kind).toBe("unknown");
});

test("every page has an address of its own and a title in both languages", () => {
  expect(new Set(PAGES.map(({ id }) => id)).size).toBe(PAGES.length);
  for (const { id, title } of PAGES) {
    expect(id).toMatch(/^[a-z][a-z-]*$/);
    expect(title.zh).toMatch(/\p{Script=Han}/u);
    expect(title.en).not.toBe("");
  }
});

test("a guard begins at the gate, and whoever is more than that at the overview", () => {
  const gate: PageEntry = { ...first, id: "guard", homeOf: "guard" };
  const engineer: User = { ...guard, roles: ["engineer", "guard"] };
  expect([guard, engineer].map((user) => firstPage(user, [first, gate])?.id)).toEqual(["guard", "overview"]);
});
