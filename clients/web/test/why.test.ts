import { expect, test } from "vitest";
import { whyOf } from "../src/inbox/why";

test("of several rooms, the nearest is why", () => {
  expect(whyOf(["global", "role:reviewer", "project:7", "user:1"])).toEqual({ kind: "personal" });
  expect(whyOf(["global", "role:reviewer", "project:7:admin"])).toEqual({
    ...{ kind: "project", project: "7" },
    role: "admin",
  });
  expect(whyOf(["role:reviewer", "global"])).toEqual({ kind: "role", role: "reviewer" });
  expect(whyOf(["project:7"])).toEqual({ kind: "project", project: "7", role: null });
  expect(whyOf(["global"])).toEqual({ kind: "all" });
  expect(whyOf([])).toEqual({ kind: "all" });
});
