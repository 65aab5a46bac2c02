// Bundles NiiVue and copies htmx into out, with the licences of all that is in them.
// The pages' own scripts (../static/*.js) are plain modules and are not built.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const vendor = join(import.meta.dirname, "../static/vendor");
await mkdir(vendor, { recursive: true });

const result = await build({
  stdin: { contents: 'export { Niivue, NVImage, SLICE_TYPE } from "@niivue/niivue";', resolveDir: import.meta.dirname },
  outfile: join(vendor, "niivue.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
  external: ["numcodecs/*"], // compression of zarr, which no page loads
});
await copyFile(join(import.meta.dirname, "node_modules/htmx.org/dist/htmx.min.js"), join(vendor, "htmx.js"));

const packages = new Set(["htmx.org"]);
for (const input of Object.keys(result.metafile.inputs)) {
  const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) packages.add(found[1]);
}
const texts = [];
for (const name of [...packages].sort()) {
  const folder = join(import.meta.dirname, "node_modules", name);
  const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((one) => /^(licen[sc]e|copying)/i.test(one));
  // NiiVue's package comes without the licence that its repository has.
  const path = file ? join(folder, file) : join(import.meta.dirname, `LICENSE-${name.split("/").pop()}`);
  const text = (await readFile(path, "utf8")).trim();
  texts.push(`${name} ${about.version} (${about.license})\n${"=".repeat(60)}\n${text}\n`);
}
await writeFile(join(vendor, "LICENSES.txt"), texts.join("\n\n"));
console.log([...packages].sort().join("\n"));
