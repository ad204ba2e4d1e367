export * as planted from '@temporalio/client';
