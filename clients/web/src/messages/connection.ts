import { bilingual } from "./bilingual";

export default bilingual({ live: "在线" }, { live: "Online" });
