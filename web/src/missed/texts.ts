import { inBoth } from "../i18n/words";

export const texts = inBoth(
  {
    title: (time: string) => `Since your last visit (${time})`,
    counts: (raised: number, closed: number) => `${raised} raised, ${closed} closed`,
    raised: "raised",
    closed: "closed",
    all: "Show them all",
    dismiss: "Got it",
  },
  {
    title: (time: string) => `自您上次查看（${time}）以来`,
    counts: (raised: number, closed: number) => `新增告警 ${raised} 条，关闭 ${closed} 条`,
    raised: "新增",
    closed: "已关闭",
    all: "查看全部",
    dismiss: "知道了",
  },
);
