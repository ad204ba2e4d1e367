drop table if exists user_notes;
