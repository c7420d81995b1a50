import { bilingual } from "./bilingual";

export default bilingual(
  {
    title: "桌面通知",
    why: "页面在后台时，由系统弹出新通知，点一下即可打开。只在您看不到本页面时弹出，随时可在设置中关闭。",
    next: "接下来浏览器会询问是否允许，请选择“允许”。",
    allow: "继续",
    notNow: "暂不",
    denied: "浏览器已拒绝本站的通知",
    mend: "点击地址栏左侧的图标，把“通知”改为“允许”，然后重新加载页面。如果仍不出现，请在系统设置中允许浏览器发送通知。",
    unsupported: "此浏览器不支持桌面通知，或页面不是通过 HTTPS 打开的。",
    close: "知道了",
  },
  {
    title: "Desktop notifications",
    why: "While this page is in the background, your system shows what is new, and a click opens it. Never while you are looking at the page, and you can turn it off in the settings.",
    next: "Your browser is going to ask for permission: choose “Allow”.",
    allow: "Continue",
    notNow: "Not now",
    denied: "The browser has blocked notifications of this site",
    mend: "Click the icon to the left of the address, set “Notifications” to “Allow”, and reload the page. If none appear even so, allow the browser to notify you in the settings of your system.",
    unsupported: "This browser has no desktop notifications, or the page was not opened over HTTPS.",
    close: "Got it",
  },
);
