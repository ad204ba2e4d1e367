export { planted } from '../contract/planted.js';
