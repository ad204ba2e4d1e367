// Whatever this file exports is a workflow type; nothing else may be exported here.
export { dataMigration } from './data-migration.js';
export { downgrade, upgrade } from './unwind-instance.js';
