import pg from 'pg';
import { sourcegraphLedger } from './product.mjs';
import { runRaw } from './raw-client.mjs';

/** The databases of one server: templates that are filled once, and copies that are measured and thrown away. */
export function createDatabases(postgres) {
  const query = async (text) => {
    const client = new pg.Client({ connectionString: postgres.superuserUrl, application_name: 'pg-unwind bench' });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };
  const create = (name, template) => query(`create database "${name}"${template ? ` template "${template}"` : ''}`);
  const templateOf = (subject, database) => `template ${subject.name} ${database}`;

  return {
    query,
    create,
    /** Brings one database per name to the subject's upper release: its ups and its ledger's rows, by a raw client. */
    async fill(subject) {
      const plan = subject.rise();
      const urlOf = (database) => postgres.url(templateOf(subject, database));
      for (const database of plan.databases) await create(templateOf(subject, database));
      for (const database of plan.databases) {
        await withClient(urlOf(database), (client) => sourcegraphLedger.create(client, ledgerOf(subject, database)));
      }
      await runRaw({
        plan,
        subject,
        urlOf,
        afterStep: (client, database, { migration }) => recordUp(client, subject.ledgerKey(database), migration),
      });
    },
    /** `names` maps a database of the subject to the copy's name. */
    async copy(subject, names) {
      for (const [database, name] of Object.entries(names)) await create(name, templateOf(subject, database));
    },
    async drop(names) {
      for (const name of Object.values(names)) await query(`drop database if exists "${name}" with (force)`);
    },
    /** What earlier work has left for the background must not run into the next measurement. */
    settle: () => query('checkpoint'),
  };
}

export const ledgerOf = (subject, database) => ({ key: subject.ledgerKey(database), schema: 'public' });

/** As the product's own migrator writes it; the search path is what the script before left, hence the full name. */
export function recordUp(client, key, migration) {
  return client.query(
    `insert into public.migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
     values (2, $1, $2, true, clock_timestamp(), clock_timestamp(), true)`,
    [key, migration],
  );
}

export async function withClient(connectionString, work) {
  const client = new pg.Client({ connectionString, application_name: 'pg-unwind bench' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
