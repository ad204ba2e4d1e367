drop view if exists open_exports;

commit and chain;

drop index if exists exports_open_idx;

commit and chain;

drop table if exists exports;
