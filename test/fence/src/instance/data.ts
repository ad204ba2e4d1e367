export { planted } from '../data/planted.js';
