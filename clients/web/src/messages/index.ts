export { default as app } from "./app";
export { default as connection } from "./connection";
export { default as inbox } from "./inbox";
export { default as login } from "./login";
export { default as tasks } from "./tasks";
export { default as toasts } from "./toasts";
