export { planted } from '../postgres/planted.js';
