import { one } from './cycle-one.js';

export const two = (): unknown => one;
