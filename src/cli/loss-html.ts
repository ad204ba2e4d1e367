import type { Loss, LossPlace, LossReport } from '../contract/losses.js';
import type { Plan } from '../contract/plan.js';
import { countSteps, dataSteps, dataStepLabel } from '../plan/report.js';
import {
  bytesText,
  byWeight,
  countText,
  holdsNothing,
  lossWhat,
  rowsText,
  stepText,
  totalsText,
  type ObjectLoss,
} from '../plan/loss-figures.js';

const BARS = 20;

/** What a plan loses as one self-contained page: no script, no font, no image from elsewhere; it prints as well. */
export function lossPage({
  instance,
  plan,
  losses: report,
}: {
  instance: string;
  plan: Plan;
  losses: LossReport;
}): string {
  const title = `${instance}: what ${plan.from.release ?? 'its state'} ${plan.direction === 'down' ? '↓' : '↑'} ${plan.to.release} loses`;
  const full = byWeight(report.losses.filter((loss) => !holdsNothing(loss)));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<p class="lead">${escape(totalsText(report))}</p>
<dl>
<dt>plan</dt><dd><code>${plan.id}</code></dd>
<dt>way</dt><dd>${countSteps(plan).total} steps in ${plan.legs.length} legs over ${plan.databases.map(escape).join(', ')}</dd>
<dt>read</dt><dd>${escape(report.takenAt)}; <span class="estimate">~</span> is an estimate of the server's, ≤ at most so many rows</dd>
</dl>
${section('What goes, by size', chart(full))}
${section('Content that is lost', lossTable(full))}
${section(
  'Comes back without its content',
  list(report.returnsEmpty, ({ kind, object }) => `${kind} ${object}`),
)}
${section(
  'Cannot be known before it runs',
  list(report.unknown, ({ why }) => why),
)}
${section('Data migrations that cannot be reversed', irreversible(plan))}
${section('Holds nothing now', emptyList(byWeight(report.losses.filter(holdsNothing))))}
${section('Definitions that go; an upgrade brings them back', structure(report))}
${section('Notes', report.remarks.length === 0 ? '' : `<ul>${report.remarks.map((text) => `<li>${escape(text)}</li>`).join('')}</ul>`)}
<footer>To consent to exactly this plan: <code>pg-unwind ${plan.direction === 'down' ? 'downgrade' : 'upgrade'} ${escape(instance)} --to ${escape(plan.to.release)} --accept-data-loss ${plan.id}</code></footer>
</body>
</html>
`;
}

const STYLE = `
:root{color-scheme:light dark;--bar:#c2410c;--dim:#78716c;--line:#d6d3d1}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
.lead{font-size:1.2rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:normal}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.bars{display:grid;grid-template-columns:minmax(10rem,auto) 1fr auto;gap:.2rem .8rem;align-items:center}
.bar{background:var(--bar);height:.9rem;min-width:2px;border-radius:2px}
code{font-size:.9em}.dim{color:var(--dim)}ul{padding-left:1.2rem}footer{margin-top:3rem;color:var(--dim)}
details summary{cursor:pointer}
.wide{overflow-x:auto}
@media(max-width:40rem){.bars{grid-template-columns:1fr auto}.bars span:nth-child(3n+1){grid-column:1/-1;margin-top:.4rem;overflow-wrap:anywhere}}
@media(prefers-color-scheme:dark){:root{--bar:#ea7b3c;--dim:#a8a29e;--line:#44403c}}`;

function section(title: string, body: string): string {
  return body === '' ? '' : `<section><h2>${escape(title)}</h2>\n${body}\n</section>`;
}

/** Each object once, though several steps may take of it. */
function chart(losses: readonly Loss[]): string {
  const largest = new Map<string, { bytes: number; text: string }>();
  for (const { database, object, bytes, fate } of losses) {
    const key = `${database} ${object}`;
    if (fate !== 'goes' || bytes === null || largest.has(key)) continue;
    largest.set(key, { bytes: bytes.value, text: bytesText(bytes) });
  }
  const all = [...largest].toSorted(([, a], [, b]) => b.bytes - a.bytes);
  const [first] = all;
  if (first === undefined || first[1].bytes === 0) return '';
  const bars = all
    .slice(0, BARS)
    .map(([name, { bytes, text }]) => {
      const width = Math.round((bytes / first[1].bytes) * 1_000) / 10;
      return `<span>${escape(name)}</span><span class="bar" style="width:${width}%"></span><span class="n">${escape(text)}</span>`;
    })
    .join('\n');
  const more = all.length > BARS ? `<p class="dim">… and ${all.length - BARS} smaller ones, below</p>` : '';
  return `<div class="bars" role="img" aria-label="Bytes that go, by table and column">\n${bars}\n</div>${more}`;
}

function lossTable(losses: readonly ObjectLoss[]): string {
  if (losses.length === 0) return '<p>Nothing: no doomed object holds any content now.</p>';
  const rows = losses.map((loss) => {
    const what = loss.found === 'notThere' ? `${lossWhat(loss)} (not there now)` : lossWhat(loss);
    const cells = [loss.database, stepText(loss), what].map((text) => `<td>${escape(text)}</td>`);
    const figures = [rowsText(loss), countText(loss.values), bytesText(loss.bytes)].map(
      (text) => `<td class="n">${escape(text)}</td>`,
    );
    return `<tr>${[...cells, ...figures].join('')}</tr>`;
  });
  const figures = ['rows', 'values', 'size'].map((title) => `<th class="n">${title}</th>`).join('');
  return `<div class="wide"><table><thead><tr><th>database</th><th>step</th><th>loses</th>${figures}</tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`;
}

function list<T extends LossPlace>(all: readonly T[], text: (one: T) => string): string {
  if (all.length === 0) return '';
  const items = all.map(
    (one) =>
      `<li>${escape(text(one))} <span class="dim">${escape(`${one.database} ${one.migration} ${one.name}`)}</span></li>`,
  );
  return `<ul>\n${items.join('\n')}\n</ul>`;
}

function emptyList(losses: readonly Loss[]): string {
  return folded(losses.length, list(losses, lossWhat));
}

function structure({ structure: all }: LossReport): string {
  return folded(
    all.length,
    list(all, ({ kind, object, through }) => `${kind} ${object}${through === null ? '' : `, with ${through}`}`),
  );
}

function folded(count: number, body: string): string {
  return count === 0
    ? ''
    : `<details><summary>${count} ${count === 1 ? 'object' : 'objects'}</summary>\n${body}\n</details>`;
}

function irreversible(plan: Plan): string {
  const lost = dataSteps(plan).filter(({ step }) => step.act === 'lose');
  return lost.length === 0
    ? ''
    : `<ul>${lost.map(({ step }) => `<li>${escape(dataStepLabel(step))}</li>`).join('')}</ul>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
