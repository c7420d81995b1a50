import { expect, test } from "vitest";
import { Burst } from "../src/toasts/burst";

function come(burst: Burst, times: number[]) {
  return times.map((at, n) => burst.arrived(`${n}`, at)).at(-1);
}

test("five in three seconds are worth a toast each, the sixth joins them all", () => {
  const burst = new Burst();
  expect(come(burst, [0, 100, 200, 300, 400])).toEqual({ kind: "alone" });
  expect(burst.arrived("5", 2900)).toEqual({
    ...{ kind: "together", count: 6 },
    swallowed: ["0", "1", "2", "3", "4", "5"],
  });
});

test("a burst goes on until nothing came for three seconds", () => {
  const burst = new Burst();
  come(burst, [0, 0, 0, 0, 0, 0]);
  expect(burst.arrived("7", 2999)).toEqual({ kind: "together", count: 7, swallowed: [] });
  expect(burst.arrived("8", 5998)).toMatchObject({ count: 8 });
  expect(burst.arrived("9", 8998)).toEqual({ kind: "alone" });
});

test("what comes slowly is never a burst", () => {
  expect(come(new Burst(), [0, 1000, 2000, 3000, 4000, 5000, 6000])).toEqual({ kind: "alone" });
});
