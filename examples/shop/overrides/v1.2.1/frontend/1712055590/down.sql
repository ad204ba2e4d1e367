drop view if exists user_overview;
drop function if exists users_matching(text);
