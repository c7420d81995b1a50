// Theme and language before the first paint. Kept in step with src/stores/settings.ts, which takes over from here.
(function () {
  var settings = {};
  try {
    settings = JSON.parse(localStorage.getItem("notify:settings")) || {};
  } catch {
    // Storage may be forbidden, or hold something else: the system's theme and the browser's language do.
  }
  var dark =
    settings.theme === "dark" ||
    (settings.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
  var chinese = settings.language ? settings.language === "zh-CN" : /^zh\b/i.test(navigator.language);
  document.documentElement.lang = chinese ? "zh-CN" : "en";
})();
