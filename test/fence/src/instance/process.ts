export { planted } from '../process/planted.js';
