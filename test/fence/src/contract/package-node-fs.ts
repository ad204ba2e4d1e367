export * as planted from 'node:fs';
