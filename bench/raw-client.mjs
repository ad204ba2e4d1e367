import pg from 'pg';

/**
 * The floor: the plan's scripts by node-postgres alone, leg by leg, databases side by side; no lock, no check, no record.
 * `message`: each script is one message `begin; …; commit`. `statements`: begin, script and commit one after the other, as
 * migrators commonly send them.
 * @returns milliseconds, connecting not included.
 */
export async function runRaw({ plan, subject, urlOf, style = 'message', afterStep = async () => undefined }) {
  const texts = await readTexts(plan, subject);
  const clients = new Map();
  try {
    for (const database of plan.databases) {
      const client = new pg.Client({ connectionString: urlOf(database), application_name: 'pg-unwind bench raw' });
      client.on('error', () => undefined); // the query under way says so
      clients.set(database, client);
      await client.connect();
      await client.query('select 1');
    }
    const began = performance.now();
    for (const leg of plan.legs) {
      await Promise.all(
        plan.databases.map(async (database) => {
          const client = clients.get(database);
          for (const step of leg.steps[database] ?? []) {
            for (const text of messagesOf(subject.catalog.scripts[step.script], texts.get(step.script), style)) {
              await client.query(text);
            }
            await afterStep(client, database, step);
          }
        }),
      );
    }
    return performance.now() - began;
  } finally {
    await Promise.all([...clients.values()].map((client) => client.end().catch(() => undefined)));
  }
}

async function readTexts(plan, subject) {
  const texts = new Map();
  for (const leg of plan.legs) {
    for (const { script } of Object.values(leg.steps).flat()) {
      if (!texts.has(script)) texts.set(script, await subject.readScript(script));
    }
  }
  return texts;
}

function messagesOf({ execution, units }, text, style) {
  const inTransaction = (body) =>
    style === 'message' ? [`begin;\n${body}\n;commit`] : ['begin', body.trim() === '' ? ';' : body, 'commit'];
  if (execution === 'atomic' || execution === 'segmented' || execution === 'empty') return inTransaction(text);
  const bytes = Buffer.from(text, 'utf8');
  return units.flatMap((unit) => {
    const body = bytes.subarray(unit.span.start, unit.span.end).toString('utf8');
    return unit.kind === 'transaction' ? inTransaction(body) : [body];
  });
}
