export { planted } from '../config/planted.js';
