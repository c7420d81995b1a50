import { bilingual } from "./bilingual";

export default bilingual(
  { title: "登录", username: "用户名", password: "密码", submit: "登录" },
  { title: "Log in", username: "User name", password: "Password", submit: "Log in" },
);
