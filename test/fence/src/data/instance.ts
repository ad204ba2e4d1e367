export { planted } from '../instance/planted.js';
