export { planted } from '../journal/planted.js';
