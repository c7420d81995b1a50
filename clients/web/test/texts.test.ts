import { expect, test } from "vitest";
import { saidIn } from "../src/inbox/texts";
import { item } from "./items";

const chinese = { title: "任务被驳回", content: "左上角模糊" };
const english = { title: "Rejected", content: "Blurred at the top left" };

test("what was written in several languages is said in that of the page", () => {
  const one = item("1", { ...chinese, data: { texts: { "zh-CN": chinese, en: english } } });
  expect(saidIn("en", one)).toEqual(english);
  expect(saidIn("zh-CN", one)).toEqual(chinese);
});

test.each([
  {},
  { texts: null },
  { texts: "x" },
  { texts: { en: null } },
  { texts: { en: { title: 7, content: "" } } },
])("data like %j leaves the text as it is", (data) =>
  expect(saidIn("en", item("1", { ...chinese, data }))).toEqual(chinese),
);
