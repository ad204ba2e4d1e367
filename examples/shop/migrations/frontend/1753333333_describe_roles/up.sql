comment on column users.role is 'customer: buys; staff: works in the back office; owner: pays for the workspace.';
