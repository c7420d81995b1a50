import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

test("the package is under 15 kB gzip without socket.io-client", async () => {
  const { outputFiles } = await build({
    entryPoints: [new URL("../src/index.ts", import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: "esm",
    external: ["socket.io-client"],
    write: false,
  });
  const [bundle] = outputFiles;
  expect(bundle?.text).toContain("socket.io-client");
  expect(gzipSync(bundle?.contents ?? "").length).toBeLessThan(15_000);
});
