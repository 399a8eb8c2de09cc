/**
 * Every page there is, in the order of the menu. Menu, address and refusal follow from this table.
 *
 * A page is a folder of `src/` whose default export is drawn without props, and a line here; see `web/README.md`.
 */

import {
  AlertOutlined, AuditOutlined, BarChartOutlined, CarryOutOutlined, ControlOutlined, DashboardOutlined, FallOutlined, FileTextOutlined,
  FundProjectionScreenOutlined, HomeOutlined, IdcardOutlined, SafetyOutlined, ScheduleOutlined, TeamOutlined,
  ToolOutlined, UserAddOutlined,
} from "@ant-design/icons";
import { lazy, type ComponentType, type LazyExoticComponent } from "react";

import type { Named, User } from "../api/contract";

export interface PageEntry {
  /** Stands in the address, as `#page=overview`. */
  id: string;
  title: Named;
  Icon: ComponentType;
  /** The permission of the session that opens it; those that a person lacks are neither shown nor opened. */
  needs: string;
  /** Fetches the page's code; also called ahead, while the server is there. */
  load: () => Promise<unknown>;
  Component: LazyExoticComponent<ComponentType>;
  /** Reached by a link only. */
  isHidden: boolean;
  /** Whoever has this role and no other begins here. */
  homeOf: string | null;
  /** The whole page is the present: nothing of the past stands above it. */
  isPresent: boolean;
  /** Takes the whole screen: neither header nor menu. */
  isBare: boolean;
}

export const PAGES: readonly PageEntry[] = [
  page("overview", { en: "Overview", zh: "总览" }, DashboardOutlined, "look", () => import("../overview/OverviewPage")),
  page("guard", { en: "Gate", zh: "出入口值守" }, SafetyOutlined, "guard", () => import("../guard/GuardPage"), { homeOf: "guard", isPresent: true }),
  page("register", { en: "Visitor register", zh: "来访登记" }, IdcardOutlined, "register-write", () => import("../register/RegisterPage"), { homeOf: "registrar" }),
  page("announce", { en: "Announce visitors", zh: "访客预约" }, UserAddOutlined, "announce", () => import("../register/AnnouncePage")),
  page("alarms", { en: "Alarms", zh: "告警" }, AlertOutlined, "look", () => import("../alarm-list/AlarmListPage")),
  page("drains", { en: "Drains", zh: "排水" }, FallOutlined, "look", () => import("../drains/DrainsPage")),
  page("dormitories", { en: "Dormitories", zh: "宿舍管理" }, HomeOutlined, "look", () => import("../dormitories/DormitoriesPage")),
  page("duties", { en: "Daily duties", zh: "日常任务" }, CarryOutOutlined, "look", () => import("../duties/DutiesPage")),
  page("devices", { en: "Devices", zh: "设备台账" }, ToolOutlined, "look", () => import("../devices/DevicesPage")),
  page("rules", { en: "Rules", zh: "告警规则" }, ControlOutlined, "look", () => import("../rules/RulesPage")),
  page("rosters", { en: "Duty rosters", zh: "值班表" }, ScheduleOutlined, "look", () => import("../rosters/RostersPage")),
  page("figures", { en: "Alarm quality", zh: "告警质量" }, BarChartOutlined, "look", () => import("../figures/FiguresPage")),
  page("reports", { en: "Reports", zh: "报表" }, FileTextOutlined, "look", () => import("../reports/ReportsPage")),
  page("audit", { en: "Audit", zh: "审计记录" }, AuditOutlined, "read-audit", () => import("../audit/AuditPage")),
  page("people", { en: "Users and roles", zh: "用户与角色" }, TeamOutlined, "manage-users", () => import("../people/PeoplePage")),
  page("wall", { en: "Wall screen", zh: "值班大屏" }, FundProjectionScreenOutlined, "look", () => import("../wall/WallPage"), { isPresent: true, isBare: true }),
  page("alarm", { en: "Alarm", zh: "告警详情" }, AlertOutlined, "look", () => import("../alarm-page/AlarmPage"), { isHidden: true }),
];

function page(
  id: string,
  title: Named,
  Icon: ComponentType,
  needs: string,
  load: () => Promise<{ default: ComponentType }>,
  { isHidden = false, homeOf = null, isPresent = false, isBare = false }: Partial<Pick<PageEntry, "isHidden" | "homeOf" | "isPresent" | "isBare">> = {},
): PageEntry {
  return { id, title, Icon, needs, load, Component: lazy(load), isHidden, homeOf, isPresent, isBare };
}

/** Whether this person may open a page. */
export function mayOpen(entry: PageEntry, user: User): boolean {
  return user.permissions.some((each) => each === entry.needs);
}

/** What an address opens: a page, or why it does not. */
export type Opening = { kind: "page" | "refused"; entry: PageEntry } | { kind: "unknown" };

export function opening(id: string | undefined, user: User, pages: readonly PageEntry[] = PAGES): Opening {
  // Links from before there were pages name none.
  const entry = id === undefined ? firstPage(user, pages) : pages.find((each) => each.id === id);
  if (entry === undefined) return { kind: "unknown" };
  return { kind: mayOpen(entry, user) ? "page" : "refused", entry };
}

export function firstPage(user: User, pages: readonly PageEntry[] = PAGES): PageEntry | undefined {
  const inMenu = pagesInMenu(user, pages);
  return inMenu.find(({ homeOf }) => homeOf !== null && user.roles.every((role) => role === homeOf)) ?? inMenu[0];
}

export function pagesInMenu(user: User, pages: readonly PageEntry[] = PAGES): PageEntry[] {
  return pages.filter((each) => !each.isHidden && mayOpen(each, user));
}
