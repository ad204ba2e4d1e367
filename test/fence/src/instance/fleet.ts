export { planted } from '../fleet/planted.js';
