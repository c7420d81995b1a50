import { bilingual } from "./bilingual";

export default bilingual(
  {
    close: "关闭",
    open: "查看",
    openAll: "查看全部",
    label: "提示（按 F8 跳到这里）",
    urgentLabel: "紧急提示（按 F8 跳到这里）",
    urgent: "紧急",
    times: "共 {n} 条",
    more: "还有 {n} 条",
    closeAll: "全部关闭",
    summary: "{n} 条新通知",
    urgents: "{n} 条紧急通知",
    away: "您离开期间有 {n} 条通知",
  },
  {
    close: "Close",
    open: "Open",
    openAll: "Show all",
    label: "Messages (F8 leads here)",
    urgentLabel: "Urgent messages (F8 leads here)",
    urgent: "Urgent",
    times: "{n} in all",
    more: "{n} more",
    closeAll: "Close all",
    summary: "One new notification | {n} new notifications",
    urgents: "One urgent notification | {n} urgent notifications",
    away: "One notification while you were away | {n} notifications while you were away",
  },
);
