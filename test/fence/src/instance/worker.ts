export { planted } from '../worker.js';
