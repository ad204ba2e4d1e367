export { planted } from '../catalog/planted.js';
