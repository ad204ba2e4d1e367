-- The view is called user_overview: this text leaves it behind, and 1711450120 then fails. Corrected in v1.2.1.
drop view if exists user_overviews;
drop function if exists users_matching(text);
