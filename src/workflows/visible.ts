import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { SearchAttribute } from '../contract/search-attributes.js';
import { detailsOf } from './details.js';
import { type Progress, stateOf, stepsOf } from './progress.js';

/**
 * Shows where the run is. The details are memory of the workflow, answered by a query: no event, so they follow every step.
 * Search attributes are an event each time: only on a change of state, leg or dirty reason.
 */
export function createShow(progress: Progress): () => void {
  let shown = '';
  return function show() {
    setCurrentDetails(detailsOf(progress));
    const { plan, outlets, leg, input } = progress;
    if (!(plan ?? outlets)?.searchAttributes) return;
    const state = stateOf(progress);
    const release = leg === null ? null : (progress.legs[leg]?.release ?? null);
    const dirtyReason = [...progress.parked.values()].flatMap(({ reasons }) => reasons)[0]?.code ?? null;
    const now = JSON.stringify([state, release, dirtyReason]);
    if (now === shown) return;
    shown = now;
    const { done, total } = stepsOf(progress);
    upsertSearchAttributes([
      { key: SearchAttribute.state, value: state },
      { key: SearchAttribute.product, value: plan?.product ?? null },
      { key: SearchAttribute.target, value: (plan?.to ?? input.to) || null },
      { key: SearchAttribute.release, value: release },
      { key: SearchAttribute.dirtyReason, value: dirtyReason },
      { key: SearchAttribute.stepsDone, value: done },
      { key: SearchAttribute.stepsTotal, value: total },
    ]);
  };
}
