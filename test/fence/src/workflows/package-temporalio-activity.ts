export * as planted from '@temporalio/activity';
