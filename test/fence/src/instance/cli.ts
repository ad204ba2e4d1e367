export { planted } from '../cli/planted.js';
