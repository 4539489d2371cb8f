// Records which sources the page was built from; tests/unit/view/test_page.py compares.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

const root = import.meta.dirname;
const skipped = new Set(["node_modules", ".npmrc"]);

function* sources(folder) {
  for (const name of readdirSync(folder).sort()) {
    if (skipped.has(name)) continue;
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* sources(path);
    else yield path;
  }
}

function digest(data) {
  return createHash("sha256").update(data).digest("hex");
}

const page = join(root, "../src/bg_atlasapi/view/page");
const listed = {};
for (const path of sources(root)) {
  const text = readFileSync(path, "utf8").replaceAll("\r\n", "\n");
  listed[relative(root, path).split(sep).join("/")] = digest(text);
}
const built = {};
for (const name of readdirSync(page).sort()) {
  if (name !== "built.json") built[name] = digest(readFileSync(join(page, name)));
}
writeFileSync(join(page, "built.json"), JSON.stringify({ sources: listed, page: built }, null, 1) + "\n");
