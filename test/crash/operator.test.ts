import { workflowIdOf } from '../../src/contract/ids.js';
import { defineRows } from './matrix/define.js';

defineRows([
  {
    name: 'cancel the workflow, then start it again',
    startsAgain: true,
    async fault({ site, cells, mark, open }) {
      mark();
      await Promise.all(cells.map(({ instance }) => site.client.workflow.getHandle(workflowIdOf(instance)).cancel()));
      await open();
    },
  },
  {
    name: 'temporal workflow reset to an earlier event',
    async fault({ site, cells, mark, open }) {
      mark();
      await Promise.all(
        cells.map(async ({ instance }) => {
          const workflowId = workflowIdOf(instance);
          const { events } = await site.client.workflow.getHandle(workflowId).fetchHistory();
          const tasks = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
          const event = tasks[Math.floor(tasks.length / 2)];
          await site.client.workflowService.resetWorkflowExecution({
            namespace: site.temporal.namespace,
            workflowExecution: { workflowId },
            workflowTaskFinishEventId: event?.eventId ?? null,
            reason: 'crash matrix',
            requestId: `${instance}-reset`,
          });
        }),
      );
      await open();
    },
  },
  {
    name: 'temporal workflow terminate, then a new start',
    startsAgain: true,
    async fault({ site, cells, mark, open }) {
      mark();
      await Promise.all(
        cells.map(({ instance }) => site.client.workflow.getHandle(workflowIdOf(instance)).terminate('crash matrix')),
      );
      await open();
    },
  },
]);
