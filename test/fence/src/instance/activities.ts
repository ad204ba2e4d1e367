export { planted } from '../activities/planted.js';
