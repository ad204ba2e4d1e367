export * as planted from '@temporalio/common';
