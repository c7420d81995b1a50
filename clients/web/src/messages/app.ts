import { bilingual } from "./bilingual";

export default bilingual(
  {
    name: "通知中心",
    inbox: "通知",
    tasks: "任务",
    logOut: "退出登录",
    settings: "设置",
    language: "语言",
    theme: { label: "外观", light: "浅色", dark: "深色", system: "跟随系统" },
  },
  {
    name: "Notification centre",
    inbox: "Notifications",
    tasks: "Tasks",
    logOut: "Log out",
    settings: "Settings",
    language: "Language",
    theme: { label: "Appearance", light: "Light", dark: "Dark", system: "As the system" },
  },
);
