import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [vue()],
  // Vite compiles React's JSX by itself; its plugin would only add reloading in place.
  oxc: { jsx: { runtime: "automatic", importSource: "react" } },
  server: { port: 5173, strictPort: true },
  build: {
    target: "es2022",
    rolldownOptions: { input: ["index.html", "plain.html", "vue.html", "react.html"] },
  },
});
