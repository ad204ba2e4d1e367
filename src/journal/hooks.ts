import type pg from 'pg';
import type { HaltHook, HookAnswer } from '../contract/hooks.js';

const ANSWERED = `-- pg-unwind hooks.answered
select case
         when exists (select from pgunwind.decision d
                       where d.run = $1 and d.kind = 'continue' and d.details ->> 'hook' = $2) then 'done'
         else (select h.answer from pgunwind.hook h where h.run = $1 and h.key = $2)
       end as answer`;

/** What this hook has answered the run, or an operator in its place (the update `continue`); null: nothing that this journal knows. */
export async function hookAnswer(client: pg.ClientBase, run: string, key: string): Promise<HookAnswer | null> {
  return (await client.query<{ answer: HookAnswer | null }>(ANSWERED, [run, key])).rows[0]?.answer ?? null;
}

const RECORD = `-- pg-unwind hooks.record
insert into pgunwind.hook (run, key, hook, answer) values ($1, $2, $3, $4)
on conflict (run, key) do nothing`;

export async function recordHook(
  client: pg.ClientBase,
  answered: { run: string; key: string; hook: HaltHook; answer: HookAnswer },
): Promise<void> {
  const { run, key, hook, answer } = answered;
  await client.query(RECORD, [run, key, hook, answer]);
}
