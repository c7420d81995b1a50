import { bilingual } from "./bilingual";

export default bilingual({ close: "关闭" }, { close: "Close" });
