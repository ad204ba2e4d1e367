export { planted } from '../workflows/planted.js';
