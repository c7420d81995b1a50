import { bilingual } from "./bilingual";

export default bilingual({ title: "任务" }, { title: "Tasks" });
