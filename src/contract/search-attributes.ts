import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/**
 * What a list of runs can be filtered by. Named after the questions asked at three in the morning; written on a change of state
 * or leg, not per step, because each write is an event. SQL visibility allows ten Keywords and three Ints per namespace.
 */
export const SearchAttribute = {
  /** A `RunState`. */
  state: defineSearchAttributeKey('UnwindState', SearchAttributeType.KEYWORD),
  product: defineSearchAttributeKey('UnwindProduct', SearchAttributeType.KEYWORD),
  /** The release that the run leads to. */
  target: defineSearchAttributeKey('UnwindTarget', SearchAttributeType.KEYWORD),
  /** The release that the current leg leads to. */
  release: defineSearchAttributeKey('UnwindRelease', SearchAttributeType.KEYWORD),
  /** The first `DirtyCode` for which the run is parked; absent otherwise. */
  dirtyReason: defineSearchAttributeKey('UnwindDirtyReason', SearchAttributeType.KEYWORD),
  stepsDone: defineSearchAttributeKey('UnwindStepsDone', SearchAttributeType.INT),
  stepsTotal: defineSearchAttributeKey('UnwindStepsTotal', SearchAttributeType.INT),
} as const;

/** In the order in which they are registered. */
export const SEARCH_ATTRIBUTES = Object.values(SearchAttribute);
