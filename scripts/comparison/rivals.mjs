// Two operators, one database.
import { around, endsWell, start } from './kills.mjs';
import { expectThat, firstLine, nothing } from './stage.mjs';

export const twoAtOnce = {
  id: 'two-at-once',
  releases: around({
    name: 'priority',
    up: 'alter table jobs add priority integer default 5;',
    down: `alter table jobs drop priority;
insert into witness (what) values ('3 down');
select pg_sleep(30);`,
  }),
  async play(stage) {
    const worker = await stage.atNewest();
    const plan = await stage.planId('v1.0.0');
    await start(stage);
    await stage.backend('the script', `wait_event = 'PgSleep'`);
    stage.note('While the first sleeps in migration 3, somebody else does the same.');
    await stage.cli(`downgrade acme --to v1.0.0 --accept-data-loss ${plan} --by bob`, { exit: 2 });
    stage.note('The same database under another name: not the workflow id, the claim in the database has to help.');
    await stage.cli('downgrade acme-twin --to v1.0.0 --by bob', { shown: firstLine });
    await stage.inState('awaitingApproval', 'acme-twin');
    const { plan: twin } = JSON.parse(await stage.quietly('status acme-twin --json', 3));
    await stage.cli(`approve acme-twin --plan ${twin} --by bob`, { shown: nothing });
    await stage.inState('needsOperator', 'acme-twin');
    const said = await stage.cli('status acme-twin', { exit: 3 });
    expectThat(/ClaimedByAnother/.test(said), 'the second run is refused by the claim of the first');
    await stage.cli('abort acme-twin --by bob', { shown: nothing });
    stage.note('The first goes on as if nothing had been.');
    await endsWell(stage, worker);
  },
};
