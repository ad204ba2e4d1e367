export { planted } from '../step/planted.js';
