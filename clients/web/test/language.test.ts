import { expect, test } from "vitest";
import * as messages from "../src/messages";

/** Paths of all texts, e.g. `app.theme.dark`. */
function paths(texts: object, above = ""): string[] {
  return Object.entries(texts).flatMap(([name, value]) =>
    typeof value === "string" ? [`${above}${name}`] : paths(value as object, `${above}${name}.`),
  );
}

test("every text stands in Chinese and in English", () => {
  for (const { "zh-CN": chinese, en } of Object.values(messages)) {
    expect(paths(en)).toEqual(paths(chinese));
  }
});
