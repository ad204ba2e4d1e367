// Probes of scripts that fail, that are missing, or that do not restore what was there.
import { around, endsWell, start } from './kills.mjs';
import { expectThat, nothing, theEnd } from './stage.mjs';

export const failsInTheMiddle = {
  id: 'fails-in-the-middle',
  releases: around({
    name: 'job_keys',
    up: `create table report (id integer);
alter table jobs add key integer;
create unique index jobs_key on jobs (key);`,
    down: `drop table report;
drop index concurrently jobs_key;
alter table jobs drop key;
insert into witness (what) values ('3 down');`,
  }),
  async play(stage) {
    const worker = await stage.atNewest();
    stage.showDown(3);
    stage.note('A table that the product does not know needs the index.');
    await stage.sql('create table audit (job integer references jobs (key))');
    await start(stage);
    await stage.inState('needsOperator');
    worker.log();
    const said = await stage.cli('status acme', { exit: 3 });
    expectThat(/StepFailed/.test(said), 'the run parks with StepFailed');
    const [failure] = await stage.sql(
      `select statement, sqlstate, message from pgunwind.failure order by id desc limit 1`,
    );
    expectThat(failure.sqlstate === '2BP01', 'the journal has the words of the server');
    const [{ report }] = await stage.sql(`select to_regclass('report') as report, to_regclass('jobs_key') as jobs_key`);
    expectThat(report === null, 'the first statement stays done');
    stage.note('The operator takes the cause away.');
    await stage.sql('drop table audit');
    await stage.cli('retry acme --by eve --why dropped-audit', { shown: nothing });
    await endsWell(stage, worker);
  },
};

const KEPT = { id: 2, name: 'labels', up: 'create table labels (id integer);', down: 'drop table labels;' };
const BASE = { id: 1, name: 'jobs', up: 'create table jobs (id integer, key integer);', down: 'drop table jobs;' };

export const noDown = {
  id: 'no-down',
  releases: {
    'v1.0.0': [BASE],
    'v2.0.0': [BASE, KEPT, { id: 3, name: 'tags', up: 'create table tags (id integer);', down: null }],
  },
  async play(stage) {
    const said = await stage.cli('catalog build --source releases --product shop --out catalog', { exit: 2 });
    expectThat(/3_tags/.test(said) && /down\.sql/.test(said), 'the build names the file that is missing');
  },
};

export const emptyDown = {
  id: 'empty-down',
  releases: {
    'v1.0.0': [BASE],
    'v2.0.0': [BASE, KEPT, { id: 3, name: 'tags', up: 'create table tags (id integer);', down: '-- nothing' }],
  },
  async play(stage) {
    await stage.atNewest();
    stage.showDown(3);
    const plan = await stage.cli('plan acme --to v1.0.0');
    expectThat(/3 +tags +empty/.test(plan), 'the plan shows that the step has no statement');
    const id = await stage.planId('v1.0.0');
    const end = await stage.cli(`downgrade acme --to v1.0.0 --accept-data-loss ${id} --by eve --wait`, {
      shown: theEnd,
    });
    expectThat(/drift in frontend.*tags/.test(end), 'the report names what was left');
  },
};

export const silentDifference = {
  id: 'silent-difference',
  releases: {
    'v1.0.0': [{ ...BASE, up: `${BASE.up}\ncreate unique index jobs_key on jobs (key);` }],
    'v2.0.0': [
      { ...BASE, up: `${BASE.up}\ncreate unique index jobs_key on jobs (key);` },
      { id: 2, name: 'free_keys', up: 'drop index jobs_key;', down: 'create index jobs_key on jobs (key);' },
    ],
  },
  async play(stage) {
    await stage.atNewest();
    stage.note('The index was unique at v1.0.0; the down forgets that.');
    stage.showDown(2);
    const end = await stage.cli('downgrade acme --to v1.0.0 --by eve --wait', { shown: theEnd });
    expectThat(/drift in frontend.*jobs_key/.test(end), 'the report names the index');
  },
};
