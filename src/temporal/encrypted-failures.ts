import { DefaultFailureConverter } from '@temporalio/common';

/**
 * Puts the message and the stack of a failure into a payload, where the codec finds them: history shows "Encoded failure" instead. By this
 * name, since the worker loads it by the path of this file, for itself and into the bundle of the workflows.
 */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
