/**
 * Of schema.sql and functions.sql: one more with every release that changes either, or workers of two releases would undo each
 * other's work. A journal of a higher number was written by a newer pg-unwind, and is left alone.
 */
export const JOURNAL_VERSION = 1;
