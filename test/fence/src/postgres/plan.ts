export { planted } from '../plan/planted.js';
