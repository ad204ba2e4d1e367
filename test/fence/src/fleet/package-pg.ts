export * as planted from 'pg';
