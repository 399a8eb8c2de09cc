import { inBoth } from "../i18n/words";

export const texts = inBoth(
  {
    back: "All alarms",
    missing: "The address names no alarm",
    rule: "Rule",
    version: (n: number) => `version ${n} when it was raised`,
    noVersion: "not under version control",
    changedSince: "Today's text may be another one.",
    assignedTo: "Assigned to",
    nobody: "nobody",
    masks: "Why nobody is called",
    maskBy: (who: string) => `by ${who}`,
    maskUntil: (time: string) => `until ${time}`,
    maskKinds: {
      shelved: "Shelved", maintenance: "Maintenance", "out-of-service": "Out of service",
      cause: "Its cause is known", held: "Its cause may follow", schedule: "Outside the hours of its rule",
    },
    causes: "Cause",
    consequences: "Consequences",
  },
  {
    back: "全部告警",
    missing: "地址中没有指明告警",
    rule: "规则",
    version: (n: number) => `触发时为第 ${n} 版`,
    noVersion: "未纳入版本管理",
    changedSince: "现行内容可能已有修改。",
    assignedTo: "处理人",
    nobody: "未指派",
    masks: "暂停通知的原因",
    maskBy: (who: string) => `操作人：${who}`,
    maskUntil: (time: string) => `至 ${time}`,
    maskKinds: {
      shelved: "已搁置", maintenance: "检修中", "out-of-service": "停用",
      cause: "已知原因告警", held: "等待原因告警", schedule: "不在规则通知时段",
    },
    causes: "原因",
    consequences: "后果",
  },
);
