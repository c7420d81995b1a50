import { bilingual } from "./bilingual";

export default bilingual({ unread: "未读" }, { unread: "Unread" });
