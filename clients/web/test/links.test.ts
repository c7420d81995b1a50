import { expect, test } from "vitest";
import { targetOf } from "../src/links";

const at = (link: string | null) => targetOf(link, "https://here.example");

test("a browser without URL.parse opens the same", () => {
  const parse = Object.getOwnPropertyDescriptor(URL, "parse");
  Reflect.deleteProperty(URL, "parse");
  try {
    expect(at("/tasks/17")).toEqual({ kind: "page", path: "/tasks/17" });
  } finally {
    if (parse) Object.defineProperty(URL, "parse", parse);
  }
});

test("a path of ours is a page", () => {
  expect(at("/tasks/17?x=1#y")).toEqual({ kind: "page", path: "/tasks/17?x=1#y" });
  expect(at("https://here.example/inbox")).toEqual({ kind: "page", path: "/inbox" });
  expect(at("tasks/17")).toEqual({ kind: "page", path: "/tasks/17" });
});

test("what is elsewhere, or of another application here, opens apart", () => {
  expect(at("/images/1")).toEqual({ kind: "outside", href: "https://here.example/images/1" });
  expect(at("/tasksy")).toEqual({ kind: "outside", href: "https://here.example/tasksy" });
  expect(at("http://there.example/a b")).toEqual({ kind: "outside", href: "http://there.example/a%20b" });
  expect(at("//there.example/x")).toEqual({ kind: "outside", href: "https://there.example/x" });
});

test.each([
  null,
  "javascript:alert(1)",
  " java\nscript:alert(1)",
  "data:text/html,x",
  "blob:https://here.example/1",
  "file:///etc/passwd",
  "mailto:a@b.example",
  "https://",
])("%j leads nowhere", (link) => {
  expect(at(link)).toBeNull();
});
