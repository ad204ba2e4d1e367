export { planted } from './activities/planted.js';
export { planted as second } from './workflows/planted.js';
