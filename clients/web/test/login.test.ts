import { expect, test } from "vitest";
import { reasonText, refusalText } from "../src/login";

test("each refusal of a login has words of its own, unknown ones tell their code", () => {
  expect(refusalText({ code: "invalid_credentials", status: 401 })).toBe("invalid_credentials");
  expect(refusalText({ code: "rate_limited", status: 429 })).toBe("rate_limited");
  expect(refusalText({ code: "unreachable", status: 0 })).toBe("unreachable");
  expect(refusalText({ code: "storage_unavailable", status: 503 })).toBe("away");
  expect(refusalText({ code: "host_not_allowed", status: 421 })).toBe("other");
});

test("an address that says anything as a reason is answered with one of ours", () => {
  expect(reasonText("elsewhere")).toBe("elsewhere");
  expect([reasonText("revoked"), reasonText("token_revoked")]).toEqual(["revoked", "revoked"]);
  expect(reasonText("<img src=x>")).toBe("refused");
  expect([reasonText(undefined), reasonText(""), reasonText(["revoked"])]).toEqual([null, null, null]);
});
