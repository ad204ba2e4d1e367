export { planted } from '../temporal/planted.js';
