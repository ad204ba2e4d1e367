// node examples/shop/build-releases.mjs <folder> [--data <file>]
//
// Writes <folder>/<label>/migrations/<database>/<id>_<slug>/{up.sql,down.sql,metadata.yaml} and, where a release has data
// migrations, <folder>/<label>/migrations/data-migrations.yaml: what a git tag of each release would hold. --data adds the data
// migrations of another file, here python/data-migrations.yaml, to them. The same input gives the same bytes. releases.yaml says how the pieces go
// together.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';

const shop = dirname(fileURLToPath(import.meta.url));
const problems = [];

const [folder, option, more] = process.argv.slice(2);
if (folder === undefined || (option !== undefined && (option !== '--data' || more === undefined))) {
  console.error('Usage: node examples/shop/build-releases.mjs <folder> [--data <file>]');
  process.exit(2);
}
const out = resolve(folder);

const { databases, releases } = parse(readFileSync(join(shop, 'releases.yaml'), 'utf8'));
const labels = releases.map((release) => release.label);
const authored = new Map(databases.map((database) => [database, readAuthored(database)]));

const files = [...databases.flatMap((database) => layOut(database)), ...layOutData()];
checkOverrides();
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}

clear(out);
for (const { from, text, to } of files) {
  mkdirSync(dirname(join(out, to)), { recursive: true });
  if (text === undefined) cpSync(from, join(out, to));
  else writeFileSync(join(out, to), text);
}
console.log(`${labels.length} releases, ${files.length} files: ${out}`);

/** Id → slug, parents and the three files of a migration as it was first published. */
function readAuthored(database) {
  const migrations = new Map();
  for (const directory of readdirSync(join(shop, 'migrations', database)).toSorted()) {
    const [, id, slug] = /^(\d+)_(.+)$/.exec(directory);
    const texts = readTexts(join(shop, 'migrations', database, directory));
    const { parents = [], parent } = parse(readFileSync(texts['metadata.yaml'], 'utf8'));
    migrations.set(Number(id), { slug, texts, parents: parent === undefined ? parents : [...parents, parent] });
  }
  return migrations;
}

/** The files of one database in all releases, in the order of the releases and then of the ids. */
function layOut(database) {
  const known = authored.get(database);
  const carried = new Map();
  const added = new Set();
  const placed = [];

  for (const { label, adds = {}, squash = {} } of releases) {
    for (const id of adds[database] ?? []) {
      const migration = known.get(id);
      if (migration === undefined) {
        problems.push(`releases.yaml: ${label} adds ${database} ${id}, which is not in migrations/${database}`);
        continue;
      }
      if (added.has(id)) problems.push(`releases.yaml: ${label} adds ${database} ${id} again`);
      added.add(id);
      carried.set(id, { slug: migration.slug, texts: migration.texts });
    }
    for (const id of carried.keys()) {
      const replaced = readTexts(join(shop, 'overrides', label, database, String(id)));
      carried.set(id, { ...carried.get(id), texts: { ...carried.get(id).texts, ...replaced } });
    }
    if (squash[database] !== undefined) {
      const { root, slug } = squash[database];
      for (const id of ancestors(known, root)) carried.delete(id);
      carried.set(root, { ...carried.get(root), slug });
    }
    for (const [id, { slug, texts }] of [...carried].toSorted(([a], [b]) => a - b)) {
      for (const [name, from] of Object.entries(texts)) {
        placed.push({ from, to: join(label, 'migrations', database, `${id}_${slug}`, name) });
      }
    }
  }

  for (const id of known.keys()) {
    if (!added.has(id)) problems.push(`migrations/${database}/${id}: no release adds it`);
  }
  return placed;
}

/** A release carries the data migrations of the one before it, until it has a file of its own. */
function layOutData() {
  const placed = [];
  let carried;
  for (const { label, data } of releases) {
    carried = data ?? carried;
    if (carried === undefined) continue;
    const to = join(label, 'migrations', 'data-migrations.yaml');
    placed.push(more === undefined ? { from: join(shop, carried), to } : { text: withMore(join(shop, carried)), to });
  }
  return placed;
}

function withMore(file) {
  const read = (path) => parse(readFileSync(path, 'utf8')).dataMigrations;
  return stringify({ dataMigrations: [...read(file), ...read(more)] });
}

function ancestors(known, id, found = new Set()) {
  for (const parent of known.get(id).parents) {
    if (found.has(parent)) continue;
    found.add(parent);
    ancestors(known, parent, found);
  }
  return found;
}

/** File name → path, of a folder that need not be there. */
function readTexts(directory) {
  if (!existsSync(directory)) return {};
  return Object.fromEntries(
    readdirSync(directory)
      .toSorted()
      .map((name) => [name, join(directory, name)]),
  );
}

/** An override that replaces nothing is a misspelt one. */
function checkOverrides() {
  const used = new Set(files.map(({ from }) => from));
  for (const entry of readdirSync(join(shop, 'overrides'), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !used.has(path)) problems.push(`${path}: belongs to no release`);
  }
}

/** Earlier output only: a folder that holds anything else is left alone. */
function clear(directory) {
  if (!existsSync(directory)) return;
  const strangers = readdirSync(directory).filter((name) => !labels.includes(name));
  if (strangers.length > 0) {
    console.error(`${directory} holds ${strangers.join(', ')}: not made by this script, so nothing is written there.`);
    process.exit(1);
  }
  for (const label of labels) rmSync(join(directory, label), { recursive: true, force: true });
}
