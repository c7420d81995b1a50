import { bilingual } from "./bilingual";

export default bilingual(
  {
    label: "通知",
    labelNew: "通知，{n} 条新通知",
    panel: "通知",
    all: "在整页中查看",
    close: "关闭",
  },
  {
    label: "Notifications",
    labelNew: "Notifications, one new | Notifications, {n} new",
    panel: "Notifications",
    all: "Open the full page",
    close: "Close",
  },
);
