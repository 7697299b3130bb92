// Builds the scripts that ship in the package, each with a digest of the sources at its top: a test compares it, without node.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const digest = createHash("sha256");
for (const name of readdirSync(join(here, "src")).sort()) {
  digest.update(`${name}\0`);
  digest.update(readFileSync(join(here, "src", name)));
}

await build({
  absWorkingDir: here,
  entryPoints: ["src/live_patch.ts"],
  outdir: "../src/iconoscope/results/scripts",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2021",
  charset: "ascii",
  legalComments: "none",
  loader: { ".css": "text" },
  banner: { js: `/* Built from web/src by make web. Sources ${digest.digest("hex")} */` },
});
