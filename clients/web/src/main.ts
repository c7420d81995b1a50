import { createPinia } from "pinia";
import { createApp } from "vue";
import App from "./App.vue";
import { outliveDeployments } from "./deployment";
import { i18n } from "./language";
import { router } from "./router";
import "element-plus/theme-chalk/dark/css-vars.css";
import "./styles/theme.css";
import "./styles/base.css";
import "./styles/controls.css";

outliveDeployments(router);
createApp(App).use(createPinia()).use(i18n).use(router).mount("#app");
