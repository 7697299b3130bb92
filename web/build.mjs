// Builds what ships in the package, each file with a digest of its sources at its top: a test compares it, without node.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const packaged = "../src/iconoscope";
const site = `${packaged}/explorer/site`;

/** The files that lie in folders of src, not in folders below them. */
function banner(...folders) {
  const digest = createHash("sha256");
  for (const folder of folders) {
    for (const entry of readdirSync(join(here, folder), { withFileTypes: true }).sort((one, other) => (one.name < other.name ? -1 : 1))) {
      if (!entry.isFile()) continue;
      digest.update(`${entry.name}\0`);
      digest.update(readFileSync(join(here, folder, entry.name)));
    }
  }
  return `/* Built from web/src by make web. Sources ${digest.digest("hex")} */`;
}

const settings = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2021",
  charset: "ascii",
  legalComments: "none",
};

await build({
  ...settings,
  entryPoints: ["src/live_patch.ts"],
  outdir: `${packaged}/results/scripts`,
  loader: { ".css": "text" },
  banner: { js: banner("src") },
});
// The templates of these pages take their scripts in as they are: what Jinja would read as its own must not stand in them.
for (const [name, ...beside] of [["map"], ["atlas", "src/map"]]) {
  const built = await build({ ...settings, entryPoints: [`src/${name}/main.ts`], write: false, banner: { js: banner(...beside, `src/${name}`) } });
  const script = built.outputFiles[0].text;
  const read = /\{[{%#]/.exec(script);
  if (read) throw new Error(`The script of ${name} has ${read[0]} in it, which Jinja reads: ${script.slice(read.index - 40, read.index + 40)}`);
  mkdirSync(join(here, packaged, "show/templates"), { recursive: true });
  writeFileSync(join(here, packaged, `show/templates/${name}.js`), script);
}
await build({
  ...settings,
  entryPoints: { app: "src/explorer/main.tsx" },
  outdir: site,
  jsx: "automatic",
  jsxImportSource: "preact",
  banner: { js: banner("src", "src/map", "src/atlas", "src/explorer", "src/explorer/words") },
});
await build({ ...settings, entryPoints: { app: "src/explorer/style/app.css" }, outdir: site, banner: { css: banner("src/explorer/style") } });
for (const name of ["index.html", "icon.svg"]) copyFileSync(join(here, "src/explorer/style", name), join(here, site, name));
