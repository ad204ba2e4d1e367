drop table if exists page_drafts;
drop type if exists draft_state;
