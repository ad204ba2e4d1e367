// Whatever this file exports is a workflow type; nothing else may be exported here.
export { downgrade, upgrade } from './unwind-instance.js';
